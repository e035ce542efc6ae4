import type { TaskHandle } from '../contracts/executor.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Columns, StoredRecord } from '../contracts/record.ts';
import type { Json, JsonObject } from '../json.ts';
import type { Held } from './admission/admission.ts';
import { derivedId, given } from './execution.ts';
import type { StepStatus } from './execution-state.ts';
import type { ArtifactFacts } from './step-artifact.ts';
import type { StepFailure } from './step-policy.ts';

/** One step of one execution, as it is read. */
export interface StepExecution {
  readonly id: string;
  readonly executionId: string;
  readonly step: string;
  /** Which item of a fan-out it is, `00000` and up; empty for the step itself. */
  readonly mapKey: string;
  readonly status: StepStatus;
  /** 0 before the first start. */
  readonly attempt: number;
  /** Attempts of this round that failed by themselves. */
  readonly failures: number;
  /** Attempts of this round whose process died. */
  readonly losses: number;
  /** The end of a back-off, while it waits for one. */
  readonly readyAt?: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
  /** The process that runs it or ran it last. */
  readonly owner?: JsonObject;
  /** Why the last attempt failed. */
  readonly failure?: StepFailure;
  /** Why it was skipped. */
  readonly skipReason?: string;
  /** Whether its failure was tolerated: the execution went on. */
  readonly tolerated?: boolean;
  /** What it waits for, where that is neither a step nor a time. */
  readonly waitsFor?: string;
  /** What it has put out; of one that failed, what it asked to be kept of its last attempt. */
  readonly artifacts: readonly ArtifactFacts[];
  /** How many items the list of a fan-out has. */
  readonly items?: number;
  /** How many of them have not ended, while it waits for them. */
  readonly itemsLeft?: number;
  /**
   * How far it says that it has come, where this process watches over the attempt that runs.
   */
  readonly progress?: StepProgress;
  /** 1 for the first, of a step that repeats. */
  readonly iteration?: number;
  /** Why the other items of a fan-out were ended. */
  readonly stoppedEarly?: string;
  /** The execution that it has asked for. */
  readonly childExecutionId?: string;
  /** The attempt whose result stands for its own. */
  readonly cachedFrom?: CachedFrom;
  readonly cacheKey?: string;
  /** Why its result was taken from an earlier one, or computed. */
  readonly cacheNote?: string;
  /** What was reserved for it. */
  readonly allocated?: JsonObject;
  /** Of the last attempt, as far as its executor tells. */
  readonly executor?: string;
  readonly externalId?: string;
  readonly node?: string;
  readonly image?: string;
  readonly exitCode?: number;
  readonly usage?: JsonObject;
  /** What it has written, as an artifact of JSON lines. */
  readonly log?: ArtifactFacts;
  readonly logsUri?: string;
}

/** How far an attempt says that it has come. */
export interface StepProgress {
  /** From 0 to 1. */
  readonly share: number;
  readonly message?: string;
  readonly at: number;
}

/** Which attempt a result was taken from. */
export interface CachedFrom {
  readonly executionId: string;
  readonly step: string;
  readonly mapKey: string;
  readonly attempt: number;
  readonly at: number;
}

/** Why a step was skipped: what follows from it for those that depend on it, and for a retry. */
export type SkipKind = 'condition' | 'upstream' | 'stopped' | 'partial' | 'early';

/** The output of a completed step as its record keeps it: inline when small, else as content. */
export interface StoredOutput {
  /** SHA-256 of the canonical JSON of the packed value. */
  readonly digest: string;
  readonly value?: Json;
  readonly content?: ArtifactFacts;
}

