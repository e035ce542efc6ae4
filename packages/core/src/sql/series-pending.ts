import { makePoints, type PointSet, slicePoints } from './series-points.ts';
import { decodeSegment, type Segment } from './series-segment.ts';

/** Points of one series in order of arrival, and the numbers of its key and its owner. */
export interface SeriesPoints {
  readonly kid: number;
  readonly rid: number;
  readonly points: PointSet;
}

/** A segment as it is stored, with the number of its writer. */
export interface PendingSegment {
  readonly wid: number;
  readonly data: Uint8Array;
}

/** Which series to gather; all of them when left empty. */
export interface SeriesFilter {
  readonly kids?: ReadonlySet<number>;
  readonly rids?: ReadonlySet<number>;
}

interface Gathered {
  readonly kid: number;
  readonly rid: number;
  count: number;
  at: number;
}

interface OpenSegment {
  readonly wid: number;
  readonly segment: Segment;
  /** For each series of the segment what gathers its points; undefined when it is not wanted. */
  readonly groups: readonly (Gathered | undefined)[];
}

/**
 * The points of segments, which are given in order of arrival, by series, in order of key and owner; within
 * a series in order of arrival. CORRUPT when a segment is damaged.
 */
export function gatherSeries(
  rows: readonly PendingSegment[],
  filter: SeriesFilter = {},
): readonly SeriesPoints[] {
  const byKey = new Map<number, Map<number, Gathered>>();
  const opened = rows.map((row) => openSegment(row, filter, byKey));
  const groups = [...byKey.values()].flatMap((owners) => [...owners.values()]);
  groups.sort((a, b) => a.kid - b.kid || a.rid - b.rid);
  let total = 0;
  for (const group of groups) {
    group.at = total;
    total += group.count;
  }
  const all = makePoints(total);
  for (const segment of opened) scatter(segment, all);
  // After scattering, each group's place is where its points end.
  return groups
    .filter((group) => group.count > 0)
    .map(({ kid, rid, count, at }) => ({ kid, rid, points: slicePoints(all, at - count, at) }));
}

function openSegment(
  row: PendingSegment,
  filter: SeriesFilter,
  byKey: Map<number, Map<number, Gathered>>,
): OpenSegment {
  const segment = decodeSegment(row.data);
  const groups = Array.from(segment.keyIds, (kid, i) => {
    const rid = segment.ownerIds[i] as number;
    if (filter.kids?.has(kid) === false || filter.rids?.has(rid) === false) return undefined;
    return gatheredOf(byKey, kid, rid);
  });
  const { index } = segment;
  if (groups.some((group) => group !== undefined)) {
    for (let i = 0; i < index.length; i++) {
      const group = groups[index[i] as number];
      if (group !== undefined) group.count++;
    }
  }
  return { wid: row.wid, segment, groups };
}

function gatheredOf(byKey: Map<number, Map<number, Gathered>>, kid: number, rid: number): Gathered {
  const owners = byKey.get(kid) ?? new Map<number, Gathered>();
  byKey.set(kid, owners);
  const group = owners.get(rid) ?? { kid, rid, count: 0, at: 0 };
  owners.set(rid, group);
  return group;
}

function scatter({ wid, segment, groups }: OpenSegment, all: PointSet): void {
  if (groups.every((group) => group === undefined)) return;
  const { index, steps, timestamps, values } = segment;
  for (let i = 0; i < index.length; i++) {
    const group = groups[index[i] as number];
    if (group === undefined) continue;
    const at = group.at++;
    all.steps[at] = steps[i] as number;
    all.timestamps[at] = timestamps[i] as number;
    all.values[at] = values[i] as number;
    all.writers[at] = wid;
  }
}
