import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { BenchContext } from './benchmark.ts';
import type { ContentionResult, ContentionTask } from './contention-child.ts';
import { inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, processes: 2, forMs: 100 },
  usual: { rounds: 5, processes: 8, forMs: 2_000 },
  full: { rounds: 9, processes: 8, forMs: 5_000 },
};

/** What all processes of a round saw together. */
interface Together {
  readonly perSecond: number;
  /** The longest time that any of their event loops stood still. */
  readonly longestBlockMs: number;
  /** The slowest process ÷ the fastest, in commits. */
  readonly evenness: number;
}

/**
 * Several processes that replace records in one file as fast as they can: through the store, whose writers
 * wait without blocking, and in bare node:sqlite with a busy timeout of ten seconds, as is usual.
 */
export async function benchContention(context: BenchContext): Promise<Row[]> {
  const { rounds, processes, forMs } = sizes[context.scale];
  const task = (mode: ContentionTask['mode'], seed: number): ContentionTask => ({
    mode,
    path: join(context.dir, `contention-${mode}.db`),
    forMs,
    seed,
  });
  const round = async (mode: ContentionTask['mode']): Promise<Together> => {
    const all = Array.from({ length: processes }, (_, seed) => new Contender(task(mode, seed)));
    await Promise.all(all.map((contender) => contender.hear<'ready'>()));
    for (const contender of all) contender.begin();
    const results = await Promise.all(all.map((each) => each.hear<ContentionResult>()));
    return together(results, forMs);
  };
  // One process makes the tables and the records that the others share.
  for (const mode of ['store', 'bare'] as const) {
    await new Contender({ ...task(mode, 0), forMs: 0 }).hear<ContentionResult>();
  }
  const seen = await inTurns(
    rounds,
    { store: () => round('store'), bare: () => round('bare') },
    (n) => context.tell(`contention: round ${n} of ${rounds}`),
  );
  const row = (name: string, unit: string, figure: keyof Together): Row =>
    rowOf(
      `${name}, ${processes} processes`,
      unit,
      seen.store.map((each) => each[figure]),
      {
        name: 'node:sqlite with a busy timeout',
        values: seen.bare.map((each) => each[figure]),
      },
    );
  return [
    row('commits of one change', '1/s', 'perSecond'),
    row('event loop stood still, the longest', 'ms', 'longestBlockMs'),
    row('commits of the slowest ÷ of the fastest', 'share', 'evenness'),
  ];
}

function together(results: readonly ContentionResult[], forMs: number): Together {
  const commits = results.map((result) => result.commits);
  return {
    perSecond: (commits.reduce((sum, count) => sum + count, 0) / forMs) * 1_000,
    longestBlockMs: Math.max(...results.map((result) => result.longestBlockMs)),
    evenness: Math.min(...commits) / Math.max(...commits),
  };
}

/** A process of the contention. */
class Contender {
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;

  constructor(task: ContentionTask) {
    this.#child = fork(new URL('./contention-child.ts', import.meta.url), {
      execArgv: ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning'],
    });
    this.#ended = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`A process of the contention ended with ${code} and no answer.`);
    });
    this.#ended.catch(() => undefined);
    this.#child.send(task);
  }

  begin(): void {
    this.#child.send('begin');
  }

  /** What it says next. */
  async hear<T>(): Promise<T> {
    const [message] = (await Promise.race([once(this.#child, 'message'), this.#ended])) as [T];
    return message;
  }
}