/** A step with what only the engine needs. */
export interface StepState extends StepExecution {
  /** What of it users see. */
  readonly facts: StepExecution;
  readonly revision: number;
  readonly body: JsonObject;
  readonly record: StoredRecord;
  readonly definition: string;
  readonly pipeline: string;
  readonly correlationId: string;
  readonly pendingDeps: number;
  readonly toRelease: number;
  readonly output?: StoredOutput;
  readonly runsOn: string;
  /** When the record came to its revision: since when it could start, for one that waits. */
  readonly since: number;
  readonly missingDeps: number;
  readonly runningItems: number;
  readonly priority: number;
  readonly submittedBy?: string;
  readonly skip?: SkipKind;
  /** What its running holds of what others want too: see decision 0070. */
  readonly held: readonly Held[];
  /** Of an item: the record of its fan-out. */
  readonly fanOut: string;
  /** The executor's handle of the attempt. */
  readonly task?: TaskHandle;
  /** What the iteration before has put out. */
  readonly previous?: StoredOutput;
}

/** What a record of kind `step_execution` says. */
export function stepFromRecord(record: StoredRecord): StepState {
  const { columns: c, body } = record;
  const facts = factsOf(record);
  return {
    ...facts,
    facts,
    revision: record.revision,
    body,
    record,
    definition: c['definition'] as string,
    pipeline: c['pipeline'] as string,
    correlationId: body['correlationId'] as string,
    pendingDeps: c['pendingDeps'] as number,
    toRelease: (c['toRelease'] as number | undefined) ?? 0,
    ...given('output', body['output'] as StoredOutput | undefined),
    since: record.updatedAt,
    fanOut: stepExecutionId(facts.executionId, facts.step),
    runsOn: (c['runsOn'] as string | undefined) ?? `function:${c['definition'] as string}`,
    missingDeps: (c['missingDeps'] as number | undefined) ?? 0,
    runningItems: (c['runningItems'] as number | undefined) ?? 0,
    priority: c['priority'] as number,
    ...given('submittedBy', c['submittedBy'] as string | undefined),
    ...given('skip', body['skip'] as SkipKind | undefined),
    held: (body['held'] ?? []) as unknown as readonly Held[],
    ...given('task', body['task'] as unknown as TaskHandle | undefined),
    ...given('previous', body['previous'] as unknown as StoredOutput | undefined),
  };
}

function factsOf({ id, columns: c, body }: StoredRecord): StepExecution {
  const status = c['status'] as StepStatus;
  const readyAt = c['readyAt'] as number;
  return {
    id,
    executionId: c['executionId'] as string,
    step: c['step'] as string,
    mapKey: c['mapKey'] as string,
    status,
    attempt: c['attempt'] as number,
    failures: c['failures'] as number,
    losses: c['losses'] as number,
    ...given(
      'readyAt',
      status === 'PENDING' && readyAt > 0 && readyAt < parkedAt ? readyAt : undefined,
    ),
    ...given('startedAt', c['startedAt'] as number | undefined),
    ...given('endedAt', c['endedAt'] as number | undefined),
    ...given('owner', body['owner'] as JsonObject | undefined),
    ...given('failure', body['failure'] as StepFailure | undefined),
    ...given('skipReason', body['skipReason'] as string | undefined),
    ...given('tolerated', body['tolerated'] as boolean | undefined),
    ...given('waitsFor', status === 'PENDING' ? (body['waitsFor'] as string) : undefined),
    artifacts: (body['artifacts'] ?? []) as unknown as readonly ArtifactFacts[],
    ...given('items', body['items'] as number | undefined),
    ...given('itemsLeft', itemsLeft(c, body)),
    ...given('iteration', body['iteration'] as number | undefined),
    ...given('stoppedEarly', body['stoppedEarly'] as string | undefined),
    ...given('childExecutionId', body['child'] as string | undefined),
    ...given('cachedFrom', body['cachedFrom'] as unknown as CachedFrom | undefined),
    ...given('cacheKey', c['cacheKey'] as string | undefined),
    ...given('cacheNote', body['cacheNote'] as string | undefined),
    ...given('allocated', body['allocated'] as JsonObject | undefined),
    ...detailsOf(body),
  };
}

