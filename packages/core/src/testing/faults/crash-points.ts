import type { Change, Commit } from '../../contracts/metadata-store.ts';
import { KeelsonError } from '../../errors.ts';
import { interposed, type StoreCall } from './interposed.ts';

/**
 * What happens at a point. `exit`: SIGKILL of the process by itself. `throw`: UNAVAILABLE, nothing was
 * done. `unknown`: UNAVAILABLE with `details.outcome: 'unknown'`, whether or not it was done. `stall`: it
 * stands still until `resume`, as a process that the system has stopped.
 */
export type CrashKind = 'exit' | 'throw' | 'unknown' | 'stall';

/** A point that a scenario came by. */
export interface CrashPoint {
  readonly name: string;
  /** How often it came by it. */
  readonly hits: number;
  /** What may happen there. */
  readonly kinds: readonly CrashKind[];
}

/** One crash: what happens, where, and at which hit of the point (1, the first, when left out). */
export interface Crash {
  readonly point: string;
  readonly kind: CrashKind;
  readonly hit?: number;
}

/** The crash as people read it: `exit at the 2nd "before commit(…)"`. */
export function crashText({ point, kind, hit = 1 }: Crash): string {
  return `${kind} at hit ${hit} of "${point}"`;
}

/** The named points of one run of a scenario: counts them, and crashes at the one it was told. */
export class CrashPoints {
  readonly #crash: Crash | undefined;
  readonly #points = new Map<string, CrashPoint>();
  readonly #reached = Promise.withResolvers<void>();
  readonly #resumed = Promise.withResolvers<void>();
  #crashed = false;

  /** Without a crash the points are only counted. */
  constructor(crash?: Crash) {
    this.#crash = crash;
  }

  /** Whether the crash has happened. */
  get crashed(): boolean {
    return this.#crashed;
  }

  /** Resolves when the crash happens; never where it is not reached. */
  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  /** What stands still goes on. */
  resume(): void {
    this.#resumed.resolve();
  }

  /** The points that were come by, in the order of their first hits. */
  get points(): readonly CrashPoint[] {
    return [...this.#points.values()];
  }

  /**
   * Comes by a point. Rejects with UNAVAILABLE, does not come back, or takes its time where the crash is
   * meant to be here. `kinds` are what may happen here: `exit`, `throw` and `stall` when left out.
   */
  async hit(name: string, kinds: readonly CrashKind[] = ['exit', 'throw', 'stall']): Promise<void> {
    const hits = (this.#points.get(name)?.hits ?? 0) + 1;
    this.#points.set(name, { name, hits, kinds });
    const crash = this.#crash;
    if (crash === undefined || crash.point !== name || (crash.hit ?? 1) !== hits) return;
    this.#crashed = true;
    this.#reached.resolve();
    if (crash.kind === 'stall') await this.#resumed.promise;
    else if (crash.kind === 'exit') await endProcess();
    else throw storeAway(name, crash.kind === 'unknown');
  }
}

/** Every crash of these points: each kind at each hit, at most `hits` (1 when left out) of a point. */
export function crashesOf(
  points: readonly CrashPoint[],
  options: { readonly hits?: number; readonly kinds?: readonly CrashKind[] } = {},
): readonly Crash[] {
  const { hits = 1, kinds } = options;
  return points.flatMap((point) =>
    Array.from({ length: Math.min(hits, point.hits) }, (_, i) =>
      point.kinds
        .filter((kind) => kinds === undefined || kinds.includes(kind))
        .map((kind): Crash => ({ point: point.name, kind, hit: i + 1 })),
    ).flat(),
  );
}

const writes: ReadonlySet<string> = new Set([
  ...['commit', 'claim', 'renew', 'release', 'put', 'keep', 'remove', 'collectLeftovers'],
  ...['appendPoints', 'appendRows', 'putRollups', 'removeOwners', 'dropRows', 'fold'],
  ...['dropRollups', 'eraseRows'],
]);

/** What waits or tells the time changes nothing, and how often it is asked is chance. */
const withoutPoints: ReadonlySet<string> = new Set(['now', 'ping', 'waitForEvents']);

/**
 * The store with points around its calls: `before commit(create run, emit run.started)`, `after
 * claim(subscription)`, `before find(model)`. Around what writes there are two, where the process can end
 * and the answer get lost; what reads can fail, and what was read be old when it is used.
 */
export function withCrashPoints<S extends object>(store: S, points: CrashPoints): S {
  return interposed(store, async (call, proceed) => {
    if (withoutPoints.has(call.method)) return await proceed();
    const name = callName(call);
    if (!writes.has(call.method)) {
      await points.hit(`before ${name}`, ['throw']);
      const answer = await proceed();
      await points.hit(`after ${name}`, ['stall']);
      return answer;
    }
    await points.hit(`before ${name}`, ['exit', 'throw', 'unknown', 'stall']);
    const answer = await proceed();
    await points.hit(`after ${name}`, ['exit', 'unknown', 'stall']);
    return answer;
  });
}

/** A call by what it does: `commit(hold job, adjust tally, emit job.done)`, `claim(job)`. */
function callName({ method, args }: StoreCall): string {
  if (method === 'commit') {
    return `commit(${[...new Set((args[0] as Commit).changes.map(changeName))].join(', ')})`;
  }
  const kind = method === 'claim' || method === 'claimOwners' ? args[0] : args[1];
  return typeof kind === 'string' ? `${method}(${kind})` : method;
}

function changeName(change: Change): string {
  if (change.op === 'emit') return `emit ${change.event.type}`;
  return `${change.op} ${change.op === 'restore' ? change.record.kind : change.kind}`;
}

/** The error of a store that is away; `unknown` where what it was asked may have been done. */
export function storeAway(where: string, unknown = false): KeelsonError {
  return unknown
    ? new KeelsonError(
        'UNAVAILABLE',
        `The store was cut off at "${where}", as this test wants it: the commit is wholly there or wholly absent. Look before you try again.`,
        { details: { outcome: 'unknown' } },
      )
    : new KeelsonError(
        'UNAVAILABLE',
        `The store is away at "${where}", as this test wants it; nothing was changed. Try again.`,
      );
}

async function endProcess(): Promise<never> {
  process.kill(process.pid, 'SIGKILL');
  return await new Promise<never>(() => undefined);
}
