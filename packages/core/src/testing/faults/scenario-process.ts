import { inspect } from 'node:util';
import type { Json } from '../../json.ts';
import { type Crash, CrashPoints } from './crash-points.ts';
import { seededRandom } from './seed.ts';

/** What a process of a scenario is told when its turn comes. */
export interface Turn {
  readonly argument: Json;
  /** Which of the processes that work side by side: 0, 1, 2 … A replacement has the place of its former. */
  readonly slot: number;
  /** How many processes were started before this one. */
  readonly number: number;
  readonly seed: number;
  readonly crash?: Crash;
}

/** What a process of a scenario has. */
export interface ScenarioContext<A> extends Omit<Turn, 'argument' | 'crash'> {
  /** What the test passed on. */
  readonly argument: A;
  /** Of the seed and the number of the process. */
  readonly random: () => number;
  /** For `withCrashPoints`, and for points of its own. */
  readonly points: CrashPoints;
  /** Aborted when the test asks the process to come to an end. */
  readonly signal: AbortSignal;
  /** Says that work has begun: only a process that works is killed or stalled. */
  working(): void;
  /** Tells the test something. It may get lost when the process is killed; an {@link EffectsLog} does not. */
  say(fact: Json): void;
}

/** From a process to the test. */
export type Told =
  | { readonly keelson: 'ready' | 'working' }
  | { readonly keelson: 'said'; readonly fact: Json };

/** From the test to a process. */
export type Asked = { readonly keelson: 'go'; readonly turn: Turn } | { readonly keelson: 'stop' };

/**
 * Makes a file a program of the fault bed: it loads, waits for its turn, runs, and ends. A rejection ends
 * it with code 1, told on stderr, and fails the test; so does a `run` that comes back while the process
 * has something open. It ends with the test, however that ends.
 */
export function scenarioProcess<A = Json>(
  run: (context: ScenarioContext<A>) => Promise<void>,
): void {
  const tell = (told: Told): void => {
    if (process.connected) process.send?.(told);
  };
  const stop = new AbortController();
  const work = async (turn: Turn): Promise<void> => {
    const { argument, crash, ...rest } = turn;
    await run({
      ...rest,
      argument: argument as A,
      random: seededRandom(turn.seed + turn.number),
      points: new CrashPoints(crash),
      signal: stop.signal,
      working: () => tell({ keelson: 'working' }),
      say: (fact) => tell({ keelson: 'said', fact }),
    });
  };
  process.once('disconnect', () => process.exit(1));
  process.on('message', (asked: Asked) => {
    if (asked.keelson === 'stop') return stop.abort();
    void work(asked.turn).then(
      () => {
        process.removeAllListeners('disconnect');
        process.disconnect();
      },
      (error: unknown) => {
        process.stderr.write(`${inspect(error)}\n`);
        process.exit(1);
      },
    );
  });
  tell({ keelson: 'ready' });
}
