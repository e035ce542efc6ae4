import type { StoredEvent } from '../../contracts/event.ts';
import type { Change, Claimed, MetadataStore } from '../../contracts/metadata-store.ts';
import type { KindDeclaration, StoredRecord } from '../../contracts/record.ts';
import { isKeelsonError } from '../../errors.ts';
import { uuidV7 } from '../../uuid.ts';
import type { Invariant } from './invariants.ts';

/** What the work scenario keeps. */
export const workKinds: readonly KindDeclaration[] = [
  // `left` counts how often the task has to be done yet: 1, then 0. Below 0, it was done twice.
  {
    name: 'task',
    columns: { left: { type: 'integer' } },
    indexes: [['left']],
    history: 'none',
    claimable: true,
  },
  // Read, counted up, written: a lost update shows.
  { name: 'ledger', columns: { count: { type: 'integer' } }, history: 'none' },
  {
    name: 'reader',
    columns: { cursor: { type: 'text', optional: true } },
    history: 'none',
    claimable: true,
  },
  { name: 'receipt', columns: { subject: { type: 'text' } }, history: 'none' },
  // How many events of the subject have had their effect.
  { name: 'effect', columns: { count: { type: 'integer' } }, history: 'none' },
];

const workspace = 'work';
const subjects = 3;
/** In a commit. */
const mostChanges = 400;
const doneType = 'task.done';

/** An event that was handed over, as it stands in the log of effects. */
export interface Handled {
  readonly event: string;
  readonly subject: string;
  readonly sequence: number;
}

/** What a worker works with. */
export interface WorkerOptions {
  readonly store: MetadataStore;
  readonly tasks: number;
  readonly leaseMs: number;
  /** Each event that is handed over is written here before its effect. */
  readonly effects: { append(effect: Handled): void };
}

/**
 * Does tasks under claims, each with its event, and hands the events over with receipts: everything that
 * the services do with a MetadataStore, in the small. Several at once, and killed anywhere, they do each
 * task once, and each event has its effect once, in order.
 */
export class Worker {
  readonly #store: MetadataStore;
  readonly #tasks: number;
  readonly #leaseMs: number;
  readonly #effects: WorkerOptions['effects'];
  readonly #owner = uuidV7();

  constructor({ store, tasks, leaseMs, effects }: WorkerOptions) {
    this.#store = store;
    this.#tasks = tasks;
    this.#leaseMs = leaseMs;
    this.#effects = effects;
  }

  /** What there is to do, made by whoever comes first. */
  async fill(): Promise<void> {
    const changes: Change[] = [
      { op: 'create', kind: 'ledger', id: 'ledger', columns: { count: 0 } },
      { op: 'create', kind: 'reader', id: 'reader', columns: {} },
      ...Array.from({ length: subjects }, (_, i): Change => {
        return { op: 'create', kind: 'effect', id: `subject-${i}`, columns: { count: 0 } };
      }),
      ...Array.from({ length: this.#tasks }, (_, i): Change => {
        return { op: 'create', kind: 'task', id: `task-${i}`, columns: { left: 1 } };
      }),
    ];
    // The same parts for everybody: each is made by one, and complete.
    for (let at = 0; at < changes.length; at += mostChanges) {
      try {
        await this.#commit(...changes.slice(at, at + mostChanges));
      } catch (error) {
        if (!isKeelsonError(error, 'CONFLICT')) throw error;
      }
    }
  }

  /** Does a task that is left and free; answers whether there was one. */
  async work(): Promise<boolean> {
    const [claimed] = await this.#store.claim('task', {
      workspace,
      where: { op: 'compare', left: { from: 'column', name: 'left' }, cmp: '>', value: 0 },
      orderBy: [{ by: { from: 'column', name: 'id' }, direction: 'asc' }],
      ...{ limit: 1, owner: this.#owner, leaseMs: this.#leaseMs },
    });
    if (claimed === undefined) return false;
    await this.#ifStillOurs(claimed, async () => {
      while (!(await this.#finish(claimed)));
    });
    return true;
  }

  /** Hands over what is due to the one reader, if nobody else has it; answers whether there was anything. */
  async deliver(): Promise<boolean> {
    const [claimed] = await this.#store.claim('reader', {
      ...{ workspace, limit: 1, owner: this.#owner, leaseMs: this.#leaseMs },
    });
    if (claimed === undefined) return false;
    let any = false;
    await this.#ifStillOurs(claimed, async () => {
      any = await this.#deliverBatch(claimed);
    });
    return any;
  }

  /** False where the ledger has moved on in between. */
  async #finish(claimed: Claimed): Promise<boolean> {
    const { id } = claimed.record;
    const ledger = await this.#store.find(workspace, 'ledger', 'ledger');
    if (ledger === undefined) throw new Error('The ledger is missing.');
    const count = Number(ledger.columns['count']) + 1;
    const { revision } = ledger;
    try {
      await this.#commit(
        hold(claimed),
        { op: 'adjust', kind: 'task', id, column: 'left', by: -1 },
        { op: 'replace', kind: 'ledger', id: 'ledger', expect: revision, columns: { count } },
        emit(id),
      );
      return true;
    } catch (error) {
      if (isKeelsonError(error, 'STALE')) return false;
      throw error;
    }
  }

  async #deliverBatch(claimed: Claimed): Promise<boolean> {
    const { id, columns, revision } = claimed.record;
    const after = columns['cursor'] as string | undefined;
    const { events, cursor } = await this.#store.readEvents({
      ...{ workspace, limit: 10, filter: { types: [doneType] } },
      ...(after === undefined ? {} : { after }),
    });
    for (const event of events) await this.#handle(event);
    if (events.length > 0) {
      const moved = { op: 'replace', kind: 'reader', id, expect: revision } as const;
      await this.#commit(hold(claimed), { ...moved, columns: { cursor } });
    }
    return events.length > 0;
  }

  async #handle({ id, subject, subjectSequence: sequence }: StoredEvent): Promise<void> {
    this.#effects.append({ event: id, subject, sequence });
    try {
      await this.#commit(
        { op: 'create', kind: 'receipt', id, columns: { subject } },
        { op: 'adjust', kind: 'effect', id: subject, column: 'count', by: 1 },
      );
    } catch (error) {
      // It has had its effect.
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
  }

  /** Works under a claim, which another may have taken meanwhile, and gives it back. */
  async #ifStillOurs(claimed: Claimed, work: () => Promise<void>): Promise<void> {
    const { owner, fence, record } = claimed;
    try {
      await work();
    } catch (error) {
      if (!isKeelsonError(error, 'LOST')) throw error;
    }
    await this.#store.release([{ workspace, kind: record.kind, id: record.id, owner, fence }]);
  }

  async #commit(...changes: readonly Change[]): Promise<void> {
    await this.#store.commit({ workspace, principal: this.#owner, changes });
  }
}

