import { badInput } from './read-input.ts';

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/** Says what {@link timeOf} takes. */
export const timeText =
  'Epoch milliseconds, a date such as 2026-01-31 or 2026-01-31T08:00:00Z, or how long ago: 30m, 24h, 7d';

/** A time of a query, in epoch ms. INVALID, naming the field, for what is none. */
export function timeOf(field: string, text: string, now: number = Date.now()): number {
  if (/^-?\d{1,16}$/.test(text)) return Number(text);
  const ago = durationOf(text);
  if (ago !== undefined) return now - ago;
  const at = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(at)) return at;
  throw badInput([{ path: `query.${field}`, message: `is no time (${timeText})` }]);
}

/** Such as `24h`, in ms; undefined for what is none. */
export function durationOf(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,9})([smhdw])$/.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * unitMs[unit as keyof typeof unitMs];
}
