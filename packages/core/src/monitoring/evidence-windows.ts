import type { EvidenceQuery } from '../contracts/evidence-source.ts';
import type { StoredPrediction } from './predictions/stored-predictions.ts';

const dayMs = 86_400_000;

/** What both versions answered in one window. */
export interface Arms {
  readonly candidate: readonly StoredPrediction[];
  readonly baseline: readonly StoredPrediction[];
}

/** Requests of both versions in one window, and those that are bad. */
export type ArmCounts = {
  readonly canaryRequests: number;
  readonly canaryBad: number;
  readonly baselineRequests: number;
  readonly baselineBad: number;
};

/**
 * The rows of both versions that a query asks for, window by window in the order of time. Windows do not depend on
 * what is in them, nor on when it is asked: the tests that are fed by them stay valid at every look.
 */
export function armsByWindow(
  query: EvidenceQuery,
  rows: readonly StoredPrediction[],
): readonly Arms[] {
  const windows = new Map<
    string,
    { candidate: StoredPrediction[]; baseline: StoredPrediction[] }
  >();
  const windowOf = windowing(query);
  const stageOf = staging(query);
  for (const row of rows) {
    const arm = armOf(query, row);
    if (arm === undefined) continue;
    const key = `${windowOf(row.at)}:${stageOf(row.at)}`;
    const window = windows.get(key) ?? { candidate: [], baseline: [] };
    windows.set(key, window);
    window[arm].push(row);
  }
  return [...windows.values()];
}

/**
 * Where requests are dealt out by keys: the rows that count for tests, stage by stage. The requests of a user resemble
 * each other, so each user counts once in each stage and version, by the first of them (rows without a key count
 * each). Nothing where no row has a key.
 */
export function armsOfUnits(
  query: EvidenceQuery,
  rows: readonly StoredPrediction[],
): readonly (readonly Arms[])[] | undefined {
  if (!rows.some(({ key }) => key !== undefined)) return undefined;
  const stageOf = staging(query);
  const seen = new Set<string>();
  const stages: StoredPrediction[][] = Array.from(
    { length: (query.splitAt ?? []).length + 1 },
    () => [],
  );
  for (const row of rows) {
    const arm = armOf(query, row);
    if (arm === undefined) continue;
    const stage = stageOf(row.at);
    const unit = `${stage}:${arm}:${row.key}`;
    if (row.key !== undefined && seen.has(unit)) continue;
    seen.add(unit);
    stages[stage]?.push(row);
  }
  return stages.map((each) => armsByWindow(query, each));
}

/** Requests of both versions and those that are bad, window by window, and by units where there are keys. */
export function windowCounts(
  query: EvidenceQuery,
  rows: readonly StoredPrediction[],
  isBad: (row: StoredPrediction) => boolean,
): { readonly windows: ArmCounts[]; readonly units?: ArmCounts[][] } {
  const bad = (all: readonly StoredPrediction[]): number => all.filter(isBad).length;
  const counted = ({ candidate, baseline }: Arms): ArmCounts => ({
    ...{ canaryRequests: candidate.length, canaryBad: bad(candidate) },
    ...{ baselineRequests: baseline.length, baselineBad: bad(baseline) },
  });
  const windows = armsByWindow(query, rows).map(counted);
  const units = armsOfUnits(query, rows)?.map((stage) => stage.map(counted));
  return { windows, ...(units === undefined ? {} : { units }) };
}

function armOf(
  { candidateVersionId, baselineVersionId, candidateRole = 'primary' }: EvidenceQuery,
  { versionId, role }: StoredPrediction,
): keyof Arms | undefined {
  if (versionId === candidateVersionId && role === candidateRole) return 'candidate';
  return versionId === baselineVersionId && role === 'primary' ? 'baseline' : undefined;
}

function staging({ splitAt = [] }: EvidenceQuery): (at: number) => number {
  return (at) => splitAt.filter((split) => split <= at).length;
}

function windowing({ windowMs, from = 0 }: EvidenceQuery): (at: number) => number {
  if (windowMs === undefined) return (at) => Math.floor(at / dayMs);
  return (at) => Math.floor((at - from) / windowMs);
}
