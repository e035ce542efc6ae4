import type { Change, MetadataStore } from '../../src/contracts/metadata-store.ts';
import { isKeelsonError } from '../../src/errors.ts';
import { EffectsLog } from '../../src/testing/faults/effects-log.ts';
import { scenarioProcess } from '../../src/testing/faults/scenario-process.ts';
import { seededRandom } from '../../src/testing/faults/seed.ts';
import { uuidV7 } from '../../src/uuid.ts';
import { type Said, startAmount, workspace } from './contention-kinds.ts';

/** What a contending process is passed; what else is there is for `openStore`. */
export interface ContentionArgument {
  /** Ends after so many commits, refused ones included; for ever when left out. */
  readonly commits?: number;
  readonly pools: number;
  /** The log of what was acknowledged. */
  readonly said: string;
}

/** Makes a file a process that contends; mostly it is killed amid commits, now and then amid the opening. */
export function contentionProcess<A extends ContentionArgument>(
  openStore: (argument: A) => Promise<MetadataStore>,
): void {
  scenarioProcess<A>(async ({ argument, working, signal, number, seed, random }) => {
    if (random() < 0.2) working();
    using log = new EffectsLog(argument.said);
    await using store = await openStore(argument);
    working();
    const { commits = Number.POSITIVE_INFINITY, pools } = argument;
    const say = (said: Said): void => log.append(said);
    await contend({ store, name: `p${number}`, seed: seed + number, commits, pools, signal, say });
  });
}

/** How a process contends with others. */
export interface Contention {
  readonly store: MetadataStore;
  readonly name: string;
  readonly seed: number;
  /** Ends after so many commits, refused ones included. */
  readonly commits: number;
  readonly pools: number;
  /** Ends it before, when aborted. */
  readonly signal?: AbortSignal;
  say(said: Said): void;
}

/**
 * Commits at random until it has made so many commits, and says what was acknowledged. Where the store
 * is away it says whether the commit may have been made, and goes on; any other error that the contract
 * does not foresee rejects.
 */
export async function contend(contention: Contention): Promise<void> {
  const contender = new Contender(contention);
  await contender.fillOnce();
  const { commits, signal } = contention;
  while (contender.count < commits && signal?.aborted !== true) await contender.act();
}

class Contender {
  readonly #store: MetadataStore;
  readonly #name: string;
  readonly #pools: number;
  readonly #say: (said: Said) => void;
  readonly #random: () => number;
  count = 0;

  constructor({ store, name, pools, say, seed }: Contention) {
    this.#store = store;
    this.#name = name;
    this.#pools = pools;
    this.#say = say;
    this.#random = seededRandom(seed);
  }

