import type { Predicate } from '../contracts/query.ts';
import type { RevisionEntry } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { everyRecord } from '../operations/every-record.ts';
import { optional } from '../tracking/run.ts';
import { findModel, is } from './model-records.ts';
import type { Stage } from './model-version.ts';
import type { StagePolicy } from './stage-policy.ts';

/** A version as it was. */
export interface VersionAsOf {
  readonly id: string;
  readonly number: number;
  readonly version: string;
  readonly stage: Stage;
  readonly status: 'READY' | 'FAILED';
  readonly deprecated: boolean;
  readonly deleted: boolean;
}

/** A model as it was at a time, and who made it so. */
export interface ModelAsOf {
  readonly id: string;
  readonly name: string;
  readonly at: number;
  readonly description: string;
  readonly deleted: boolean;
  readonly policy: StagePolicy;
  /** Alias → semver. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Semver of what was in production; of several, the one that came last. */
  readonly production?: string;
  /** By number. */
  readonly versions: readonly VersionAsOf[];
  /** Who changed the model last, until then. */
  readonly changedBy: string;
  readonly changedAt: number;
  readonly reason?: string;
}

/** What was so at a time. */
export interface TimeTravel {
  /**
   * The model with its versions, stages and aliases at a time (epoch ms or Date): which version was in
   * production on this date. Undefined where there was no such model yet. Tags and metrics have no past.
   */
  asOf(model: string, at: number | Date): Promise<ModelAsOf | undefined>;
}

/** Time travel, bound to a scope. */
export function createTimeTravel(scope: Scope): TimeTravel {
  async function entryAt(kind: string, id: string, at: number): Promise<RevisionEntry | undefined> {
    const entries = await scope.metadata.history(scope.workspace, kind, id, { limit: 100_000 });
    const last = entries.findLast((entry) => entry.at <= at);
    return last?.removed === true ? undefined : last;
  }

  return {
    async asOf(name, when) {
      const at = timeOf(when);
      const record = await findModel(scope, assertText(name, 'A model name'));
      const model = record && (await entryAt('model', record.id, at));
      if (record === undefined || model === undefined) return undefined;
      const versions: VersionAsOf[] = [];
      const all = everyRecord(scope, 'model_version', {
        where: { op: 'and', of: [is('modelId', record.id), until(at)] },
        orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'asc' }],
      });
      for await (const { id } of all) {
        const entry = await entryAt('model_version', id, at);
        if (entry !== undefined) versions.push(versionAsOf(id, entry));
      }
      const named = new Map(versions.map(({ id, version }) => [id, version]));
      const aliases = Object.entries((model.body['aliases'] ?? {}) as Record<string, string>);
      const production = model.columns['productionVersionId'] as string | undefined;
      return {
        ...{ id: record.id, name, at, versions },
        description: (model.body['description'] ?? '') as string,
        deleted: model.columns['deletedAt'] !== undefined,
        policy: model.body['policy'] as unknown as StagePolicy,
        aliases: Object.fromEntries(
          aliases.map(([alias, id]) => [alias, named.get(id) ?? id] as const),
        ),
        ...optional('production', production && named.get(production)),
        ...{ changedBy: model.by, changedAt: model.at },
        ...optional('reason', model.reason),
      };
    },
  };
}

function versionAsOf(id: string, { columns: c }: RevisionEntry): VersionAsOf {
  return {
    id,
    number: c['number'] as number,
    version: c['version'] as string,
    stage: c['stage'] as Stage,
    status: c['status'] as VersionAsOf['status'],
    deprecated: c['deprecatedAt'] !== undefined,
    deleted: c['deletedAt'] !== undefined,
  };
}

function until(at: number): Predicate {
  const left = { from: 'column', name: 'createdAt' } as const;
  return { op: 'compare', left, cmp: '<=', value: at };
}

function timeOf(at: unknown): number {
  const time = at instanceof Date ? at.getTime() : at;
  if (typeof time === 'number' && !Number.isNaN(time)) return time;
  throw new KeelsonError('INVALID', 'The time of asOf must be epoch milliseconds or a Date.');
}
