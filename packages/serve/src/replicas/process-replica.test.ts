import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Tensor } from '@keelson/core';
import { isKeelsonError } from '@keelson/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ServingBed, until, weatherSignature } from '../testing/serving-bed.ts';
import { ReplicaPool } from './replica-pool.ts';
import { replicaStarter } from './start-replica.ts';

/** Does what `parameters` say, after it has left its process's number in the directory. */
const unrulyModule = `
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
const kept = [];
export function load(directory) {
  appendFileSync(join(directory, 'pids'), process.pid + '\\n');
  return {
    predict({ x }, { rowCount, parameters }) {
      if (parameters.signal) process.kill(process.pid, parameters.signal);
      if (parameters.exit) process.exit(parameters.exit);
      if (parameters.hang) {
        appendFileSync(join(directory, 'hangs'), '');
        for (;;);
      }
      if (parameters.heap) for (;;) kept.push(new Array(1e6).fill(0.5));
      if (parameters.leak) kept.push(Buffer.alloc(parameters.leak, 1));
      const label = Array(rowCount).fill(parameters.nan ? 'nan' : String(process.pid));
      const probabilities = Array(rowCount * 2).fill(parameters.nan ? NaN : 0.5);
      return { label, probabilities: parameters.short ? probabilities.slice(1) : probabilities };
    },
  };
}`;

let bed: ServingBed;
let directory: string;
const pools: ReplicaPool[] = [];
const warnings: string[] = [];

beforeEach(async () => {
  bed = await ServingBed.open();
  warnings.length = 0;
  ({ directory } = await bed.addModel('v', { 'model.mjs': unrulyModule }));
});

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close({ timeoutMs: 1000 })));
  await bed[Symbol.asyncDispose]();
});

async function openPool(
  settings: { replicas?: number; memoryBytes?: number; hungAfterMs?: number } = {},
): Promise<ReplicaPool> {
  const { replicas = 1, memoryBytes, hungAfterMs = 200 } = settings;
  const note = (facts: object, message: string): void =>
    void warnings.push(`${message} ${JSON.stringify(facts)}`);
  const logger = { debug: note, info: note, warn: note, error: note };
  const pool = await ReplicaPool.open({
    name: 'unruly/v',
    replicas,
    maxQueue: 2000,
    logger,
    start: replicaStarter({
      ...{ directory, signature: weatherSignature, isolation: 'process', runtime: 'javascript' },
      ...{ options: {}, warmUpRows: 1, loadTimeoutMs: 20_000, hungAfterMs, memoryBytes },
    }),
  });
  pools.push(pool);
  return pool;
}

const row: Tensor[] = [
  { name: 'x', datatype: 'FP64', shape: [1, 2], data: new Float64Array([1, 2]) },
];

/** The label: the number of the process that answered. */
async function ask(pool: ReplicaPool, parameters = {}, timeoutMs = 20_000): Promise<string> {
  const { outputs } = await pool.predict(row, 1, { timeoutMs, parameters });
  return String(outputs[0]?.data[0]);
}

async function outcome(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise;
  } catch (error) {
    return isKeelsonError(error) ? error.code : error;
  }
}

