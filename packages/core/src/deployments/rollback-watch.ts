import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import { asJson, type JsonObject } from '../json.ts';
import { wilsonInterval } from '../statistics/index.ts';
import type { Gate, GateVerdict } from './gate.ts';
import type { Rollout } from './rollout.ts';

/** A version that was gone back to, while it is watched; told as done when its time is over. */
export interface RollbackWatch {
  readonly id: string;
  readonly deploymentId: string;
  /** The rollout that was turned back, if it was one. */
  readonly rolloutId?: string;
  readonly fromVersionId: string;
  readonly toVersionId: string;
  readonly status: 'WATCHING' | 'DONE' | 'FAILED' | 'SUPERSEDED';
  readonly beganAt: number;
  readonly watchUntil: number;
  readonly watchMs: number;
  readonly reason: string;
  readonly gates: readonly Gate[];
  readonly frozen: Rollout['frozen'];
  /** Versions that must not be gone back to any more: none is tried twice. */
  readonly tried: readonly string[];
  readonly latest: readonly GateVerdict[];
  /** What the version did before is known, as far as it can be, and callers that it refuses are named. */
  readonly prepared?: true;
  readonly correlationId: string;
  readonly revision: number;
}

type WatchBody = Pick<
  RollbackWatch,
  'watchMs' | 'reason' | 'gates' | 'frozen' | 'tried' | 'latest' | 'prepared' | 'correlationId'
>;

/** What a version that was gone back to must not do while it is watched. */
export const watchGates: readonly Gate[] = [
  { gate: 'ready', failingPercent: 50 },
  { gate: 'error-limit', goAt: 0.05, backAbove: 0.05, alpha: 0.01, minimumRequests: 0 },
  {
    ...{ gate: 'latency', quantile: 0.95, goRatio: 2, backRatio: 2 },
    ...{ alpha: 0.01, minimumRequests: 0, alone: true },
  },
];

/** How much lower than before the accuracy may be, and how many labels of before it takes to say so. */
const accuracyMargin = 0.05;
const enoughLabels = 50;

/** The gates of a version that had answered `right` of `labels` rightly before: none on accuracy without labels. */
export function watchGatesFor(before: {
  readonly right: number;
  readonly labels: number;
}): readonly Gate[] {
  const { right: successes, labels: trials } = before;
  if (trials < enoughLabels) return watchGates;
  // What it was may have been luck: the least that it is likely to have been.
  const { low } = wilsonInterval({ successes, trials }, 0.01);
  const backBelow = low - accuracyMargin;
  if (backBelow <= 0) return watchGates;
  return [
    ...watchGates,
    { gate: 'accuracy-limit', goAt: backBelow, backBelow, alpha: 0.01, minimumLabels: 0 },
  ];
}

/** A watch out of its record. */
export function watchFromRecord({ id, columns: c, body, revision }: StoredRecord): RollbackWatch {
  const rolloutId = c['rolloutId'] as string | undefined;
  return {
    ...(body as unknown as WatchBody),
    id,
    revision,
    deploymentId: c['deploymentId'] as string,
    fromVersionId: c['fromVersionId'] as string,
    toVersionId: c['toVersionId'] as string,
    status: c['status'] as RollbackWatch['status'],
    beganAt: c['beganAt'] as number,
    watchUntil: c['watchUntil'] as number,
    ...(rolloutId === undefined ? {} : { rolloutId }),
  };
}

/** The record of a new watch. */
export function watchCreated(watch: Omit<RollbackWatch, 'revision'>): Change {
  const { id, deploymentId, rolloutId, fromVersionId } = watch;
  return {
    ...({ op: 'create', kind: 'rollback_watch', id } as const),
    columns: { deploymentId, rolloutId, fromVersionId, ...changing(watch) },
    body: bodyOf(watch),
  };
}

/** The record of a watch as it is now. */
export function watchChanged(watch: RollbackWatch): Change {
  const { id, revision: expect } = watch;
  const columns = changing(watch);
  return { op: 'replace', kind: 'rollback_watch', id, expect, columns, body: bodyOf(watch) };
}

function changing(watch: Omit<RollbackWatch, 'revision'>): {
  readonly toVersionId: string;
  readonly status: string;
  readonly beganAt: number;
  readonly watchUntil: number;
} {
  const { toVersionId, status, beganAt, watchUntil } = watch;
  return { toVersionId, status, beganAt, watchUntil };
}

function bodyOf(watch: WatchBody): JsonObject {
  const { watchMs, reason, gates, frozen, tried, latest, prepared, correlationId } = watch;
  return asJson({
    ...{ watchMs, reason, gates, frozen, tried, latest, correlationId },
    ...(prepared === undefined ? {} : { prepared }),
  }) as JsonObject;
}
