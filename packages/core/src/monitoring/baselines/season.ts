/**
 * Times that come again, in UTC: each hour of the day (`0`–`23`), day of the week (`0`, Monday, to `6`), hour of the week
 * (`0`–`167`, from Monday), or month (`1`–`12`).
 */
export type Season = 'hour' | 'weekday' | 'hour-of-week' | 'month';

/** All there are. */
export const seasons = ['hour', 'weekday', 'hour-of-week', 'month'] as const;

const hourMs = 3_600_000;
/** 1970 began on a Thursday. */
const monday = 4 * 24;

/** The slot that a time lies in. */
export function slotOf(season: Season, at: number): string {
  const hour = Math.floor(at / hourMs);
  switch (season) {
    case 'hour':
      return String(modulo(hour, 24));
    case 'weekday':
      return String(Math.floor(modulo(hour - monday, 168) / 24));
    case 'hour-of-week':
      return String(modulo(hour - monday, 168));
    case 'month':
      return String(new Date(at).getUTCMonth() + 1);
  }
}

/** The slots that a while touches. */
export function slotsOf(
  season: Season,
  { from, to }: { readonly from: number; readonly to: number },
): ReadonlySet<string> {
  const slots = new Set<string>();
  // After a year every slot has come.
  const end = Math.min(to, from + 366 * 24 * hourMs);
  for (let at = from; at < end; at = (Math.floor(at / hourMs) + 1) * hourMs) {
    slots.add(slotOf(season, at));
  }
  return slots;
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
