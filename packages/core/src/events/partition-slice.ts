import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import type { Change, Claimed } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { rest } from '../rest.ts';
import { CarefulCalls } from './careful-calls.ts';
import type { Causes, OpenCause } from './causes.ts';
import { burying, errorText } from './dead-letters.ts';
import { allRecords, columnIs } from './event-records.ts';
import { type Entry, EventWindow } from './event-window.ts';
import type { Outcome } from './hand-over.ts';
import type { Hold } from './hold-claim.ts';
import { newParked, type ParkedSubject, parkedFromRecord } from './parked-subjects.ts';
import { PartitionPlace, type PartitionUpdate, partitionState } from './partition-place.ts';
import type { Slots } from './slots.ts';
import {
  deadLetterId,
  isDueAt,
  maxParked,
  retryDelayMs,
  type Subscription,
  sliceMs,
} from './subscription.ts';

/** What the partitions of a subscription share in a process. */
export interface SliceParts {
  readonly scope: Scope;
  readonly subscription: Subscription;
  readonly partitions: number;
  readonly slots: Slots;
  readonly causes: Causes;
  /** A number that rises. */
  nextPosition(): number;
}

/** One subject: its events are handled one after another. */
interface Lane {
  readonly subject: string;
  readonly queue: Entry[];
  parked: ParkedSubject | undefined;
  running: boolean;
}

const pageSize = 100;
/** How far events are taken in ahead of the oldest that is not through. */
const windowSize = 500;
/** How often it looks for new events while handlers run. */
const lookMs = 100;
/** At the end of a slice, handlers get so long to come to their ends before the slice goes on. */
const drainMs = 100;
const causeWaitMs = 250;
const causePollMs = 200;
const heldCausePollMs = 5_000;
/** So many dead letters at most wait to be written. */
const maxLetters = 100;

/**
 * A slice of work on one claimed partition: events in the order of their subjects, different subjects side
 * by side. What fails or waits is parked, so that the cursor goes on. Works for about a second, or for as
 * long as a handler runs.
 */
export class PartitionSlice {
  readonly #parts: SliceParts;
  readonly #hold: Hold;
  readonly #number: number;
  readonly #place: PartitionPlace;
  readonly #broken = new AbortController();
  /** Aborted with the hold, or when a commit has found the claim lost. */
  readonly #signal: AbortSignal;
  readonly #lanes = new Map<string, Lane>();
  readonly #running = new Set<Promise<void>>();
  readonly #touched = new Set<ParkedSubject>();
  #freed: ParkedSubject[] = [];
  #letters: Change[] = [];
  readonly #window: EventWindow;
  readonly #calls: CarefulCalls;
  #cursor: string | undefined;
  /** Nothing was behind the last page that was read. */
  #isDry = false;
  #isDraining = false;
  #hasHandled = false;
  #failure: unknown;
  #noteTimer: NodeJS.Timeout | undefined;
  #wake: () => void = () => undefined;

  /** `wasDirty`: whether the last holder did not give the partition back. */
  constructor(parts: SliceParts, claimed: Claimed, hold: Hold, wasDirty: boolean) {
    this.#parts = parts;
    this.#hold = hold;
    this.#number = claimed.record.columns['number'] as number;
    const found = partitionState(claimed.record.columns);
    this.#cursor = found.cursor;
    this.#window = new EventWindow(found.cursor);
    this.#signal = AbortSignal.any([hold.signal, this.#broken.signal]);
    this.#place = new PartitionPlace(parts.scope, claimed, () => this.#takeUpdate());
    const calls = {
      ...parts,
      signal: this.#signal,
      isPausing: () => this.#isPausing(),
      save: () => this.#place.save(),
    };
    this.#calls = new CarefulCalls(calls, found, wasDirty);
  }

  /** Whether so many subjects are parked that nothing new is taken in. */
  get isFull(): boolean {
    return this.#parkedCount() >= this.#mostParked();
  }

