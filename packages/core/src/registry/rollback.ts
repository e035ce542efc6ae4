import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { currentCorrelation, withCorrelation } from '../events/correlation.ts';
import { draftEvent } from '../events/draft-event.ts';
import { assertText } from '../json.ts';
import { assertAllowed, type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { columnIs } from '../operations/every-record.ts';
import { incidentCreated, incidentKind } from '../operations/incidents/incident.ts';
import { optional } from '../tracking/run.ts';
import { emitOfModel } from './emit-of-model.ts';
import { is, readModel, readVersion, readVersionById } from './model-records.ts';
import type { Model, ModelVersion, Stage } from './model-version.ts';
import { modelChanged, stageChanged, versionsInProduction } from './stage-moves.ts';
import { transitionCreated, transitionFromRecord } from './transition.ts';

/** Why, and where to, when that is not plain. */
export interface RollbackOptions {
  readonly reason: string;
  /** Semver of what leaves production; needed where several are there. */
  readonly from?: string;
  /** Semver of what comes back; the version that was in production before when left out. */
  readonly to?: string;
}

/** What an emergency rollback has done. */
export interface Rollback {
  readonly demoted: ModelVersion;
  readonly reinstated: ModelVersion;
  /** Its review is open. */
  readonly incidentId: string;
}

const shape = z.strictObject({
  reason: z.string().min(1),
  from: z.string().optional(),
  to: z.string().optional(),
} satisfies Record<keyof RollbackOptions, z.ZodType>);

/** Demotes the version in production and reinstates the former one, in one commit. */
export async function rollBack(
  scope: Scope,
  name: string,
  options: RollbackOptions,
): Promise<Rollback> {
  assertText(name, 'A model name');
  checkOptions(shape, options, 'rollback');
  assertText(options.reason, 'A reason', 2000);
  await assertAllowed(scope, 'model.rollback', `model:${name}`);
  const correlationId = currentCorrelation()?.correlationId ?? scope.ids.next();
  const done = await withCorrelation({ ...currentCorrelation(), correlationId }, () =>
    decideAndCommit(scope, () => decide(scope, name, options, correlationId)),
  );
  const [demoted, reinstated] = await Promise.all([
    readVersionById(scope, done.demoted),
    readVersionById(scope, done.reinstated),
  ]);
  return { demoted, reinstated, incidentId: done.incidentId };
}

interface Done {
  readonly demoted: string;
  readonly reinstated: string;
  readonly incidentId: string;
}

async function decide(
  scope: Scope,
  name: string,
  options: RollbackOptions,
  correlationId: string,
): Promise<Decision<Done>> {
  const { reason } = options;
  const model = await readModel(scope, name);
  const present = await versionsInProduction(scope, model.id);
  const leaving = chooseLeaving(model, present, options.from);
  const coming = await chooseComing(scope, model, leaving, options.to);
  const incident = await incidentFor(scope, correlationId, {
    title: `Emergency rollback of ${name} from ${leaving.version} to ${coming.version}`,
    ...{ model: name, reason },
  });
  const moves = [
    { version: leaving, from: 'PRODUCTION', to: 'STAGING' },
    { version: coming, from: 'ARCHIVED', to: 'PRODUCTION' },
  ] as const;
  // Whatever was being applied is overtaken: its saga finds itself no longer named, and turns back.
  const changes: Change[] = [
    modelChanged(model, { productionVersionId: coming.id, applyingId: undefined }),
  ];
  for (const { version, from, to } of moves) {
    changes.push(...emergencyMove(scope, model, version, { from, to, reason }));
  }
  const result = { demoted: leaving.id, reinstated: coming.id, incidentId: incident.id };
  return { changes: [...changes, ...incident.changes], result, reason };
}

/** Moves a version on a way that no policy has, without checks and approvals. */
export function emergencyMove(
  scope: Pick<Scope, 'clock' | 'ids' | 'principal'>,
  model: Model,
  version: ModelVersion,
  move: {
    readonly from: Stage;
    readonly to: Stage;
    readonly reason: string;
    /** Of the transition. */
    readonly id?: string;
  },
): readonly Change[] {
  const { from, to, reason, id = scope.ids.next() } = move;
  const { id: versionId } = version;
  return [
    stageChanged(version, to),
    transitionCreated({
      ...{ id, modelId: model.id, versionId, from, to, reason, status: 'DONE', emergency: true },
      ...{ requestedBy: scope.principal.id, checks: [], approvals: [] },
    }),
    emitOfModel(scope, 'model.promoted', model.name, {
      ...{ versionId, version: version.version, oldStage: from, newStage: to, transitionId: id },
      ...{ approvals: [], emergency: true },
    }),
  ];
}

function chooseLeaving(
  model: Model,
  present: readonly ModelVersion[],
  asked: string | undefined,
): ModelVersion {
  const found =
    asked === undefined
      ? present.length === 1
        ? present[0]
        : undefined
      : present.find(({ version }) => version === asked);
  if (found !== undefined) return found;
  const there = present.map(({ version }) => version).join(', ');
  throw new KeelsonError(
    'CONFLICT',
    there === ''
      ? `Model ${model.name} has no version in production; there is nothing to roll back.`
      : `Model ${model.name} has ${there} in production; say which one leaves (from).`,
  );
}

/** The newest that was in production before, is archived now, and whose content is there. */
async function chooseComing(
  scope: Scope,
  model: Model,
  leaving: ModelVersion,
  asked: string | undefined,
): Promise<ModelVersion> {
  if (asked !== undefined) {
    const version = await readVersion(scope, model.name, asked);
    const problem = await whyNot(scope, version);
    if (problem === undefined) return version;
    throw new KeelsonError(
      'CONFLICT',
      `Version ${asked} of ${model.name} cannot come back: ${problem}.`,
    );
  }
  const problems: string[] = [];
  for (const id of await formerIds(scope, model.id)) {
    if (id === leaving.id) continue;
    const version = await readVersionById(scope, id);
    const problem = await whyNot(scope, version);
    if (problem === undefined) return version;
    problems.push(`${version.version} ${problem}`);
  }
  const found = problems.length === 0 ? 'none was in production before' : problems.join('; ');
  throw new KeelsonError('CONFLICT', `Model ${model.name} has no version to go back to: ${found}.`);
}

/** What was in production, the one that came last first. */
async function formerIds(scope: Scope, modelId: string): Promise<readonly string[]> {
  const { records } = await scope.metadata.query(scope.workspace, 'stage_transition', {
    where: {
      op: 'and',
      of: [is('modelId', modelId), is('status', 'DONE'), is('toStage', 'PRODUCTION')],
    },
    orderBy: [{ by: { from: 'column', name: 'updatedAt' }, direction: 'desc' }],
    limit: 200,
  });
  return [...new Set(records.map((record) => transitionFromRecord(record).versionId))];
}

/**
 * Why a version cannot come back into production; undefined when it can. Its content is only looked for: reading all
 * of it would take long, and who loads it verifies it.
 */
export async function whyNot(
  scope: Pick<Scope, 'artifacts'>,
  version: ModelVersion,
): Promise<string | undefined> {
  if (version.deletedAt !== undefined) return 'was deleted';
  if (version.stage !== 'ARCHIVED') return `is in ${version.stage}`;
  if (version.status === 'FAILED') return `is damaged (${version.failure ?? 'by its content'})`;
  for (const { path, sha256 } of version.files) {
    if ((await scope.artifacts.find(sha256)) === undefined)
      return `has lost the content of ${path}`;
  }
  return undefined;
}

async function incidentFor(
  scope: Scope,
  correlationId: string,
  about: { readonly title: string; readonly model: string; readonly reason: string },
): Promise<{ readonly id: string; readonly changes: readonly Change[] }> {
  const { metadata, workspace, clock, principal } = scope;
  const where = columnIs('correlationId', correlationId);
  const { records } = await metadata.query(workspace, incidentKind, { where, limit: 1 });
  if (records[0] !== undefined) return { id: records[0].id, changes: [] };
  const { title, model, reason } = about;
  const id = scope.ids.next();
  const at = clock.now();
  const concerns = `model:${model}`;
  const severity = 'CRITICAL';
  const created = incidentCreated({
    ...{ id, correlationId, title, severity, state: 'OPEN', concerns, model },
    ...{ openedAt: at, openedBy: principal.id, notes: [{ at, by: principal.id, text: reason }] },
    triggers: [{ type: 'model.promoted', at, text: title }],
  });
  const event = draftEvent(scope, {
    type: 'incident.opened',
    subject: `incident:${id}`,
    source: 'operations',
    payload: { incidentId: id, severity, title, ...optional('concerns', concerns) },
  });
  return { id, changes: [created, { op: 'emit', event }] };
}
