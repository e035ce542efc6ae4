import { setTimeout as pause } from 'node:timers/promises';
import type {
  AttemptKey,
  Executor,
  ExecutorCapabilities,
  ExecutorCapacity,
  LogChunk,
  SubmitOptions,
  TaskHandle,
  TaskObservation,
  TaskSpec,
  TaskUsage,
} from '@keelson/core';
import { isKeelsonError, KeelsonError } from '@keelson/core';
import { addUsage, isBad, isFinal, isTaskId, taskId, togetherOf } from '@keelson/core/executors';
import type { EngineApi } from './engine-api.ts';
import type { EngineImages } from './engine-images.ts';
import { type LogPiece, type LogPlace, readPlaces, writePlaces } from './log-frames.ts';
import { mergeStreams } from './merge-streams.ts';
import { factsOf, type TaskFacts } from './task-labels.ts';
import type { TaskUnits, UnitSpec, Verdict } from './task-units.ts';

interface Seen {
  readonly facts: TaskFacts;
  readonly observation: TaskObservation;
  readonly members: readonly TaskObservation[];
}

/**
 * Runs images as containers of an engine, which outlive the process that submitted them: any other process
 * that reaches the engine finds, watches and ends them by their labels. Deadlines are kept while somebody
 * watches. Several platforms may use an engine.
 */
export class ContainerExecutor implements Executor {
  readonly name: string;
  readonly workRoot?: string;
  readonly shared = true;
  readonly #api: EngineApi;
  readonly #units: TaskUnits;
  readonly #images: EngineImages;
  readonly #submitting = new Map<string, Promise<void>>();
  readonly #closed = new AbortController();

  constructor(parts: {
    readonly name: string;
    readonly workRoot?: string;
    readonly api: EngineApi;
    readonly units: TaskUnits;
    readonly images: EngineImages;
  }) {
    this.name = parts.name;
    if (parts.workRoot !== undefined) this.workRoot = parts.workRoot;
    this.#api = parts.api;
    this.#units = parts.units;
    this.#images = parts.images;
  }

  capabilities(): Promise<ExecutorCapabilities> {
    return Promise.resolve(this.#units.capabilities);
  }

  async capacity(): Promise<ExecutorCapacity> {
    this.#assertOpen();
    return this.#units.capacity();
  }

  /** The digest of what the image is now; pulls it where it is missing, and rejects as {@link submit} does then. */
  async imageDigest(image: string, options?: SubmitOptions): Promise<string> {
    this.#assertOpen();
    return this.#images.digest(image, options);
  }

  async health(signal?: AbortSignal): Promise<{ readonly ok: boolean; readonly message?: string }> {
    if (this.#closed.signal.aborted) return { ok: false, message: this.#closedText() };
    try {
      await this.#api.json('GET', '/info', {
        once: true,
        ...(signal === undefined ? {} : { signal }),
      });
      return { ok: true };
    } catch (error) {
      return { ok: false, message: (error as Error).message };
    }
  }

  /**
   * UNSUPPORTED for what is no image, INVALID for a key that is none or a container that the engine refuses,
   * NOT_FOUND for an image that is not there and cannot be pulled, FORBIDDEN where a registry or the engine refuses
   * who asks, UNAVAILABLE without an engine or with a registry that does not answer.
   */
  async submit(spec: TaskSpec, options?: SubmitOptions): Promise<TaskHandle> {
    this.#assertOpen();
    if (spec.entry.type !== 'image') {
      throw new KeelsonError(
        'UNSUPPORTED',
        `The executor ${this.name} runs images in containers, not a ${spec.entry.type}.`,
      );
    }
    const id = taskId(spec.key);
    const facts = factsOf(spec);
    let submitting = this.#submitting.get(id);
    if (submitting === undefined) {
      submitting = this.#begin(id, facts, spec, options).finally(() => this.#submitting.delete(id));
      this.#submitting.set(id, submitting);
    }
    await submitting;
    return this.#handle(id, facts);
  }

