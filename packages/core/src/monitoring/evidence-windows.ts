import type { EvidenceQuery } from '../contracts/evidence-source.ts';
import type { StoredPrediction } from './prediction-log.ts';

const dayMs = 86_400_000;

/** What both versions answered in one window. */
export interface Arms {
  readonly candidate: readonly StoredPrediction[];
  readonly baseline: readonly StoredPrediction[];
}

/**
 * The rows of both versions that a query asks for, window by window in the order of time. Windows do not depend on
 * what is in them, nor on when it is asked: the tests that are fed by them stay valid at every look.
 */
export function armsByWindow(
  query: EvidenceQuery,
  rows: readonly StoredPrediction[],
): readonly Arms[] {
  const { candidateVersionId, baselineVersionId, candidateRole = 'primary' } = query;
  const windows = new Map<
    string,
    { candidate: StoredPrediction[]; baseline: StoredPrediction[] }
  >();
  const windowOf = windowing(query);
  for (const row of rows) {
    const isCandidate = row.versionId === candidateVersionId && row.role === candidateRole;
    const isBaseline = row.versionId === baselineVersionId && row.role === 'primary';
    if (!isCandidate && !isBaseline) continue;
    const key = windowOf(row.at);
    const window = windows.get(key) ?? { candidate: [], baseline: [] };
    windows.set(key, window);
    (isCandidate ? window.candidate : window.baseline).push(row);
  }
  return [...windows.values()];
}

/** Requests of both versions and those that are bad, window by window. */
export function windowCounts(
  query: EvidenceQuery,
  rows: readonly StoredPrediction[],
  isBad: (row: StoredPrediction) => boolean,
): {
  readonly canaryRequests: number;
  readonly canaryBad: number;
  readonly baselineRequests: number;
  readonly baselineBad: number;
}[] {
  const bad = (all: readonly StoredPrediction[]): number => all.filter(isBad).length;
  return armsByWindow(query, rows).map(({ candidate, baseline }) => ({
    canaryRequests: candidate.length,
    canaryBad: bad(candidate),
    baselineRequests: baseline.length,
    baselineBad: bad(baseline),
  }));
}

function windowing({ windowMs, from = 0, splitAt = [] }: EvidenceQuery): (at: number) => string {
  const stage = (at: number): number => splitAt.filter((split) => split <= at).length;
  if (windowMs === undefined) return (at) => `${Math.floor(at / dayMs)}:${stage(at)}`;
  return (at) => `${Math.floor((at - from) / windowMs)}:${stage(at)}`;
}
