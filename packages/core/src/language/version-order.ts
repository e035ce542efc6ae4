import semver from 'semver';
import type { Predicate, Selector } from '../contracts/query.ts';
import { KeelsonError } from '../errors.ts';

/**
 * A text whose order, by code points, is the order of semantic versions: numbers with their length in front;
 * behind a release `~`, behind others `-` and the parts of the prerelease, each with a `!` at its end.
 * Undefined for what is no semantic version. Build metadata has no say.
 */
export function versionKey(version: string): string | undefined {
  const parsed = semver.parse(version);
  if (parsed === null) return undefined;
  const parts = parsed.prerelease.map((part) =>
    /^[0-9]+$/.test(String(part)) ? `0${numberKey(String(part))}!` : `1${part}!`,
  );
  return parts.length === 0 ? `${tuple(parsed)}~` : `${tuple(parsed)}-${parts.join('')}`;
}

/**
 * The versions of a range, such as `^1.2`, `>=1.0.0 <2.0.0-beta` or `1.x || 3.x`, by their keys: as npm has
 * it, a prerelease only where the range names one of the same version. INVALID for what is no range.
 */
export function versionRange(range: string, key: Selector): Predicate {
  const sets = rangeOf(range).set.map((comparators): Predicate => {
    const bounds = comparators.flatMap(({ operator, semver: bound }): Predicate[] => {
      // The comparator of any version has no version.
      if (!(bound instanceof semver.SemVer)) return [];
      const value = versionKey(bound.version) ?? '';
      const cmp = operator === '' ? '=' : operator;
      return [{ op: 'compare', left: key, cmp, value }];
    });
    return { op: 'and', of: [...bounds, { op: 'or', of: admitted(comparators, key) }] };
  });
  return { op: 'or', of: sets };
}

/** Releases, and prereleases of the versions of which the range names one. */
function admitted(comparators: readonly semver.Comparator[], key: Selector): Predicate[] {
  const tuples = comparators.flatMap(({ semver: bound }) =>
    bound instanceof semver.SemVer && bound.prerelease.length > 0 ? [tuple(bound)] : [],
  );
  return [
    { op: 'like', left: key, pattern: '%~', caseSensitive: true },
    ...tuples.map(
      (each): Predicate => ({ op: 'between', left: key, low: `${each}-`, high: `${each}~` }),
    ),
  ];
}

function rangeOf(text: string): semver.Range {
  const range = typeof text === 'string' && text.length <= 256 ? semver.validRange(text) : null;
  if (range !== null) return new semver.Range(text);
  throw new KeelsonError(
    'INVALID',
    `${JSON.stringify(String(text).slice(0, 100))} is no range of versions; write it like ^1.2, 1.x or >=1.0.0 <2.0.0.`,
  );
}

function tuple({ major, minor, patch }: semver.SemVer): string {
  return [major, minor, patch].map((part) => numberKey(String(part))).join('');
}

/** `a7`, `b10`, `c365`: a letter for the number of digits, with a `z` in front for each 25. */
function numberKey(digits: string): string {
  const significant = digits.replace(/^0+(?=.)/, '');
  const { length } = significant;
  return `${'z'.repeat(Math.floor(length / 25))}${String.fromCharCode(96 + (length % 25))}${significant}`;
}
