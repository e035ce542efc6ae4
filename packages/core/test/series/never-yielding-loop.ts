// The test of a training loop that never awaits, as a command for its long form:
// node packages/core/test/series/never-yielding-loop.ts --seconds 60 --rate 10000
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SqliteDatabase } from '../../src/embedded/sqlite-database.ts';
import { readHeartbeats } from '../../src/embedded/sqlite-heartbeats.ts';
import { SqliteSeriesStore } from '../../src/embedded/sqlite-series-store.ts';

/** What was found after the kill. */
export interface LoopOutcome {
  /** Points that the loop had logged one flush interval (and the grace) before it was killed. */
  readonly due: number;
  /** Points that are stored. */
  readonly stored: number;
  /** Whether every series has the steps 0, 1, 2 … without gap or double, and the values that go with them. */
  readonly exact: boolean;
  /** The age of the newest stored point at the kill. */
  readonly behindMs: number;
  /** The age of the run's heartbeat at the kill. */
  readonly heartbeatAgeMs: number;
}

/**
 * Runs such a loop in a child process, kills it with SIGKILL so many seconds after the first point was
 * stored, and looks at what there is.
 */
export async function runNeverYieldingLoop(options: {
  readonly seconds: number;
  readonly rate: number;
  readonly flushMs: number;
  readonly heartbeatMs: number;
  /** How far behind a busy machine may put the thread; 0 when left out. */
  readonly graceMs?: number;
  /** Where to put the database; a temporary directory when left out. */
  readonly parent?: string;
}): Promise<LoopOutcome> {
  const directory = mkdtempSync(join(options.parent ?? tmpdir(), 'training-'));
  try {
    const path = join(directory, 'keelson.db');
    const program = fileURLToPath(new URL('./training-child.ts', import.meta.url));
    const numbers = [options.rate, options.flushMs, options.heartbeatMs].map(String);
    const child = spawn(process.execPath, [program, path, 'run', ...numbers], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    let running = false;
    let killedAt = 0;
    const kill = (): void => {
      child.kill('SIGKILL');
      killedAt = Date.now();
    };
    child.stdout.on('data', (data: Buffer) => {
      said += data.toString();
      if (running || !said.includes(' 1\n')) return;
      running = true;
      setTimeout(kill, options.seconds * 1_000 + Math.random() * 500);
    });
    await once(child, 'close');
    return await look(path, said, killedAt, options.flushMs + (options.graceMs ?? 0));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function look(
  path: string,
  said: string,
  killedAt: number,
  dueMs: number,
): Promise<LoopOutcome> {
  const lines = said.split('\n').slice(0, -1);
  const reports = lines.map((line) => line.split(' ').map(Number) as [number, number, number]);
  const last = reports.findLast(([at]) => at <= killedAt - dueMs);
  await using database = await SqliteDatabase.open(path);
  await using store = await SqliteSeriesStore.open({ database });
  let stored = 0;
  let exact = true;
  let newest = 0;
  let fewest = Number.POSITIVE_INFINITY;
  for (let place = 0; place < 10; place++) {
    const key = { workspace: 'w', owner: 'run', key: `key-${place}` };
    const { steps, timestamps, values } = await store.points(key);
    stored += steps.length;
    fewest = Math.min(fewest, steps.length);
    exact &&= steps.every((step, i) => step === i && values[i] === i * 10 + place);
    newest = Math.max(newest, timestamps.at(-1) ?? 0);
  }
  const beat = readHeartbeats(database, 'w', ['run']).get('run') ?? 0;
  return {
    due: (last?.[1] ?? 0) * 10,
    stored: Math.min(stored, fewest * 10),
    exact,
    behindMs: killedAt - newest,
    heartbeatAgeMs: killedAt - beat,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      rate: { type: 'string', default: '10000' },
      'flush-ms': { type: 'string', default: '250' },
      'heartbeat-ms': { type: 'string', default: '5000' },
    },
  });
  const outcome = await runNeverYieldingLoop({
    seconds: Number(values.seconds),
    rate: Number(values.rate),
    flushMs: Number(values['flush-ms']),
    heartbeatMs: Number(values['heartbeat-ms']),
  });
  console.log(outcome);
  const kept =
    outcome.due > 0 &&
    outcome.stored >= outcome.due &&
    outcome.exact &&
    outcome.heartbeatAgeMs <= Number(values['heartbeat-ms']) + 1_000;
  console.log(kept ? 'kept' : 'BROKEN');
  process.exitCode = kept ? 0 : 1;
}
