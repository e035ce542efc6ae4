import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import { asJson, type JsonObject } from '../json.ts';
import type { Deployment } from './deployment.ts';
import type { DeploymentConfig } from './deployment-config.ts';
import type { Risk } from './risk.ts';
import type { RolloutDecision } from './rollout.ts';

/** How a version follows another. */
export type Strategy = 'canary' | 'blue-green' | 'rolling' | 'immediate' | 'shadow';

/** How far a revision has come. */
export type RevisionStatus =
  | 'PENDING'
  | 'IN_PROGRESS'
  | 'PAUSED'
  | 'COMPLETED'
  | 'FAILED'
  | 'ROLLED_BACK';

/** What a revision is about: the version that answers, and how it is run. */
export interface DeploymentState extends DeploymentConfig {
  readonly versionId: string;
  /** Such as `fraud@1.2.0`. */
  readonly version: string;
}

/** A change of a deployment, numbered within it from 1. */
export interface Revision {
  readonly id: string;
  readonly deploymentId: string;
  readonly number: number;
  /** Left out for the first. */
  readonly before?: DeploymentState;
  readonly after: DeploymentState;
  /** Which parts differ: `version`, `serving`, `scaling` and so on. */
  readonly changed: readonly string[];
  readonly strategy: Strategy;
  readonly rolloutStatus: RevisionStatus;
  /** Left out where all of it came into force at once. */
  readonly rolloutId?: string;
  /** The number of the revision that it goes back to. */
  readonly rollbackTo?: number;
  /** When all content of its version was last read, as one that can be gone back to, and what was wrong with it. */
  readonly verified?: { readonly at: number; readonly damage?: string };
  /** Of a rollout by `deploy` or a promotion: how risky it looked, and what was suggested. */
  readonly risk?: Risk & { readonly suggested: Strategy };
  readonly reason: string;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly endedAt?: number;
  /** What was decided at each step of its rollout, on which evidence. */
  readonly stages: readonly RolloutDecision[];
}

/** What a new revision is made of. */
export interface RevisionFacts {
  readonly before?: DeploymentState;
  readonly after: DeploymentState;
  readonly strategy: Strategy;
  readonly rolloutStatus: RevisionStatus;
  readonly rolloutId?: string;
  readonly rollbackTo?: number;
  readonly risk?: Revision['risk'];
  readonly reason: string;
  readonly createdBy: string;
  readonly at: number;
}

/** A revision's record, and the columns that its deployment has from then on. */
export interface NextRevision {
  readonly number: number;
  readonly create: Change;
  readonly columns: { readonly lastRevision: number; readonly currentRevision?: number };
}

/** The next revision of a deployment; in force at once where it is COMPLETED. */
export function nextRevision(
  id: string,
  deployment: Pick<Deployment, 'id' | 'lastRevision'>,
  facts: RevisionFacts,
): NextRevision {
  const number = deployment.lastRevision + 1;
  const { before, after, strategy, rolloutStatus, rolloutId, rollbackTo, reason, at } = facts;
  const done = rolloutStatus === 'COMPLETED';
  const { risk } = facts;
  const body = {
    ...{ before, after, reason },
    ...(rollbackTo === undefined ? {} : { rollbackTo }),
    ...(risk === undefined ? {} : { risk }),
  };
  return {
    number,
    create: {
      op: 'create',
      kind: 'deployment_revision',
      id,
      columns: {
        deploymentId: deployment.id,
        number,
        versionId: after.versionId,
        strategy,
        rolloutStatus,
        rolloutId,
        createdBy: facts.createdBy,
        endedAt: done ? at : undefined,
      },
      body: asJson(body) as JsonObject,
    },
    columns: { lastRevision: number, ...(done ? { currentRevision: number } : {}) },
  };
}

/** A revision out of its record; `stages` are those of its rollout. */
export function revisionFromRecord(
  { id, columns: c, body, createdAt }: StoredRecord,
  stages: readonly RolloutDecision[] = [],
): Revision {
  const kept = body as unknown as Pick<
    Revision,
    'before' | 'after' | 'reason' | 'rollbackTo' | 'risk'
  >;
  const rolloutId = c['rolloutId'] as string | undefined;
  const endedAt = c['endedAt'] as number | undefined;
  const verifiedAt = c['verifiedAt'] as number | undefined;
  const damage = c['damage'] as string | undefined;
  return {
    ...kept,
    id,
    deploymentId: c['deploymentId'] as string,
    number: c['number'] as number,
    changed: differingParts(kept.before, kept.after),
    strategy: c['strategy'] as Strategy,
    rolloutStatus: c['rolloutStatus'] as RevisionStatus,
    createdBy: c['createdBy'] as string,
    createdAt,
    stages,
    ...(rolloutId === undefined ? {} : { rolloutId }),
    ...(endedAt === undefined ? {} : { endedAt }),
    ...(verifiedAt === undefined
      ? {}
      : { verified: { at: verifiedAt, ...(damage === undefined ? {} : { damage }) } }),
  };
}

/** The names of the parts that differ. */
export function differingParts(
  before: DeploymentState | undefined,
  after: DeploymentState,
): readonly string[] {
  const parts = new Set([...Object.keys(before ?? {}), ...Object.keys(after)]);
  // The version's name says nothing beside its id.
  parts.delete('versionId');
  const of = (state: DeploymentState | undefined, part: string): string => {
    const value = (state as unknown as Readonly<Record<string, unknown>> | undefined)?.[part];
    return JSON.stringify(value === undefined ? null : sorted(value));
  };
  const differing = [...parts].filter((part) =>
    part === 'version'
      ? before?.versionId !== after.versionId
      : before === undefined || of(before, part) !== of(after, part),
  );
  return differing.toSorted();
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).map(([key, each]) => [key, sorted(each)] as const);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
