import type { RecordLine } from '../../archive/record-lines.ts';
import type { FacetMap } from '../../contracts/record.ts';
import { changedKey } from '../../operations/audit/moving-chain.ts';
import type { ModelCard } from '../cards/card.ts';
import { flattenCard } from '../cards/card.ts';

/** What was changed behind a moment: `kind id` → the first revision that came later. */
export type Changed = ReadonlyMap<string, number>;

/**
 * A record as it was before the revision that came later, by its own history: undefined for one that was
 * made later. Its facets stay as they were read.
 */
export function earlierLine(line: RecordLine, changed: Changed): RecordLine | undefined {
  const later = changed.get(changedKey(line.record));
  if (later === undefined || later > line.record.revision) return line;
  const history = (line.history ?? []).filter(({ revision }) => revision < later);
  const last = history.at(-1);
  if (last === undefined) return undefined;
  const { revision, at: updatedAt, columns, body } = last;
  return { ...line, record: { ...line.record, revision, updatedAt, columns, body }, history };
}

/**
 * A version with what hangs on it, as it was. Facets follow from what was so then: its card from the card,
 * its aliases from the model's, where `aliases` says them.
 */
export function earlierVersion(
  lines: readonly RecordLine[],
  changed: Changed,
  aliases: readonly string[] | undefined,
): readonly RecordLine[] {
  const before = lines.flatMap((line) => earlierLine(line, changed) ?? []);
  const version = before.at(-1);
  if (version?.record.kind !== 'model_version') return [];
  const facets = { ...version.record.facets };
  if (changed.has(changedKey({ kind: 'model_card', id: version.record.id }))) {
    const card = before.find(({ record }) => record.kind === 'model_card');
    set(facets, 'card', flattenCard((card?.record.body ?? {}) as ModelCard));
  }
  if (aliases !== undefined) {
    set(facets, 'aliases', Object.fromEntries(aliases.map((alias) => [alias, true])));
  }
  return [...before.slice(0, -1), { ...version, record: { ...version.record, facets } }];
}

function set(facets: Record<string, FacetMap>, name: string, map: FacetMap): void {
  facets[name] = map;
}