function pids(): number[] {
  return readFileSync(join(directory, 'pids'), 'utf8').trim().split('\n').map(Number);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // One that has ended and was not waited for is there as well.
  return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

describe('a model in a process of its own', () => {
  test('runs there, and is gone when its pool is closed', async () => {
    const pool = await openPool();
    const pid = Number(await ask(pool));
    expect(pid).not.toBe(process.pid);
    expect(isRunning(pid)).toBe(true);
    await pool.close({ timeoutMs: 1000 });
    expect(isRunning(pid)).toBe(false);
    expect(pool.crashes).toBe(0);
    expect(warnings).toEqual([]);
  });

  test.each([
    ['a fault in native code', { signal: 'SIGSEGV' }, /was ended by SIGSEGV/],
    ['process.exit', { exit: 7 }, /ended with exit code 7/],
    ['a kill from outside', { signal: 'SIGKILL' }, /was ended by SIGKILL/],
  ])('may end by %s: others are answered, it is replaced and told of', async (_, fault, told) => {
    const pool = await openPool();
    const crashing = outcome(ask(pool, fault));
    const others = Array.from({ length: 10 }, () => ask(pool));
    // It took two replicas with it.
    expect(await crashing).toBe('FAILED');
    expect((await Promise.all(others)).every((pid) => Number(pid) > 0)).toBe(true);
    expect(pool.crashes).toBe(2);
    expect(warnings.join('\n')).toMatch(told);
    await until('a replica to be back', () => pool.readyCount === 1);
  });

  test('is killed when it hangs, even in a loop that never yields, and replaced', async () => {
    const pool = await openPool();
    const pid = Number(await ask(pool));
    expect(await outcome(ask(pool, { hang: true }, 200))).toBe('TIMEOUT');
    expect(Number(await ask(pool))).not.toBe(pid);
    expect(isRunning(pid)).toBe(false);
    expect(warnings.join('\n')).toMatch(/hung; its process was ended/);
  });

  test('that fills its heap ends alone', async () => {
    const pool = await openPool({ memoryBytes: 150 * 2 ** 20 });
    expect(await outcome(ask(pool, { heap: true }))).toBe('FAILED');
    expect(Number(await ask(pool))).toBeGreaterThan(0);
    expect(pool.crashes).toBe(2);
  });

  test('that leaks is replaced above its limit, without a failed request, and told of', async () => {
    const limit = 200 * 2 ** 20;
    const pool = await openPool({ memoryBytes: limit });
    const pid = Number(await ask(pool));
    const seen = new Set([pid]);
    while (pool.relieved === 0) {
      const leak = isRunning(pid) && seen.size === 1 ? 8 * 2 ** 20 : 0;
      const used = readFileSync(`/proc/${pid}/status`, 'utf8');
      const tooMuch = Number(/VmRSS:\s+(\d+)/.exec(used)?.[1]) * 1024 > limit;
      seen.add(Number(await ask(pool, tooMuch ? {} : { leak })));
    }
    await until('the old one to be gone', () => !isRunning(pid));
    expect(Number(await ask(pool))).not.toBe(pid);
    expect(pool.crashes).toBe(0);
    expect(warnings.join('\n')).toMatch(/being replaced.*took \d+ MiB; its limit is 200 MiB/);
  });

  test('that takes more than its limit when it is loaded is refused', async () => {
    await expect(openPool({ memoryBytes: 20 * 2 ** 20 })).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(/takes \d+ MiB when it is loaded; its limit is 20 MiB/),
    });
  });

  test('may answer NaN; an answer of the wrong size fails that request alone', async () => {
    const pool = await openPool();
    const { outputs } = await pool.predict(row, 1, { timeoutMs: 5000, parameters: { nan: true } });
    expect(outputs[1]?.data).toEqual(new Float64Array([Number.NaN, Number.NaN]));
    await expect(ask(pool, { short: true })).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(/"probabilities"/),
    });
    expect(pool.crashes).toBe(0);
  });

  test('a thousand requests under twenty kills: all are answered, none tried more than twice', async () => {
    const pool = await openPool({ replicas: 2 });
    const answers: Promise<number>[] = [];
    const one = async (): Promise<number> =>
      (await pool.predict(row, 1, { timeoutMs: 25_000 })).attempts;
    let killed = 0;
    for (let i = 0; i < 1000; i += 1) {
      answers.push(one());
      if (i % 50 === 25) {
        // It has just answered, so it is one that takes requests.
        process.kill(Number(await ask(pool)), 'SIGKILL');
        killed += 1;
      }
      if (i % 10 === 0) await answers[i];
    }
    const attempts = await Promise.all(answers);
    expect(killed).toBe(20);
    expect(attempts).toHaveLength(1000);
    expect(Math.max(...attempts)).toBeLessThanOrEqual(2);
    await until('all crashes to be told', () => pool.crashes === 20);
  }, 60_000);
});

test('a replica ends by itself when its parent is killed, whatever its model does', async () => {
  const program = fileURLToPath(new URL('../testing/abandoning-child.ts', import.meta.url));
  for (const parameters of [{}, { hang: true }]) {
    writeFileSync(join(directory, 'pids'), '');
    const parent = spawn(
      process.execPath,
      [...process.execArgv, program, directory, JSON.stringify(parameters)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await once(createInterface(parent.stdout), 'line');
    if ('hang' in parameters) {
      await until('the model to hang', () => existsSync(join(directory, 'hangs')));
    }
    const [pid] = pids() as [number];
    expect(isRunning(pid)).toBe(true);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    await until('the replica to end', () => !isRunning(pid));
  }
});