  async act(): Promise<void> {
    const acts = [
      () => this.#move(),
      () => this.#move(),
      () => this.#rewrite(),
      () => this.#sit(),
      () => this.#stand(),
      () => this.#tag(),
      () => this.#work(),
    ];
    await acts[this.#below(acts.length)]?.();
  }

  /** The pools and jobs, made by whichever process comes first. */
  async fillOnce(): Promise<void> {
    const changes = Array.from({ length: this.#pools }, (_, i): Change => {
      const columns = { amount: startAmount, moves: 0 };
      return { op: 'create', kind: 'pool', id: `pool-${i}`, columns };
    });
    const jobs = Array.from({ length: 5 }, (_, i): Change => {
      return { op: 'create', kind: 'job', id: `job-${i}`, columns: { done: 0, dueAt: i } };
    });
    await this.#commit('CONFLICT', [...changes, ...jobs]);
  }

  /** Moves an amount from one pool to another; neither may fall below 0. Its event says the same. */
  async #move(): Promise<void> {
    const from = this.#somePool();
    const to = this.#somePool();
    if (from === to) return;
    const amount = 1 + this.#below(60);
    const emit = this.#event(`pool:${from}`, { from, to, amount });
    const adjust = (id: string, column: string, by: number): Change => {
      return { op: 'adjust', kind: 'pool', id, column, by, min: 0 };
    };
    await this.#commit('CONFLICT', [
      adjust(from, 'amount', -amount),
      adjust(to, 'amount', amount),
      adjust(from, 'moves', 1),
      emit,
    ]);
  }

  /** Reads a pool, writes one more into its body, expecting what was read; another pool is asserted. */
  async #rewrite(): Promise<void> {
    const id = this.#somePool();
    const other = this.#somePool();
    for (let done = false; !done; ) {
      const pools = await this.#reading(() => this.#store.findMany(workspace, 'pool', [id, other]));
      if (pools === undefined) return;
      const [pool, second] = pools;
      if (pool === undefined || second === undefined) throw new Error('A pool is missing.');
      const n = Number(pool.body['n'] ?? 0) + 1;
      done = await this.#commit('STALE', [
        { op: 'assert', kind: 'pool', id: other, expect: second.revision },
        { op: 'replace', kind: 'pool', id, expect: pool.revision, body: { n } },
        this.#event(`body:${id}`, { id, n }),
      ]);
    }
  }

  /** Takes a seat, if it is free. */
  async #sit(): Promise<void> {
    const id = uuidV7();
    const code = `seat-${this.#below(15)}`;
    const columns = { code, holder: this.#name };
    const seat: Change = { op: 'create', kind: 'seat', id, columns };
    await this.#commit('CONFLICT', [seat], { did: 'seat', code, id });
  }

  /** Leaves a seat: its code is free again. */
  async #stand(): Promise<void> {
    const page = await this.#reading(() => this.#store.query(workspace, 'seat', { limit: 5 }));
    if (page === undefined) return;
    const seat = page.records[this.#below(page.records.length)];
    if (seat === undefined) return;
    const { id, revision } = seat;
    const columns = { code: undefined };
    await this.#commit('STALE', [{ op: 'replace', kind: 'seat', id, expect: revision, columns }]);
  }

  async #tag(): Promise<void> {
    const pool = this.#somePool();
    const key = uuidV7();
    const set = { tags: { [key]: this.count } };
    await this.#commit('STALE', [{ op: 'merge', kind: 'pool', id: pool, set }], {
      did: 'tag',
      pool,
      key,
    });
  }

  /** Takes the job that is due first, does it, gives it back; the hold proves that nobody else had it. */
  async #work(): Promise<void> {
    const owner = this.#name;
    const taken = await this.#reading(() =>
      this.#store.claim('job', {
        workspace,
        limit: 1,
        owner,
        leaseMs: 2_000,
        orderBy: [{ by: { from: 'column', name: 'dueAt' }, direction: 'asc' }],
      }),
    );
    const claimed = taken?.[0];
    if (claimed === undefined) return;
    const { record, fence } = claimed;
    const { id } = record;
    await this.#commit('LOST', [
      { op: 'hold', kind: 'job', id, owner, fence },
      { op: 'adjust', kind: 'job', id, column: 'done', by: 1 },
      { op: 'adjust', kind: 'job', id, column: 'dueAt', by: 5 },
      this.#event(`job:${id}`, { fence, done: Number(record.columns['done']) + 1 }),
    ]);
    await this.#reading(() => this.#store.release([{ workspace, kind: 'job', id, owner, fence }]));
  }

  /** Commits, and says so; true unless it was refused for the reason that may be. */
  async #commit(
    refusal: 'STALE' | 'CONFLICT' | 'LOST',
    changes: readonly Change[],
    said?: Said,
  ): Promise<boolean> {
    const emits = changes.flatMap((change) => (change.op === 'emit' ? [change.event.id] : []));
    this.count += 1;
    try {
      await this.#store.commit({ workspace, principal: this.#name, changes });
    } catch (error) {
      if (isKeelsonError(error, refusal)) return false;
      if (!isKeelsonError(error, 'UNAVAILABLE')) throw error;
      const unknown = error.details['outcome'] === 'unknown';
      for (const id of emits) this.#say({ did: unknown ? 'perhaps' : 'not', id });
      return true;
    }
    if (said !== undefined) this.#say(said);
    for (const id of emits) this.#say({ did: 'event', id });
    return true;
  }

  /** Reads; undefined where the store is away. */
  async #reading<T>(read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      if (!isKeelsonError(error, 'UNAVAILABLE')) throw error;
      return undefined;
    }
  }

  #event(
    subject: string,
    payload: { readonly [key: string]: string | number },
  ): Change & { op: 'emit' } {
    return {
      op: 'emit',
      event: {
        id: uuidV7(),
        type: 'pool.changed',
        subject,
        source: this.#name,
        at: 1,
        payload,
        schemaVersion: 1,
        correlationId: this.#name,
        principal: this.#name,
      },
    };
  }

  #somePool(): string {
    return `pool-${this.#below(this.#pools)}`;
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }
}
