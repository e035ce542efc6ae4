import type { Scope } from '../../contracts/scope.ts';
import type { RowColumns, StreamKey } from '../../contracts/series-store.ts';
import { textAt } from './text-at.ts';

/** By what rows of a user are known. */
export interface UserMarks {
  /** Pseudonyms under all keys that there were. */
  readonly pseudonyms: ReadonlySet<string>;
  /** Whether a sticky key is the user's id as it is; keys that were hashed are among the pseudonyms. */
  isKey(key: string): boolean;
  /** Whether a row of an owner has the id in the feature that is said to have it. */
  hasFeature?(owner: string, columns: RowColumns['columns'], i: number): boolean;
}

/** The requests of a user in one stream. */
export interface UserRows {
  readonly rows: number;
  readonly requestIds: ReadonlySet<string>;
  /** Sticky keys that are the user's. */
  readonly keys: ReadonlySet<string>;
}

const everything = { from: -8.64e15, to: 8.64e15 };

/** Whether a row is a user's, by any of its columns. */
export function isOfUser(
  { pseudonyms, isKey, hasFeature }: UserMarks,
  owner: string,
  columns: RowColumns['columns'],
  i: number,
): boolean {
  const user = textAt(columns, 'userId', i);
  if (user !== undefined && pseudonyms.has(user)) return true;
  const key = textAt(columns, 'key', i);
  if (key !== undefined && (pseudonyms.has(key) || isKey(key))) return true;
  return hasFeature?.(owner, columns, i) ?? false;
}

/** Looks through all rows of a stream. */
export async function findUserRows(
  series: Scope['series'],
  stream: StreamKey,
  marks: UserMarks,
): Promise<UserRows> {
  let rows = 0;
  const requestIds = new Set<string>();
  const keys = new Set<string>();
  for await (const { at, columns } of series.rows(stream, everything)) {
    for (let i = 0; i < at.length; i += 1) {
      if (!isOfUser(marks, stream.owner, columns, i)) continue;
      rows += 1;
      const requestId = textAt(columns, 'requestId', i);
      if (requestId !== undefined) requestIds.add(requestId);
      const key = textAt(columns, 'key', i);
      if (key !== undefined && marks.isKey(key)) keys.add(key);
    }
  }
  return { rows, requestIds, keys };
}

/** How many rows of a stream are of one of the requests. */
export async function countRequests(
  series: Scope['series'],
  stream: StreamKey,
  requestIds: ReadonlySet<string>,
): Promise<number> {
  let count = 0;
  const columns = ['requestId'];
  for await (const rows of series.rows(stream, { ...everything, columns })) {
    for (let i = 0; i < rows.at.length; i += 1) {
      const requestId = textAt(rows.columns, 'requestId', i);
      if (requestId !== undefined && requestIds.has(requestId)) count += 1;
    }
  }
  return count;
}

/** Erases rows by the texts of a column, however many texts there are. */
export async function eraseBy(
  series: Scope['series'],
  stream: StreamKey,
  column: string,
  values: Iterable<string>,
): Promise<number> {
  const all = [...values];
  let rows = 0;
  for (let i = 0; i < all.length; i += 1000) {
    rows += await series.eraseRows(stream, column, all.slice(i, i + 1000));
  }
  return rows;
}
