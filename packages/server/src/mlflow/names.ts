import { posix } from 'node:path';
import { invalid } from './errors.ts';

const longestKey = 250;
const allowed =
  'Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).';

/** A key of a metric, param or tag as MLflow allows them; INVALID_PARAMETER_VALUE, naming its place, otherwise. */
export function checkKey(key: string, path: string): void {
  const refuse = (why: string): never => {
    throw invalid(
      `Invalid value ${JSON.stringify(key.slice(0, 300))} for parameter '${path}' supplied: ${why}`,
    );
  };
  if (!/^[/\p{L}\p{M}\p{N}\p{Pc}.\- :]*$/u.test(key)) refuse(allowed);
  if (!isPlainPath(key)) {
    refuse(
      `Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would resolve to ${JSON.stringify(posix.normalize(key))}`,
    );
  }
  if (key.length > longestKey) {
    throw invalid(`'${path}' exceeds the maximum length of ${longestKey} characters`);
  }
}

/** Whether a name, read as a path, is that path and no other. */
export function isPlainPath(name: string): boolean {
  const parts = name.split('/');
  return name !== '' && !parts.some((part) => part === '' || part === '.' || part === '..');
}

/** How much one request may carry. */
const limits = { metrics: 1_000, params: 100, tags: 100 } as const;

/** Refuses batches that are too large. */
export function checkBatch(sizes: { readonly [K in keyof typeof limits]: number }): void {
  const total = sizes.metrics + sizes.params + sizes.tags;
  const all: readonly (readonly [string, number, number])[] = [
    ['metrics', limits.metrics, sizes.metrics],
    ['params', limits.params, sizes.params],
    ['tags', limits.tags, sizes.tags],
    ['metrics, params, and tags', 1_000, total],
  ];
  for (const [what, most, size] of all) {
    if (size <= most) continue;
    throw invalid(
      `A batch logging request can contain at most ${most} ${what}. Got ${size} ${what}. Please split up ${what} across multiple requests and try again.`,
    );
  }
}

/** A `max_results` as it may be. */
export function checkMaxResults(given: number | undefined, ofNone: number, most: number): number {
  const asked = given ?? ofNone;
  if (asked >= 1 && asked <= most) return asked;
  throw invalid(
    `Invalid value for request parameter max_results. It must be at least 1 and at most ${most}, but got value ${asked}`,
  );
}
