import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { childFile } from '../../../test/child-program.ts';
import { SqliteMetadataStore } from '../../embedded/sqlite-metadata-store.ts';
import { readEffects } from './effects-log.ts';
import { checkInvariants } from './invariants.ts';
import { killLoop } from './kill-loop.ts';
import { seedOf } from './seed.ts';
import {
  type Handled,
  type WorkLeft,
  workInvariants,
  workIsDone,
  workKinds,
} from './work-scenario.ts';

const seed = seedOf();

async function workOnSqlite(tasks: number): Promise<WorkLeft & { readonly argument: object }> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-kills-'));
  const path = join(dir, 'keelson.db');
  const clock = { now: () => Date.now() };
  const store = await SqliteMetadataStore.open({ path, kinds: workKinds, clock });
  onTestFinished(async () => {
    await store.close();
    await rm(dir, { recursive: true, force: true });
  });
  const effects = join(dir, 'effects.jsonl');
  return {
    ...{ store, tasks },
    handled: () => readEffects<Handled>(effects),
    argument: { path, effects, tasks, leaseMs: 300 },
  };
}

test(`three workers, killed and stalled amid their work (KEELSON_SEED=${seed})`, async () => {
  const work = await workOnSqlite(400);
  const { kills, stalls } = await killLoop({
    program: childFile('work-on'),
    argument: { ...work.argument },
    ...{ processes: 3, kills: 8, stalls: 3, stallMs: 700, seed, everyMs: [20, 60] },
    done: () => workIsDone(work),
    timeoutMs: 60_000,
  });
  await checkInvariants(work, workInvariants, `seed ${seed}`);
  expect(kills).toBeGreaterThan(0);
  console.log(`${kills} kills, ${stalls} stalls`);
}, 90_000);

test('work that does not go on is hit only once its time of grace is over', async () => {
  const work = await workOnSqlite(400);
  const looks: number[] = [];
  const { kills, tookMs } = await killLoop({
    program: childFile('work-on'),
    argument: { ...work.argument },
    ...{ processes: 1, kills: 2, seed, everyMs: [1, 2], graceMs: 400 },
    progress: () => 0,
    done: ({ kills }) => {
      looks.push(kills);
      return kills === 2;
    },
    timeoutMs: 60_000,
  });
  expect(kills).toBe(2);
  expect(tookMs).toBeGreaterThan(400);
  expect(looks.filter((kills) => kills === 1).length).toBeGreaterThan(3);
}, 90_000);
