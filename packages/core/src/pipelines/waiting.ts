import type { StoredEvent } from '../contracts/event.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { ownerState } from '../process-owner.ts';
import type { Definitions } from './definitions.ts';
import type { StepEngine, StepNews } from './engine.ts';
import type { ExecutionState } from './execution.ts';
import type { ExecutionRecords } from './execution-records.ts';
import { hasEnded } from './execution-state.ts';
import { isUnsettled, type Settling } from './settling.ts';
import type { StepState } from './step-execution.ts';
import type { RunLink } from './steps/run-link.ts';
import type { StepFunctions } from './steps/step-functions.ts';
import type { StepLeases } from './steps/step-leases.ts';

/** How to wait for an execution. */
export interface WaitOptions {
  /** Aborting it stops the waiting (ABORTED), not the execution. */
  readonly signal?: AbortSignal;
  /** TIMEOUT after this; the execution goes on. */
  readonly timeoutMs?: number;
  /** Called with each event of the execution and its steps from now on, whoever runs them, in order. */
  readonly onProgress?: (event: StoredEvent) => void;
}

/** What waiting needs. */
export interface WaitingParts {
  readonly records: ExecutionRecords;
  readonly definitions: Pick<Definitions, 'get'>;
  readonly engine: StepEngine;
  readonly leases: StepLeases;
  readonly settling: Settling;
  readonly link: RunLink;
  readonly functions: StepFunctions;
  /** The names of the executors that this process has. */
  readonly executors: () => readonly string[];
}

const restMs = 250;
/** So old may be what a step's end has left in memory, when it wakes a waiter. */
const recentMs = 20;
const explainAfterMs = 1000;

/**
 * Waits for an execution to end, running its steps here as far as this process has their functions:
 * alone, it takes it from beginning to end without a pause between steps.
 */
export async function waitForExecution(
  scope: Scope,
  parts: WaitingParts,
  executionId: string,
  options: WaitOptions,
): Promise<ExecutionState> {
  const { records, engine, leases, settling, link } = parts;
  const waker = new Waker(engine, options);
  const events = await openFeed(scope, executionId, options.onProgress);
  const voice = new Voice(scope, parts);
  // With those that its steps have asked for.
  let family: readonly string[] = [executionId];
  let withinMs = Number.NEGATIVE_INFINITY;
  try {
    await leases.lookForDead();
    for (;;) {
      waker.assertGoing(executionId);
      const known = records.remembered(executionId, withinMs);
      const execution = known ?? (await records.get(executionId));
      withinMs = recentMs;
      await events?.deliver(execution.correlationId);
      if (hasEnded(execution.status)) {
        await link.close(execution);
        return execution;
      }
      if (isUnsettled(scope, execution) && (await settling.settle(executionId))) continue;
      const seen = waker.count;
      const launched = await engine.pump(family, await placesOf(parts, execution, family));
      if (engine.isBusy(family)) {
        const untilDeadline = (execution.deadlineAt ?? Infinity) - scope.clock.now();
        const ms = Math.min(launched > 0 ? 5000 : restMs, Math.max(1, untilDeadline));
        while ((await waker.rest(seen, ms)) === 'began') {
          await events?.deliver(execution.correlationId);
          // Its time runs from now on.
          if (execution.status === 'PENDING' && execution.body['timeoutMs'] !== undefined) break;
        }
        continue;
      }
      // A step may have ended between the two looks.
      if (launched > 0 || waker.count > seen) continue;
      const grown = await familyOf(records, executionId);
      if (grown.some((id) => !family.includes(id))) {
        family = grown;
        continue;
      }
      family = grown;
      if (await settleAll(settling, family.slice(1))) continue;
      if (await leases.lookForDead()) continue;
      await voice.explain(execution);
      await waker.rest(seen, await dueIn(scope, records, execution));
    }
  } finally {
    waker.dispose();
  }
}

/** An execution, and those that its steps wait for. */
async function familyOf(
  records: ExecutionRecords,
  executionId: string,
): Promise<readonly string[]> {
  const family = [executionId];
  for (const id of family) {
    if (family.length > 200) break;
    const running = await records.steps(id, { statuses: ['RUNNING'], limit: 1000 });
    for (const { childExecutionId } of running) {
      if (childExecutionId !== undefined) family.push(childExecutionId);
    }
  }
  return family;
}

/** Where the steps of a family run: looked for are only those that it has. */
async function placesOf(
  { records, definitions }: WaitingParts,
  execution: ExecutionState,
  family: readonly string[],
): Promise<ReadonlySet<string>> {
  const places = new Set<string>();
  for (const id of family) {
    const member = id === execution.id ? execution : records.remembered(id);
    const { definition: digest } = member ?? (await records.get(id));
    for (const place of (await definitions.get(digest)).places) places.add(place);
  }
  return places;
}

async function settleAll(settling: Settling, executions: readonly string[]): Promise<boolean> {
  let any = false;
  for (const id of executions) any = (await settling.settle(id)) || any;
  return any;
}

function isGiven(text: string | undefined): text is string {
  return text !== undefined;
}

/** How long there is nothing to do: until a back-off ends, and not so long that others go unnoticed. */
async function dueIn(
  scope: Scope,
  records: ExecutionRecords,
  execution: ExecutionState,
): Promise<number> {
  const pending = await records.steps(execution.id, { statuses: ['PENDING'], limit: 1000 });
  const times = pending
    .filter((state) => state.pendingDeps === 0)
    .map((state) => state.readyAt ?? 0);
  const next = Math.min(...times.filter((at) => at > 0)) - scope.clock.now();
  return Math.min(restMs, Math.max(5, Number.isFinite(next) ? next : restMs));
}

