import type { Json } from '../../json.ts';

/** How far a number may be off: by no more than `absolute + relative · |expected|`; each is 0 when left out. */
export interface Tolerance {
  readonly absolute?: number;
  readonly relative?: number;
}

/** What floating-point outputs are allowed where nothing is said. Everything else must be equal. */
export const floatTolerance: Required<Tolerance> = { absolute: 1e-6, relative: 1e-5 };

/** Where two values differ. */
export interface Difference {
  /** Such as `probabilities.cat`; empty for the whole. */
  readonly place: string;
  readonly expected: Json;
  readonly actual: Json;
}

/** Whether a number is near enough. NaN equals NaN, an infinity only itself. */
export function isNear(expected: number, actual: number, tolerance: Tolerance): boolean {
  if (Object.is(expected, actual) || expected === actual) return true;
  if (!Number.isFinite(expected) || !Number.isFinite(actual)) return false;
  const { absolute = 0, relative = 0 } = tolerance;
  return Math.abs(actual - expected) <= absolute + relative * Math.abs(expected);
}

/**
 * The first place where `actual` is not what was expected: numbers near enough, all else equal. An expected object
 * names the keys that count; lists must have the same length.
 */
export function findDifference(
  expected: Json,
  actual: Json | undefined,
  tolerance: Tolerance,
  place = '',
): Difference | undefined {
  const differs: Difference = { place, expected, actual: actual ?? null };
  if (actual === undefined) return differs;
  if (typeof expected === 'number') {
    const isNumber = typeof actual === 'number';
    return isNumber && isNear(expected, actual, tolerance) ? undefined : differs;
  }
  if (typeof expected !== 'object' || expected === null) {
    return expected === actual ? undefined : differs;
  }
  if (typeof actual !== 'object' || actual === null) return differs;
  if (Array.isArray(expected) !== Array.isArray(actual)) return differs;
  if (Array.isArray(expected)) {
    const list = actual as readonly Json[];
    if (list.length !== expected.length) return differs;
    return firstOf(
      expected.map((item, i) => [item as Json, list[i], `${place}[${i}]`] as const),
      tolerance,
    );
  }
  const within = actual as Readonly<Record<string, Json>>;
  return firstOf(
    Object.entries(expected).map(([key, item]) => {
      const found = Object.hasOwn(within, key) ? within[key] : undefined;
      return [item as Json, found, place === '' ? key : `${place}.${key}`] as const;
    }),
    tolerance,
  );
}

function firstOf(
  pairs: readonly (readonly [expected: Json, actual: Json | undefined, place: string])[],
  tolerance: Tolerance,
): Difference | undefined {
  for (const [expected, actual, place] of pairs) {
    const found = findDifference(expected, actual, tolerance, place);
    if (found !== undefined) return found;
  }
  return undefined;
}