function hold({ record, owner, fence }: Claimed): Change {
  return { op: 'hold', kind: record.kind, id: record.id, owner, fence };
}

function emit(task: string): Change {
  const subject = `subject-${Number(task.slice('task-'.length)) % subjects}`;
  return {
    op: 'emit',
    event: {
      ...{ id: uuidV7(), type: doneType, subject, source: 'worker', at: 1, payload: { task } },
      ...{ schemaVersion: 1, correlationId: task, principal: 'worker' },
    },
  };
}

/** What is left of the work scenario when nothing crashes any more. */
export interface WorkLeft {
  /** Unwrapped: what is truly there. */
  readonly store: MetadataStore;
  readonly tasks: number;
  /** What was handed over, oldest first. */
  readonly handled: () => readonly Handled[];
}

/** Whether every task is done and every event has had its effect. */
export async function workIsDone({ store, tasks }: WorkLeft): Promise<boolean> {
  const left = await store.count(
    workspace,
    'task',
    { op: 'compare', left: { from: 'column', name: 'left' }, cmp: '>', value: 0 },
    { exact: true },
  );
  if (left.count > 0) return false;
  const receipts = await store.count(workspace, 'receipt', undefined, { exact: true });
  return receipts.count >= tasks;
}

/** What must hold of the work scenario however often its workers were crashed. */
export const workInvariants: readonly Invariant<WorkLeft>[] = [
  {
    name: 'each task is done exactly once',
    async violations({ store, tasks }) {
      const all = await recordsOf(store, 'task');
      const wrong = all.filter(({ columns }) => columns['left'] !== 0);
      return [
        ...wrong.map(({ id, columns }) => `${id} was done ${1 - Number(columns['left'])} times`),
        ...(all.length === tasks ? [] : [`there are ${all.length} tasks of ${tasks}`]),
      ];
    },
  },
  {
    name: 'no update is lost',
    async violations({ store, tasks }) {
      const ledger = await store.find(workspace, 'ledger', 'ledger');
      const count = ledger?.columns['count'];
      return count === tasks ? [] : [`the ledger counts ${count} tasks of ${tasks}`];
    },
  },
  {
    name: 'each task that is done has one event, and no other has',
    async violations({ store, tasks }) {
      const events = new Map<unknown, number>();
      for (const { payload } of await eventsOf(store)) {
        events.set(payload['task'], (events.get(payload['task']) ?? 0) + 1);
      }
      return Array.from({ length: tasks }, (_, i) => `task-${i}`)
        .filter((task) => events.get(task) !== 1)
        .map((task) => `${task} has ${events.get(task) ?? 0} events`);
    },
  },
  {
    name: 'each event has its effect exactly once',
    async violations({ store }) {
      const events = await eventsOf(store);
      return (await recordsOf(store, 'effect')).flatMap(({ id, columns }) => {
        const due = events.filter(({ subject }) => subject === id).length;
        return columns['count'] === due
          ? []
          : [`${id} has ${due} events and ${columns['count']} effects`];
      });
    },
  },
  {
    name: 'the events of a subject are handed over in order, none left out',
    violations({ handled }) {
      const last = new Map<string, number>();
      return handled().flatMap(({ subject, sequence, event }) => {
        const before = last.get(subject) ?? 0;
        last.set(subject, Math.max(before, sequence));
        // What was handed over before may come again.
        return sequence <= before + 1 ? [] : [`${subject}: ${sequence} (${event}) after ${before}`];
      });
    },
  },
];

async function recordsOf(store: MetadataStore, kind: string): Promise<readonly StoredRecord[]> {
  const all: StoredRecord[] = [];
  for (let after: string | undefined; ; ) {
    const from = after === undefined ? {} : { cursor: after };
    const { records, cursor } = await store.query(workspace, kind, { limit: 1000, ...from });
    all.push(...records);
    if (cursor === undefined) return all;
    after = cursor;
  }
}

async function eventsOf(store: MetadataStore): Promise<readonly StoredEvent[]> {
  const all: StoredEvent[] = [];
  for (let after: string | undefined; ; ) {
    const from = after === undefined ? {} : { after };
    const { events, cursor } = await store.readEvents({ workspace, limit: 1000, ...from });
    if (events.length === 0) return all;
    all.push(...events);
    after = cursor;
  }
}
