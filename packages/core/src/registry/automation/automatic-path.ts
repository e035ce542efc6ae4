import type { StoredEvent } from '../../contracts/event.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { storableText } from '../../json.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { everyRecord } from '../../operations/every-record.ts';
import { optional } from '../../tracking/run.ts';
import type { Tracking } from '../../tracking/tracking.ts';
import { emitOfModel } from '../emit-of-model.ts';
import { is, readVersionById } from '../model-records.ts';
import type { Registry } from '../registry.ts';
import {
  type Automation,
  type AutomationOutcome,
  type AutomationState,
  automationFromRecord,
  outcomeFromRecord,
  unmet,
} from './automation.ts';

/** What the automatic path needs of other rooms. */
export interface AutomaticPathParts {
  readonly tracking: Tracking;
  readonly registry: Pick<Registry, 'register' | 'requestTransition'>;
  /** Starts a pipeline that validates a version, once for a key; answers the execution's id. */
  startPipeline(
    name: string,
    parameters: Readonly<Record<string, string>>,
    idempotencyKey: string,
  ): Promise<string>;
}

/** The types of events that move automations on. */
export const automationTriggers: readonly string[] = [
  'run.completed',
  'pipeline.completed',
  'pipeline.failed',
  'pipeline.cancelled',
];

const hourMs = 3_600_000;
const keyPrefix = 'automation:';
const final: ReadonlySet<AutomationState> = new Set(['NOT_TAKEN', 'LIMITED', 'DONE', 'FAILED']);
/** What no later attempt would change. */
const lasting = ['INVALID', 'NOT_FOUND', 'CONFLICT', 'FORBIDDEN', 'CORRUPT', 'FAILED'] as const;

/**
 * Handles one event: a run that has ended is taken or not; an execution that has ended moves the version that
 * it validated on. What was done already is found done, so that events may come again, to any process.
 */
