import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkWorld } from '../../test/metadata/contention-check.ts';
import { contentionKinds, poolCount, type Said } from '../../test/metadata/contention-kinds.ts';
import { readEffects } from '../testing/faults/effects-log.ts';
import { type KillLoopOptions, killLoop } from '../testing/faults/kill-loop.ts';
import { seedOf } from '../testing/faults/seed.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { SqliteMetadataStore } from './sqlite-metadata-store.ts';

/** Long form: `COMMITS=2000 KILLS=300 vitest run sqlite-contention --testTimeout=3600000`. */
const commits = Number(process.env['COMMITS'] ?? 60);
const kills = Number(process.env['KILLS'] ?? 12);
const seed = seedOf();
const program = new URL('../../test/metadata/contention-child.ts', import.meta.url);

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keelson-contention-'));
  path = join(directory, 'keelson.db');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function contending(options: {
  readonly processes: number;
  readonly kills: number;
  readonly commits?: number;
}): Promise<readonly Said[]> {
  const { commits: most, ...rest } = options;
  const log = join(directory, 'said');
  const said = (): readonly Said[] => readEffects<Said>(log);
  const done: KillLoopOptions['done'] = (soFar) =>
    soFar.kills === options.kills && said().length > 5 * kills;
  const argument = { path, said: log, pools: poolCount };
  const { kills: hit } = await killLoop({
    ...{ program, seed, everyMs: [20, 200], timeoutMs: 60_000 + kills * 5_000 + commits * 500 },
    argument: most === undefined ? argument : { ...argument, commits: most },
    ...rest,
    ...(most === undefined ? { done } : {}),
  });
  expect(hit).toBe(options.kills);
  return said();
}

describe(`processes that write at once (KEELSON_SEED=${seed})`, () => {
  test(
    'eight of them, from the opening of a new file on, lose nothing and keep every bound',
    async () => {
      const said = await contending({ processes: 8, kills: 0, commits });
      expect(said.length).toBeGreaterThan(commits);
      await checkFile(said);
    },
    90_000 + commits * 500,
  );

  test(
    'killed at random, they leave all that was acknowledged, and nothing by halves',
    async () => {
      const said = await contending({ processes: 3, kills });
      expect(said.length).toBeGreaterThan(kills);
      await checkFile(said);
    },
    90_000 + kills * 5_000,
  );
});

async function checkFile(said: readonly Said[]): Promise<void> {
  await using database = await SqliteDatabase.open(path);
  expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
  await using store = await SqliteMetadataStore.open({ database, kinds: contentionKinds });
  await checkWorld(store, said, poolCount);
}
