import type { StoredEvent } from '../contracts/event.ts';
import type { Scope } from '../contracts/scope.ts';
import { rest } from '../rest.ts';
import type { Progress } from './progress.ts';

/** A cause that the subscription has yet to handle. */
export interface OpenCause {
  readonly id: string;
  /** It waits until a person decides about a dead letter. */
  readonly isHeld: boolean;
}

/** Of an event, what its effects need to know. */
type Known = Pick<StoredEvent, 'id' | 'type' | 'subject' | 'causationId'>;

const remembered = 10_000;
/** Causes of causes are followed so far. */
const maxDepth = 50;
const lookMs = 40;

/** Which of the events that caused an event a subscription has yet to handle. */
export class Causes {
  readonly #scope: Pick<Scope, 'metadata' | 'workspace'>;
  readonly #types: ReadonlySet<string>;
  readonly #progress: Progress;
  /** Handled by this process, lately. */
  readonly #handled = new Set<string>();
  readonly #events = new Map<string, StoredEvent | undefined>();

  constructor(
    scope: Pick<Scope, 'metadata' | 'workspace'>,
    types: readonly string[],
    progress: Progress,
  ) {
    this.#scope = scope;
    this.#types = new Set(types);
    this.#progress = progress;
  }

  /** To be called with each event that this process has handled or given up. */
  noteHandled(eventId: string): void {
    if (this.#handled.size >= remembered) this.#handled.clear();
    this.#handled.add(eventId);
  }

  /** The nearest cause of one of the subscription's types that it has not handled, if there is one. */
  async open(event: Known): Promise<OpenCause | undefined> {
    if (event.causationId === undefined) return undefined;
    const cause = await this.#nearest(event);
    // Events of one subject follow one another anyway.
    if (cause === undefined || cause.subject === event.subject) return undefined;
    if (this.#handled.has(cause.id)) return undefined;
    const state = await this.#progress.stateOf(cause);
    if (state !== 'handled') return { id: cause.id, isHeld: state === 'held' };
    this.noteHandled(cause.id);
    return undefined;
  }

  /** {@link open}, after waiting for `ms` at most for the cause to be handled. */
  async openAfter(event: Known, ms: number, signal: AbortSignal): Promise<OpenCause | undefined> {
    const deadline = performance.now() + ms;
    for (;;) {
      const cause = await this.open(event);
      const isLate = performance.now() >= deadline;
      if (cause === undefined || cause.isHeld || isLate || signal.aborted) return cause;
      await rest(lookMs, signal);
    }
  }

  async #nearest(event: Known): Promise<StoredEvent | undefined> {
    let id = event.causationId;
    for (let depth = 0; id !== undefined && depth < maxDepth; depth += 1) {
      const cause = await this.#read(id);
      // Archived long ago, or none: nothing to wait for.
      if (cause === undefined) return undefined;
      if (this.#types.has(cause.type)) return cause;
      id = cause.causationId;
    }
    return undefined;
  }

  async #read(id: string): Promise<StoredEvent | undefined> {
    if (this.#events.has(id)) return this.#events.get(id);
    const { metadata, workspace } = this.#scope;
    const { events } = await metadata.readEvents({ workspace, filter: { ids: [id] }, limit: 1 });
    const [event] = events;
    if (this.#events.size >= 1_000) this.#events.clear();
    this.#events.set(id, event);
    return event;
  }
}