function itemsLeft(c: Columns, body: JsonObject): number | undefined {
  const waits = c['status'] === 'RUNNING' && body['items'] !== undefined && c['mapKey'] === '';
  return waits ? Math.max(0, c['pendingDeps'] as number) : undefined;
}

/** What an executor tells of an attempt. */
export type AttemptDetails = Pick<
  StepExecution,
  'executor' | 'externalId' | 'node' | 'image' | 'exitCode' | 'usage' | 'log' | 'logsUri'
>;

const detailNames = [
  'executor',
  'externalId',
  'node',
  'image',
  'exitCode',
  'usage',
  'log',
  'logsUri',
] as const;

function detailsOf(body: JsonObject): AttemptDetails {
  const there = detailNames.filter((name) => body[name] !== undefined);
  return Object.fromEntries(there.map((name) => [name, body[name]])) as AttemptDetails;
}

/** A body without what concerns an earlier attempt. */
export function withoutAttempt(body: JsonObject): JsonObject {
  const over = new Set<string>([
    ...detailNames,
    ...['task', 'failure', 'owner', 'waitsFor', 'child', 'artifacts'],
  ]);
  return Object.fromEntries(Object.entries(body).filter(([name]) => !over.has(name)));
}

/** The time that stands for `until somebody says so`: of a step whose execution is paused. */
export const parkedAt = 8_640_000_000_000_000;

/** The key of the item at `index` of a fan-out. */
export function mapKeyOf(index: number): string {
  return String(index).padStart(5, '0');
}

/** How people and logs name a step, or an item of it. */
export function stepLabel({ step, mapKey }: Pick<StepExecution, 'step' | 'mapKey'>): string {
  return mapKey === '' ? step : `${step}[${Number(mapKey)}]`;
}

/** The id of the record of a step: the same whoever computes it. */
export function stepExecutionId(executionId: string, step: string, mapKey = ''): string {
  return derivedId(executionId, 'step', step, mapKey);
}

/** The id of the run of tracking that stands for an attempt. */
export function attemptRunId(
  executionId: string,
  step: string,
  attempt: number,
  mapKey = '',
): string {
  const item = mapKey === '' ? [] : [mapKey];
  return derivedId(executionId, 'run', step, attempt, ...item);
}

/** The run of the attempt whose result a completed step has: its own, or of the one that it was taken from. */
export function resultRunId(state: StepState): string {
  const computedBy = state.body['computedBy'] as unknown as CachedFrom | undefined;
  const { executionId, step, attempt, mapKey } = computedBy ?? state.cachedFrom ?? state;
  return attemptRunId(executionId, step, attempt, mapKey);
}

/** Where an output of a step lies, logically. */
export function outputPath(
  where: Pick<StepState, 'pipeline' | 'executionId' | 'step' | 'mapKey'>,
  name: string,
): string {
  const { pipeline, executionId, step, mapKey } = where;
  const item = mapKey === '' ? '' : `/items/${mapKey}`;
  return `pipelines/${pipeline}/runs/${executionId}/steps/${step}${item}/outputs/${name}`;
}

/** The step as a replacement of it leaves it, once that is committed and has brought it to `revision`. */
export function replacedStep(
  { record }: StepState,
  { columns = {}, body = record.body }: Extract<Change, { op: 'replace' }>,
  commit: { readonly at: number; readonly revision: number },
): StepState {
  return stepFromRecord({
    ...record,
    columns: { ...record.columns, ...columns },
    body,
    revision: commit.revision,
    updatedAt: commit.at,
  });
}

/** A change of a step's record that expects it as it was read. */
export function replaceStep(
  state: StepState,
  columns: Columns,
  body: JsonObject = state.body,
): Change {
  return {
    op: 'replace',
    kind: 'step_execution',
    id: state.id,
    expect: state.revision,
    columns,
    body,
  };
}