  /** Answers whether an event was handed over. Rejects with what the store threw. */
  async run(): Promise<boolean> {
    try {
      await this.#loadParked();
      await this.#deliver();
    } catch (error) {
      this.#fail(error);
    }
    await Promise.all(this.#running);
    clearTimeout(this.#noteTimer);
    if (this.#isLost()) this.#fail(this.#hold.signal.reason);
    if (this.#failure !== undefined) throw this.#failure;
    this.#calls.end(this.#isDry && this.#window.size === 0);
    await this.#place.save();
    return this.#hasHandled;
  }

  async #loadParked(): Promise<void> {
    const { scope, subscription } = this.#parts;
    const { name } = subscription;
    const where = {
      op: 'and',
      of: [columnIs('subscription', name), columnIs('partition', this.#number)],
    } as const;
    for (const record of await allRecords(scope, 'parked_subject', { where })) {
      const parked = parkedFromRecord(record);
      const lane = { subject: parked.subject, queue: [], parked, running: false };
      this.#lanes.set(parked.subject, lane);
      this.#start(lane);
    }
  }

  async #deliver(): Promise<void> {
    let endsAt = performance.now() + sliceMs;
    let lookAt = 0;
    while (!this.#signal.aborted && this.#failure === undefined) {
      if (!this.#isDry && !this.#isDraining && this.#hasRoom()) {
        await this.#takeIn();
        lookAt = performance.now() + lookMs;
        continue;
      }
      if (this.#running.size === 0) return;
      await this.#change(Math.max(1, lookAt - performance.now()));
      if (performance.now() >= lookAt) {
        lookAt = performance.now() + lookMs;
        await this.#look();
      }
      if (performance.now() < endsAt) continue;
      // Somebody's handler takes long; the others of the partition shall not wait for it.
      this.#isDraining = !this.#isDraining;
      endsAt = performance.now() + (this.#isDraining ? drainMs : sliceMs);
      for (const lane of this.#lanes.values()) this.#start(lane);
    }
  }

  /** While handlers run: whether there is anything new, and whose time has come. */
  async #look(): Promise<void> {
    if (!this.#hasRoom()) this.#parkSlow();
    const { metadata, clock } = this.#parts.scope;
    for (const lane of this.#lanes.values()) {
      const { parked } = lane;
      const isDue = parked !== undefined && parked.waitsFor !== 'PERSON';
      if (isDue && isDueAt(parked.dueAt, clock.now())) this.#start(lane);
    }
    if (this.#isDry) this.#isDry = (await metadata.latestEventCursor()) === this.#window.readTo;
  }

  async #takeIn(): Promise<void> {
    const filter = { types: this.#parts.subscription.types };
    const { events, cursor } = await this.#read(filter, this.#window.readTo);
    this.#isDry = events.length < pageSize;
    for (const entry of this.#window.add(events, cursor, this.#parts.nextPosition)) {
      const lane = this.#laneOf(entry.event.subject);
      if (lane.parked === undefined) lane.queue.push(entry);
      else {
        entry.done = true;
        lane.parked.hasMore = true;
      }
      this.#start(lane);
    }
    this.#moveOn();
  }

  #read(
    filter: EventFilter,
    after: string | undefined,
  ): Promise<{ readonly events: readonly StoredEvent[]; readonly cursor: string }> {
    const { scope, partitions } = this.#parts;
    return scope.metadata.readEvents({
      workspace: scope.workspace,
      filter: { ...filter, partition: { of: partitions, index: this.#number } },
      limit: pageSize,
      ...(after === undefined ? {} : { after }),
    });
  }

  #hasRoom(): boolean {
    return this.#window.size < windowSize && this.#parkedCount() < this.#mostParked();
  }

  #parkedCount(): number {
    let count = 0;
    for (const { parked } of this.#lanes.values()) if (parked !== undefined) count += 1;
    return count;
  }

  #mostParked(): number {
    return Math.ceil(maxParked / this.#parts.partitions);
  }

  #laneOf(subject: string): Lane {
    const known = this.#lanes.get(subject);
    if (known !== undefined) return known;
    const lane: Lane = { subject, queue: [], parked: undefined, running: false };
    this.#lanes.set(subject, lane);
    return lane;
  }

  #start(lane: Lane): void {
    if (lane.running || this.#isPausing()) return;
    lane.running = true;
    const running = this.#runLane(lane)
      .catch((error) => this.#fail(error))
      .finally(() => {
        lane.running = false;
        this.#running.delete(running);
        this.#wake();
      });
    this.#running.add(running);
  }

  async #runLane(lane: Lane): Promise<void> {
    while (!this.#isPausing()) {
      if (lane.parked !== undefined) {
        if (!(await this.#goOnParked(lane, lane.parked))) return;
        continue;
      }
      const [entry] = lane.queue;
      if (entry === undefined) {
        this.#lanes.delete(lane.subject);
        return;
      }
      await this.#goOn(lane, entry);
    }
  }

  async #goOn(lane: Lane, entry: Entry): Promise<void> {
    const { event, position } = entry;
    const outcome = await this.#calls.call(event, position, 1);
    if (outcome.state !== 'blocked') return this.#conclude(lane, event, 1, outcome);
    const { causes } = this.#parts;
    const cause = await causes.openAfter(event, causeWaitMs, this.#signal);
    if (cause === undefined || this.#isPausing()) return;
    this.#waitForCause(this.#park(lane, entry.before), event, cause);
  }

  /** Answers false when the subject has to wait. */
  async #goOnParked(lane: Lane, parked: ParkedSubject): Promise<boolean> {
    const { scope, nextPosition } = this.#parts;
    const isOpen = parked.waitsFor === 'PERSON';
    if (!isOpen && !isDueAt(parked.dueAt, scope.clock.now())) return false;
    const event = await this.#nextParked(lane, parked);
    if (event === undefined) return lane.parked === undefined || parked.hasMore;
    const letter = isOpen ? await this.#letterOf(event) : undefined;
    if (isOpen && letter === undefined) {
      this.#pass(lane, event);
      return true;
    }
    if (isOpen && letter?.columns['state'] !== 'REPLAYING') return false;
    const attempt = (isOpen ? 0 : parked.attempts) + 1;
    const outcome = await this.#calls.call(event, nextPosition(), attempt);
    if (outcome.state === 'blocked') {
      this.#waitForCause(parked, event, outcome.cause);
      return false;
    }
    await this.#conclude(lane, event, attempt, outcome);
    return outcome.state !== 'stopped';
  }

  /** The next event of a parked subject; where there is none, the subject is parked no more. */
  async #nextParked(lane: Lane, parked: ParkedSubject): Promise<StoredEvent | undefined> {
    if (parked.events.length === 0) {
      parked.hasMore = false;
      const filter = { types: this.#parts.subscription.types, subjects: [lane.subject] };
      parked.events.push(...(await this.#read(filter, parked.after)).events);
      if (parked.events.length > 0) return parked.events[0];
      // What was handled here before the window came to it would be handed over again.
      const ahead = await this.#read(filter, this.#window.readTo);
      if (ahead.events.length === 0 && !parked.hasMore) this.#free(lane, parked);
    }
    return parked.events[0];
  }

  async #conclude(
    lane: Lane,
    event: StoredEvent,
    attempts: number,
    outcome: Outcome,
  ): Promise<void> {
    if (outcome.state === 'stopped') return;
    this.#hasHandled = true;
    if (outcome.state === 'handled') {
      if (lane.parked !== undefined) await this.#removeLetter(event);
      this.#pass(lane, event);
      return;
    }
    const { scope, subscription } = this.#parts;
    const { error, final = false } = outcome;
    const isHeld = subscription.onDeadLetter === 'hold';
    if (!final && attempts < subscription.maxAttempts) {
      const parked = this.#park(lane, lane.queue[0]?.before);
      parked.waitsFor = 'RETRY';
      parked.dueAt = scope.clock.now() + retryDelayMs(attempts);
      this.#keep(parked, { event, attempts, error });
      return;
    }
    const end = { attempts, error, held: isHeld };
    // In one step with what follows: what is written in between takes the list along.
    const letters = await burying(scope, subscription.name, event, end);
    this.#letters.push(...letters);
    if (isHeld) {
      const parked = this.#park(lane, lane.queue[0]?.before);
      parked.waitsFor = 'PERSON';
      parked.dueAt = 0;
      this.#keep(parked, { event, attempts, error });
    } else this.#pass(lane, event);
    // A held subject looks for its letter.
    if (isHeld || this.#letters.length >= maxLetters) await this.#place.save();
  }

  async #removeLetter(event: StoredEvent): Promise<void> {
    if (this.#parts.subscription.onDeadLetter !== 'hold') return;
    const letter = await this.#letterOf(event);
    if (letter === undefined) return;
    const { kind, id, revision } = letter;
    this.#letters.push({ op: 'remove', kind, id, expect: revision });
  }

  #letterOf(event: StoredEvent): Promise<StoredRecord | undefined> {
    const { scope, subscription } = this.#parts;
    const id = deadLetterId(subscription.name, event.id);
    return scope.metadata.find(scope.workspace, 'dead_letter', id);
  }

  /** The event is through. */
  #pass(lane: Lane, event: StoredEvent): void {
    this.#parts.causes.noteHandled(event.id);
    const { parked } = lane;
    if (parked === undefined) {
      const entry = lane.queue.shift();
      if (entry !== undefined) entry.done = true;
      this.#moveOn();
      return;
    }
    parked.after = event.cursor;
    if (parked.events[0]?.id === event.id) parked.events.shift();
    parked.waitsFor = 'HANDLER';
    parked.dueAt = 0;
    this.#keep(parked, { event: undefined, attempts: 0, error: undefined });
  }

  /** Parks the subject, if it is not; its events in the window are its own matter from now on. */
  #park(lane: Lane, after: string | undefined): ParkedSubject {
    if (lane.parked !== undefined) return lane.parked;
    const { name: subscription } = this.#parts.subscription;
    const parked = newParked({
      subscription,
      partition: this.#number,
      subject: lane.subject,
      after,
    });
    lane.parked = parked;
    for (const entry of lane.queue.splice(0)) entry.done = true;
    this.#moveOn();
    return parked;
  }

  #keep(
    parked: ParkedSubject,
    what: {
      readonly event: StoredEvent | undefined;
      readonly attempts: number;
      readonly error: unknown;
    },
  ): void {
    parked.eventId = what.event?.id;
    parked.attempts = what.attempts;
    parked.error = what.error === undefined ? undefined : errorText(what.error);
    parked.blockedBy = undefined;
    this.#touched.add(parked);
    this.#note();
  }

  #waitForCause(parked: ParkedSubject, event: StoredEvent, cause: OpenCause): void {
    const { now } = this.#parts.scope.clock;
    const wasBlocked = parked.blockedBy === cause.id;
    this.#keep(parked, { event, attempts: 0, error: undefined });
    parked.waitsFor = cause.isHeld ? 'HELD_CAUSE' : 'CAUSE';
    parked.blockedBy = cause.id;
    parked.dueAt = now() + (cause.isHeld ? heldCausePollMs : causePollMs);
    if (wasBlocked) return;
    const fields = {
      component: 'events',
      subscription: parked.subscription,
      event: event.id,
      subject: event.subject,
      correlationId: event.correlationId,
      blockedBy: cause.id,
    };
    const message = 'An event waits until what caused it was handled.';
    if (cause.isHeld) this.#parts.scope.logger.warn(fields, message);
    else this.#parts.scope.logger.debug(fields, message);
  }

  #free(lane: Lane, parked: ParkedSubject): void {
    lane.parked = undefined;
    this.#touched.delete(parked);
    this.#freed.push(parked);
    this.#note();
  }

  /** Where the window is full behind a handler that takes long, its subject is parked while it runs. */
  #parkSlow(): void {
    const { oldest } = this.#window;
    if (oldest === undefined || this.#window.size < windowSize) return;
    const lane = this.#lanes.get(oldest.event.subject);
    if (lane === undefined || lane.parked !== undefined || lane.queue[0] !== oldest) return;
    if (this.#parkedCount() >= this.#mostParked()) return;
    const parked = this.#park(lane, oldest.before);
    this.#keep(parked, { event: oldest.event, attempts: 0, error: undefined });
  }

  /** Moves the cursor over what is through. */
  #moveOn(): void {
    const cursor = this.#window.moveOn();
    if (cursor === this.#cursor) return;
    this.#cursor = cursor;
    this.#note();
  }

  #note(): void {
    this.#noteTimer ??= setTimeout(() => {
      this.#noteTimer = undefined;
      this.#place.save().catch((error) => this.#fail(error));
    }, this.#parts.subscription.timing.noteMs);
  }

  #takeUpdate(): PartitionUpdate {
    const letters = this.#letters;
    const freed = this.#freed.filter(({ revision }) => revision !== undefined);
    const parked = [...this.#touched];
    this.#letters = [];
    this.#freed = [];
    this.#touched.clear();
    const state = { ...this.#calls.state, cursor: this.#cursor, wakeAt: this.wakeAt };
    return { state, letters, parked, freed };
  }

  /** When the first of the parked subjects is due, epoch ms. */
  get wakeAt(): number | undefined {
    let earliest: number | undefined;
    for (const { parked } of this.#lanes.values()) {
      if (parked === undefined || parked.waitsFor === 'PERSON') continue;
      earliest = Math.min(earliest ?? parked.dueAt, parked.dueAt);
    }
    return earliest;
  }

  #isPausing(): boolean {
    return this.#isDraining || this.#signal.aborted || this.#failure !== undefined;
  }

  #isLost(): boolean {
    return isKeelsonError(this.#hold.signal.reason, 'LOST');
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    // Whoever holds the claim now hands the same events over.
    if (isKeelsonError(error, 'LOST', 'STALE', 'NOT_FOUND')) this.#broken.abort(error);
    this.#wake();
  }

  /** Resolves when a lane has ended, or after `ms`. */
  async #change(ms: number): Promise<void> {
    const changed = new AbortController();
    this.#wake = () => changed.abort();
    await rest(ms, AbortSignal.any([changed.signal, this.#signal]));
  }
}
