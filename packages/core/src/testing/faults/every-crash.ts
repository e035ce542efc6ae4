import { isKeelsonError } from '../../errors.ts';
import type { Json } from '../../json.ts';
import { type ProgramOptions, ScenarioChild } from './child-of-scenario.ts';
import { type Crash, type CrashKind, CrashPoints, crashesOf, crashText } from './crash-points.ts';
import { checkInvariants, type Invariant } from './invariants.ts';

/** A scenario that is crashed at every point it comes by. */
export interface CrashScenario<W extends AsyncDisposable> {
  readonly name: string;
  /** A new world for each crash: a directory, a schema. */
  open(): Promise<W>;
  /** What is crashed: comes by points, through wrapped stores or by itself. It opens and closes what it uses. */
  attempt(world: W, points: CrashPoints): Promise<void>;
  /**
   * The same in a process of its own, for crashes of the kind `exit`: a program that calls `attempt` with
   * what it is passed. Left out, nothing is killed.
   */
  readonly process?: ProgramOptions & { argument(world: W): Json };
  /** What whoever comes next does, with nothing crashing. */
  recover(world: W): Promise<void>;
  readonly invariants: readonly Invariant<W>[];
  /** How many hits of one point are tried; 1 when left out. */
  readonly hits?: number;
  /** All that are possible when left out. */
  readonly kinds?: readonly CrashKind[];
  /** What is done while an attempt stands still: another process that finds its lease run out, say. */
  meanwhile?(world: W): Promise<void>;
}

/** What {@link runEveryCrash} did. */
export interface CrashReport {
  readonly points: number;
  readonly crashes: readonly Crash[];
  readonly byKind: Readonly<Record<CrashKind, number>>;
  readonly tookMs: number;
}

/**
 * Runs the scenario once undisturbed to learn its points, then once for every point and kind, each in a
 * new world: attempt, crash, recovery, invariants. Rejects at the first invariant that does not hold,
 * naming the crash; when an attempt fails with anything but a KeelsonError; and when a crash was not
 * reached, because then nothing was proved.
 */
export async function runEveryCrash<W extends AsyncDisposable>(
  scenario: CrashScenario<W>,
): Promise<CrashReport> {
  const startedAt = performance.now();
  const learnt = new CrashPoints();
  await inNewWorld(scenario, 'undisturbed', (world) => scenario.attempt(world, learnt));
  const { hits = 1, kinds } = scenario;
  const possible = kinds ?? ['exit', 'throw', 'unknown', 'stall'];
  const crashes = crashesOf(learnt.points, {
    hits,
    kinds: possible.filter((kind) => kind !== 'exit' || scenario.process !== undefined),
  });
  const byKind = { exit: 0, throw: 0, unknown: 0, stall: 0 };
  for (const crash of crashes) {
    await inNewWorld(scenario, crashText(crash), (world) => crashOnce(scenario, world, crash));
    byKind[crash.kind] += 1;
  }
  const tookMs = performance.now() - startedAt;
  return { points: learnt.points.length, crashes, byKind, tookMs };
}

async function inNewWorld<W extends AsyncDisposable>(
  scenario: CrashScenario<W>,
  context: string,
  act: (world: W) => Promise<void>,
): Promise<void> {
  await using world = await scenario.open();
  await act(world);
  await scenario.recover(world);
  await checkInvariants(world, scenario.invariants, context);
}

async function crashOnce<W extends AsyncDisposable>(
  scenario: CrashScenario<W>,
  world: W,
  crash: Crash,
): Promise<void> {
  const reached =
    crash.kind === 'exit'
      ? await exitAt(scenario, world, crash)
      : await crashHere(scenario, world, crash);
  if (!reached) {
    throw new Error(
      `The crash was not reached: ${crashText(crash)}. Does the scenario run alike each time?`,
    );
  }
}

async function exitAt<W extends AsyncDisposable>(
  { process: program }: CrashScenario<W>,
  world: W,
  crash: Crash,
): Promise<boolean> {
  if (program === undefined) return false;
  const child = new ScenarioChild(program);
  try {
    const argument = program.argument(world);
    await child.go({ argument, slot: 0, number: 0, seed: 0, crash });
    await child.end();
  } finally {
    await child.kill();
  }
  if (child.failure !== undefined)
    throw new Error(`${crashText(crash)}: the process ${child.failure}`);
  return child.killed;
}

async function crashHere<W extends AsyncDisposable>(
  scenario: CrashScenario<W>,
  world: W,
  crash: Crash,
): Promise<boolean> {
  const points = new CrashPoints(crash);
  const attempting = scenario.attempt(world, points);
  const ended = attempting.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (crash.kind === 'stall') {
    await Promise.race([points.reached, ended]);
    try {
      await scenario.meanwhile?.(world);
    } finally {
      points.resume();
    }
  }
  const error = await ended;
  if (error !== undefined && !isKeelsonError(error)) {
    throw new Error(`${crashText(crash)}: the attempt failed with what is no KeelsonError`, {
      cause: error,
    });
  }
  return points.crashed;
}