  async #begin(
    id: string,
    facts: TaskFacts,
    spec: TaskSpec,
    options: SubmitOptions = {},
  ): Promise<void> {
    if ((await this.#units.verdict(id)) !== undefined) return;
    options.signal?.throwIfAborted();
    const units = Array.from({ length: facts.units }, (_, rank): UnitSpec => {
      return { id, rank, facts, spec, options };
    });
    const [first] = units;
    if (first === undefined) throw new KeelsonError('INVALID', 'A gang has at least one process.');
    await this.#units.prepare(first);
    // All of them are there before the first begins.
    await Promise.all(units.map((unit) => this.#units.make(unit)));
    await Promise.all(units.map((unit) => this.#units.begin(unit)));
  }

  async *list(query: {
    readonly workspace: string;
    readonly executionId?: string;
  }): AsyncGenerator<TaskHandle & { readonly key: AttemptKey }, void, undefined> {
    this.#assertOpen();
    for await (const { id, key, facts } of this.#units.list(query)) {
      yield { ...this.#handle(id, facts), key };
    }
  }

  async attach(handle: TaskHandle): Promise<TaskObservation | undefined> {
    this.#assertOpen();
    return (await this.#look(handle))?.observation;
  }

  async wait(
    handle: TaskHandle,
    options: { readonly signal: AbortSignal },
  ): Promise<TaskObservation> {
    const signal = AbortSignal.any([options.signal, this.#closed.signal]);
    for (let before: TaskObservation | undefined; ; ) {
      this.#assertOpen();
      const seen = await this.#look(handle);
      if (seen === undefined && before === undefined) throw this.#unknown(handle);
      if (seen === undefined) {
        const message = 'Its container is gone: it was removed by somebody else.';
        return { ...before, state: 'lost', reason: 'evicted', message };
      }
      before = seen.observation;
      if (isFinal(before)) return before;
      this.#assertOpen();
      if (signal.aborted) {
        throw new KeelsonError('ABORTED', 'The waiting was aborted; the task goes on.', {
          cause: options.signal.reason,
        });
      }
      await this.#turn(handle.id, seen, signal);
    }
  }

  async *logs(
    handle: TaskHandle,
    options: {
      readonly after?: string;
      readonly follow?: boolean;
      readonly signal?: AbortSignal;
    } = {},
  ): AsyncGenerator<LogChunk, void, undefined> {
    this.#assertOpen();
    const seen = await this.#look(handle);
    if (seen === undefined) throw this.#unknown(handle);
    const places = readPlaces(options.after, seen.facts.units);
    const stop = new AbortController();
    const signals = [this.#closed.signal, stop.signal];
    if (options.signal !== undefined) signals.push(options.signal);
    const how = { follow: options.follow ?? false, signal: AbortSignal.any(signals) };
    const logs = places.map((place, rank) => this.#unitLogs(handle.id, rank, place, how));
    try {
      for await (const { index, value } of mergeStreams(logs)) {
        const { place, ...piece } = value;
        places[index] = place;
        yield { ...piece, cursor: writePlaces(places) };
      }
    } finally {
      stop.abort(new KeelsonError('ABORTED', 'The log is no longer read.'));
    }
  }

  /**
   * The log of a unit, read on after its engine was away. Engines end what is followed before they have sent the
   * last of it, now and then: so it is read once more, without following, after the unit has ended.
   */
  async *#unitLogs(
    id: string,
    rank: number,
    from: LogPlace,
    options: { readonly follow: boolean; readonly signal: AbortSignal },
  ): AsyncGenerator<LogPiece, void, undefined> {
    const { signal } = options;
    let place = from;
    for (;;) {
      signal.throwIfAborted();
      const unit = await this.#units.look(id, rank);
      if (unit === undefined) return;
      const isOver = isFinal(unit.seen);
      const follow = options.follow && !isOver;
      if (unit.seen.startedAt !== undefined) {
        try {
          for await (const piece of this.#units.logs(id, rank, place, { follow, isOver, signal })) {
            place = piece.place;
            yield piece;
          }
        } catch (error) {
          signal.throwIfAborted();
          if (isKeelsonError(error) || !options.follow) throw error;
          // The connection was cut; the engine is asked again.
          await rest(200, signal);
          continue;
        }
      }
      if (!follow) return;
      await rest(20, signal);
    }
  }

  async usage(handle: TaskHandle): Promise<TaskUsage | undefined> {
    this.#assertOpen();
    const seen = await this.#look(handle);
    if (seen === undefined) return undefined;
    const all = await Promise.all(
      seen.members.map((member, rank) => this.#units.usage(handle.id, rank, member)),
    );
    return all.reduce(addUsage);
  }

  async cancel(
    handle: TaskHandle,
    options: { readonly graceMs: number },
  ): Promise<'gone' | 'already-final' | 'unconfirmed'> {
    this.#assertOpen();
    const seen = await this.#look(handle);
    if (seen === undefined) throw this.#unknown(handle);
    if (isFinal(seen.observation)) return 'already-final';
    return this.#end(handle.id, seen.facts, { state: 'cancelled' }, options.graceMs);
  }

  /** CONFLICT for a task that runs. */
  async release(handle: TaskHandle): Promise<void> {
    this.#assertOpen();
    if (!isTaskId(handle.id)) return;
    const seen = await this.#look(handle);
    if (seen !== undefined && !isFinal(seen.observation)) {
      throw new KeelsonError('CONFLICT', `Task ${handle.id} is running; cancel it first.`, {
        details: { id: handle.id },
      });
    }
    await this.#units.forget(handle.id, seen?.facts.units ?? Number(handle.native['units']));
  }

  /** Tasks go on: another executor on the same engine finds them. */
  close(): Promise<void> {
    this.#closed.abort(new KeelsonError('CLOSED', this.#closedText()));
    this.#api.close();
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #look({ id }: TaskHandle): Promise<Seen | undefined> {
    if (!isTaskId(id)) return undefined;
    const first = await this.#units.look(id, 0);
    const isOver = first === undefined || isFinal(first.seen);
    const judged = isOver || first.facts.units > 1 ? await this.#units.verdict(id) : undefined;
    const facts = first?.facts ?? judged?.facts;
    if (facts === undefined) return undefined;
    const others = await Promise.all(
      Array.from({ length: facts.units - 1 }, (_, i) => this.#units.look(id, i + 1)),
    );
    const members = [first, ...others].map((unit): TaskObservation => {
      const seen = unit?.seen ?? gone;
      if (judged === undefined || !isFinal(seen)) return seen;
      // One of a gang may have ended by itself, before the others were ended for it.
      const byItself = facts.units > 1 && (seen.finishedAt ?? Infinity) < judged.at;
      return byItself ? seen : { finishedAt: judged.at, ...seen, ...judged.verdict };
    });
    return { facts, members, observation: togetherOf(members) };
  }

  /** Until something may have changed; whoever watches keeps the deadline, and ends a gang that has lost one. */
  async #turn(
    id: string,
    { facts, members, observation }: Seen,
    signal: AbortSignal,
  ): Promise<void> {
    const { deadlineMs = Infinity, graceMs } = facts;
    const left = (observation.startedAt ?? Date.now()) + deadlineMs - Date.now();
    if (left <= 0) {
      const message = `It took longer than the ${deadlineMs} ms that it was given.`;
      await this.#end(id, facts, { state: 'failed', reason: 'deadline', message }, graceMs);
      return;
    }
    const failed = members.findIndex(isBad);
    if (failed >= 0) {
      const message = `Rank ${failed} has failed: ${members[failed]?.message ?? ''}`;
      await this.#end(id, facts, { state: 'failed', reason: 'exit', message }, graceMs);
      return;
    }
    const timer = new AbortController();
    const timeout = setTimeout(() => timer.abort(), Math.min(left, 30_000));
    const changed = AbortSignal.any([signal, timer.signal]);
    try {
      const open = members.flatMap((member, rank) => (isFinal(member) ? [] : [rank]));
      await Promise.race(
        open.map((rank) => this.#units.changed(id, rank, members[rank] ?? gone, changed)),
      );
    } finally {
      clearTimeout(timeout);
      timer.abort();
    }
  }

  async #end(
    id: string,
    facts: TaskFacts,
    verdict: Verdict,
    graceMs: number,
  ): Promise<'gone' | 'unconfirmed'> {
    await this.#units.judge(id, facts, verdict);
    const ends = await Promise.all(
      Array.from({ length: facts.units }, (_, rank) => this.#units.end(id, rank, graceMs)),
    );
    return ends.every((end) => end === 'gone') ? 'gone' : 'unconfirmed';
  }

  #handle(id: string, { units }: TaskFacts): TaskHandle {
    return { executor: this.name, id, native: { engine: this.#api.name, units } };
  }

  #unknown({ id }: TaskHandle): KeelsonError {
    return new KeelsonError(
      'NOT_FOUND',
      `The executor ${this.name} has no record of the task ${id}: it was released, or ran on another engine.`,
      { details: { id } },
    );
  }

  #assertOpen(): void {
    if (this.#closed.signal.aborted) throw new KeelsonError('CLOSED', this.#closedText());
  }

  #closedText(): string {
    return `The executor ${this.name} has been closed.`;
  }
}

const gone: TaskObservation = {
  state: 'lost',
  reason: 'evicted',
  message: 'Its container is gone: it was removed by somebody else.',
};

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}
