import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';

/** Tags as they may be: so many at most, keys of 1 to 250 characters, values of 5,000 at most. INVALID otherwise. */
export function assertTags(
  tags: Readonly<Record<string, string>>,
  most: number,
): Readonly<Record<string, string>> {
  const entries = Object.entries(tags);
  if (entries.length > most) {
    throw new KeelsonError('INVALID', `${entries.length} tags are more than the ${most} allowed.`);
  }
  for (const [key, value] of entries) {
    assertText(key, 'The key of a tag', 250);
    if (key === '') throw new KeelsonError('INVALID', 'A tag needs a key.');
    assertText(value, `The tag ${JSON.stringify(key)}`, 5000);
  }
  return tags;
}
