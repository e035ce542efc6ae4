import type { EventQuery, WireEvent } from '../../api/answers.ts';
import { api } from '../../api/client.ts';

const second = 1_000;
const minute = 60 * second;
const day = 1440 * minute;
/** How far back is looked, one after the other, until there is enough. */
const reaches = [
  ...[10 * second, minute, 10 * minute, 60 * minute, 6 * 60 * minute],
  ...[day, 7 * day, 30 * day, 365 * day],
];
const pageSize = 1000;
const mostPages = 5;

/** The newest events, and whether there may be older ones. */
export interface Newest {
  /** Newest first. */
  readonly events: readonly WireEvent[];
  readonly isAll: boolean;
}

/**
 * The newest events that match. The log is read forwards only, so that time is walked back in growing strides until
 * enough is found; a stride with too many gives way to the one before.
 */
export async function readNewest(
  query: EventQuery,
  wanted: number,
  signal: AbortSignal,
): Promise<Newest> {
  const end = query.until === undefined ? Date.now() : timeFrom(query.until);
  const first = query.since === undefined ? 0 : timeFrom(query.since);
  let found: readonly WireEvent[] = [];
  for (const reach of [...reaches, end - first]) {
    const since = Math.max(first, end - reach);
    const read = await readFrom({ ...query, since: String(since) }, signal);
    if (read === undefined) break;
    found = read;
    const isAll = since === first;
    if (isAll && found.length <= wanted) return { events: found.toReversed(), isAll: true };
    if (isAll || found.length >= wanted) break;
  }
  return { events: found.slice(-wanted).reverse(), isAll: false };
}

/** A time as the filter takes it: `24h` ago, a date, epoch ms. NaN for what is none; the platform says so. */
export function timeFrom(text: string): number {
  const [, count, unit] = /^(\d{1,9})([smhdw])$/.exec(text) ?? [];
  const units: Readonly<Record<string, number>> = {
    ...{ s: second, m: minute, h: 60 * minute, d: day, w: 7 * day },
  };
  if (count !== undefined && unit !== undefined) {
    return Date.now() - Number(count) * (units[unit] ?? 0);
  }
  return /^\d+$/.test(text) && text.length > 4 ? Number(text) : Date.parse(text);
}

/** All events from a time on; undefined where they are very many. */
async function readFrom(
  query: EventQuery,
  signal: AbortSignal,
): Promise<readonly WireEvent[] | undefined> {
  let events: readonly WireEvent[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < mostPages; page += 1) {
    const asked = { ...query, limit: pageSize, ...(cursor === undefined ? {} : { cursor }) };
    const read = await api.events.list(asked, { signal });
    events = [...events, ...read.events];
    if (read.events.length < pageSize) return events;
    cursor = read.cursor;
  }
  return undefined;
}