export function createAutomaticPath(
  scope: Scope,
  parts: AutomaticPathParts,
): (event: StoredEvent) => Promise<void> {
  const { metadata, workspace } = scope;

  async function read(id: string): Promise<AutomationOutcome | undefined> {
    const record = await metadata.find(workspace, 'automation_outcome', id);
    return record && outcomeFromRecord(record);
  }

  async function onRun({ payload, at, correlationId }: StoredEvent): Promise<void> {
    const experimentId = String(payload['experimentId']);
    const runId = String(payload['runId']);
    for await (const record of everyRecord(scope, 'automation', {
      where: is('experimentId', experimentId),
    })) {
      const automation = automationFromRecord(record);
      // It is for what ends after it was made.
      if (at < automation.createdAt) continue;
      const id = `${automation.id}:${runId}`;
      if ((await read(id)) === undefined) await judge(automation, { id, runId, correlationId });
      await goOn(automation, id);
    }
  }

  /** Takes the run or not. Asserting the automation keeps the limit, whoever takes runs beside. */
  async function judge(
    { name, id: automationId }: Automation,
    of: { readonly id: string; readonly runId: string; readonly correlationId: string },
  ): Promise<void> {
    const { id, runId, correlationId } = of;
    const run = await parts.tracking.getRun(runId);
    try {
      await decideAndCommit(scope, async () => {
        const record = await metadata.find(workspace, 'automation', automationId);
        if (record === undefined) return { changes: [], result: undefined };
        const automation = automationFromRecord(record);
        const reasons = unmet(automation, run);
        const full = reasons.length === 0 && (await isFull(automation));
        const why = full
          ? [`${automation.maxPerHour} runs were taken within an hour, the most there may be`]
          : reasons;
        const state: AutomationState = full ? 'LIMITED' : why.length > 0 ? 'NOT_TAKEN' : 'TAKEN';
        const create: Change = {
          ...({ op: 'create', kind: 'automation_outcome', id } as const),
          columns: { automationId, runId, state, correlationId },
          body: { reasons: why },
        };
        const taken: Change = {
          ...({ op: 'replace', kind: 'automation', id: automationId } as const),
          expect: record.revision,
        };
        const declined = { automation: name, runId, reasons: why };
        return {
          changes:
            state === 'TAKEN'
              ? [taken, create]
              : [create, emitOfModel(scope, 'automation.declined', automation.model, declined)],
          result: undefined,
        };
      });
    } catch (error) {
      // The same event was handled elsewhere at the same time.
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
  }

  async function isFull({ id, maxPerHour }: Automation): Promise<boolean> {
    const since = { from: 'column', name: 'createdAt' } as const;
    const of: Predicate[] = [
      is('automationId', id),
      {
        op: 'in',
        left: { from: 'column', name: 'state' },
        values: ['TAKEN', 'VALIDATING', 'DONE', 'FAILED'],
      },
      { op: 'compare', left: since, cmp: '>', value: (await metadata.now()) - hourMs },
    ];
    const where = { op: 'and', of } as const;
    const { count } = await metadata.count(workspace, 'automation_outcome', where, { exact: true });
    return count >= maxPerHour;
  }

  /** From wherever it stands to where it has to wait, or to its end. */
  async function goOn(automation: Automation, id: string): Promise<void> {
    const outcome = await read(id);
    if (outcome === undefined || outcome.state !== 'TAKEN') return;
    try {
      const versionId = await registered(automation, outcome);
      if (automation.pipeline === undefined) return await promoted(automation, id, versionId);
      const { model, version } = await readVersionById(scope, versionId);
      const parameters = { versionId, model, version };
      const key = `${keyPrefix}${id}`;
      const executionId = await parts.startPipeline(automation.pipeline, parameters, key);
      await move(id, ['TAKEN'], () => ({ state: 'VALIDATING', executionId, versionId }));
    } catch (error) {
      await failed(automation, id, error);
    }
  }

  async function registered(
    { model, path, bump, name, format }: Automation,
    { runId, id }: AutomationOutcome,
  ): Promise<string> {
    const run = await parts.tracking.getRun(runId);
    const version = await parts.registry.register({
      ...{ model, bump, from: { runId, path }, metrics: run.metrics },
      ...optional('format', format),
      lineage: { cause: { automation: name, outcome: id } },
    });
    return version.id;
  }

  async function promoted(automation: Automation, id: string, versionId: string): Promise<void> {
    const { model, name } = automation;
    let transition: { readonly id: string; readonly status: string } | undefined;
    if (automation.promote) {
      const { version } = await readVersionById(scope, versionId);
      transition = await parts.registry.requestTransition({
        ...{ model, version, to: 'STAGING', requestKey: `${keyPrefix}${id}` },
        reason: `By the automation ${name}`,
      });
    }
    await move(id, ['TAKEN', 'VALIDATING'], ({ runId }) => ({
      ...{ state: 'DONE', versionId },
      ...optional('transitionId', transition?.id),
      told: emitOfModel(scope, 'automation.completed', model, {
        ...{ automation: name, runId, versionId },
        ...optional('transitionId', transition?.id),
        ...optional('transition', transition?.status),
      }),
    }));
  }

  async function failed(automation: Automation, id: string, error: unknown): Promise<void> {
    if (!isKeelsonError(error, ...lasting)) throw error;
    const reason = storableText(error.message, 2000);
    await move(id, ['TAKEN', 'VALIDATING'], ({ runId }) => ({
      ...{ state: 'FAILED', reasons: [reason] },
      told: emitOfModel(scope, 'automation.failed', automation.model, {
        ...{ automation: automation.name, runId, reason },
      }),
    }));
  }

  /** Nothing where the outcome is no longer in one of the states. */
  async function move(
    id: string,
    from: readonly AutomationState[],
    next: (outcome: AutomationOutcome) => Partial<AutomationOutcome> & { readonly told?: Change },
  ): Promise<void> {
    await decideAndCommit(scope, async () => {
      const outcome = await read(id);
      if (outcome === undefined || !from.includes(outcome.state)) {
        return { changes: [], result: undefined };
      }
      const { told, reasons = outcome.reasons, ...columns } = next(outcome);
      const replace: Change = {
        ...({ op: 'replace', kind: 'automation_outcome', id, expect: outcome.revision } as const),
        ...{ columns, body: { reasons: [...reasons] } },
      };
      return { changes: told === undefined ? [replace] : [replace, told], result: undefined };
    });
  }

  async function onExecution({ type, payload }: StoredEvent): Promise<void> {
    const executionId = String(payload['executionId']);
    const execution = await metadata.find(workspace, 'execution', executionId);
    const key = execution?.columns['idempotencyKey'];
    if (typeof key !== 'string' || !key.startsWith(keyPrefix)) return;
    const id = key.slice(keyPrefix.length);
    const outcome = await read(id);
    if (outcome === undefined || final.has(outcome.state)) return;
    const record = await metadata.find(workspace, 'automation', outcome.automationId);
    if (record === undefined) return;
    const automation = automationFromRecord(record);
    const passed = type === 'pipeline.completed';
    try {
      const versionId = await registered(automation, outcome);
      await annotate(versionId, `pipeline ${automation.pipeline}`, passed);
      if (passed) return await promoted(automation, id, versionId);
      const how = type === 'pipeline.failed' ? 'has FAILED' : 'was CANCELLED';
      throw new KeelsonError(
        'FAILED',
        `The pipeline ${automation.pipeline} ${how}: execution ${executionId}.`,
      );
    } catch (error) {
      await failed(automation, id, error);
    }
  }

  async function annotate(id: string, name: string, passed: boolean): Promise<void> {
    const set = { validations: Object.fromEntries([[name, passed ? 'passed' : 'failed']]) };
    const changes: readonly Change[] = [{ op: 'merge', kind: 'model_version', id, set }];
    await decideAndCommit(scope, async () => ({ changes, result: undefined }));
  }

  return (event) => (event.type === 'run.completed' ? onRun(event) : onExecution(event));
}