/** Wakes a waiter when something happens here, when time is up, when it is to stop. */
class Waker {
  count = 0;
  readonly #deadline: number;
  readonly #timeoutMs: number | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #stop: () => void;
  readonly #wake: () => void;
  #resolve: ((news: StepNews) => void) | undefined;

  constructor(engine: StepEngine, options: WaitOptions) {
    this.#signal = options.signal;
    this.#timeoutMs = options.timeoutMs;
    this.#deadline = Date.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
    this.#wake = () => {
      this.count += 1;
      this.#resolve?.('ended');
    };
    this.#stop = engine.onNews((what) => {
      if (what === 'ended') this.#wake();
      else this.#resolve?.('began');
    });
    options.signal?.addEventListener('abort', this.#wake);
  }

  assertGoing(executionId: string): void {
    if (this.#signal?.aborted) {
      const cause: unknown = this.#signal.reason;
      const message = `Waiting for execution ${executionId} was aborted; the execution goes on.`;
      throw new KeelsonError('ABORTED', message, { cause });
    }
    if (Date.now() < this.#deadline) return;
    const message = `Execution ${executionId} has not ended within ${this.#timeoutMs} ms; it goes on.`;
    throw new KeelsonError('TIMEOUT', message);
  }

  /** Until something has ended since `seen` or begun now, at most `ms`; time that is up counts as ended. */
  rest(seen: number, ms: number): Promise<StepNews> {
    if (this.count > seen) return Promise.resolve('ended');
    const left = Math.max(0, Math.min(ms, this.#deadline - Date.now()));
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve('ended'), left);
      this.#resolve = (news) => {
        clearTimeout(timer);
        resolve(news);
      };
    });
  }

  dispose(): void {
    this.#stop();
    this.#signal?.removeEventListener('abort', this.#wake);
  }
}

/** Hands over the events of one execution as they are committed, by whichever process. */
async function openFeed(
  scope: Scope,
  executionId: string,
  listener: ((event: StoredEvent) => void) | undefined,
): Promise<{ deliver(correlationId: string): Promise<void> } | undefined> {
  if (listener === undefined) return undefined;
  const { metadata, workspace } = scope;
  let after = await metadata.latestEventCursor();
  return {
    async deliver(correlationId) {
      for (;;) {
        const filter = { correlationId };
        const batch = await metadata.readEvents({ workspace, after, filter, limit: 200 });
        after = batch.cursor;
        for (const event of batch.events) {
          if (event.payload['executionId'] === executionId) listener(event);
        }
        if (batch.events.length < 200) return;
      }
    },
  };
}

/** Says, once each, what an execution is waiting for when it is not for this process. */
class Voice {
  readonly #scope: Scope;
  readonly #parts: WaitingParts;
  readonly #since: number = Date.now();
  #said = '';

  constructor(scope: Scope, parts: WaitingParts) {
    this.#scope = scope;
    this.#parts = parts;
  }

  async explain(execution: ExecutionState): Promise<void> {
    if (Date.now() - this.#since < explainAfterMs) return;
    const text = await this.#reason(execution);
    if (text === undefined || text === this.#said) return;
    this.#said = text;
    const fields = { component: 'pipelines', executionId: execution.id };
    this.#scope.logger.info(fields, `Execution ${execution.id} of ${execution.pipeline}: ${text}`);
  }

  async #reason(execution: ExecutionState): Promise<string | undefined> {
    const states = await this.#parts.records.steps(execution.id, {
      statuses: ['PENDING', 'RUNNING'],
      limit: 1000,
    });
    const running = states.find((state) => state.status === 'RUNNING' && state.pendingDeps === 0);
    if (running !== undefined) {
      const { host, pid } = running.owner ?? {};
      const known = ownerState(running.owner);
      const whose = `process ${String(pid)} on ${String(host)}`;
      return known === 'alive'
        ? `step ${running.step} is run by ${whose}.`
        : `step ${running.step} was begun by ${whose}; if that has died, the step is taken over when its lease ends.`;
    }
    const due = states.filter((state) => state.pendingDeps === 0);
    const room = due.map((state) => this.#parts.engine.reasonOf(state.id)).find(isGiven);
    if (room !== undefined) return `waits for room: ${room}.`;
    const waits = due.find((state) => state.waitsFor !== undefined);
    if (waits !== undefined) return `step ${waits.step} waits: ${waits.waitsFor}.`;
    const tasks = due.filter((state) => state.runsOn.startsWith('executor:'));
    const have = ['inline', ...this.#parts.executors()];
    const nameOf = (state: StepState): string => state.runsOn.slice('executor:'.length);
    const foreign = tasks.find((state) => !have.includes(nameOf(state)));
    if (foreign !== undefined) {
      return `step ${foreign.step} waits for a process that has the executor ${nameOf(foreign)}.`;
    }
    const [next] = tasks;
    if (next !== undefined) return `step ${next.step} is the next to begin.`;
    if (this.#parts.functions.get(execution.definition) === undefined) {
      const which = `${execution.pipeline}@${execution.version}`;
      return `waiting for a process that has registered ${which} with pipelines.add(…), as this one has not.`;
    }
    const held = states.find((state) => state.pendingDeps === 0 && state.readyAt !== undefined);
    return held === undefined ? undefined : `step ${held.step} waits before it is tried again.`;
  }
}
