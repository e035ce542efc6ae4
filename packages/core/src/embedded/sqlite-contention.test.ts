import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ContendingProcess } from '../../test/metadata/contending-process.ts';
import { checkWorld } from '../../test/metadata/contention-check.ts';
import { contentionKinds, poolCount, type Said } from '../../test/metadata/contention-kinds.ts';
import { generator } from '../../test/metadata/seeded-generator.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { SqliteMetadataStore } from './sqlite-metadata-store.ts';

/** Long form: `COMMITS=2000 KILLS=300 vitest run sqlite-contention --testTimeout=3600000`. */
const commits = Number(process.env['COMMITS'] ?? 60);
const kills = Number(process.env['KILLS'] ?? 12);
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const program = new URL('../../test/metadata/contention-child.ts', import.meta.url);

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keelson-contention-'));
  path = join(directory, 'keelson.db');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function child(name: string, childSeed: number, count: number): ContendingProcess {
  return new ContendingProcess(program, path, name, String(childSeed), String(count));
}

describe(`processes that write at once (SEED=${seed})`, () => {
  test(
    'eight of them, from the opening of a new file on, lose nothing and keep every bound',
    async () => {
      const children = Array.from({ length: 8 }, (_, i) => child(`p${i}`, seed + i, commits));
      await Promise.all(children.map((one) => one.ended));
      expect(children.map((one) => one.failure)).toEqual(Array(8).fill(undefined));
      const said = children.flatMap((one) => one.said);
      expect(said.length).toBeGreaterThan(commits);
      await checkFile(said);
    },
    60_000 + commits * 500,
  );

  test(
    'killed at random, they leave all that was acknowledged, and nothing by halves',
    async () => {
      const random = generator(seed);
      const said: Said[] = [];
      let children = Array.from({ length: 3 }, (_, i) => child(`k${i}`, seed + i, 1e9));
      for (let kill = 0; kill < kills; kill += 1) {
        const victim = children[Math.floor(random() * children.length)];
        if (victim === undefined) break;
        // Mostly amid commits; now and then while the store is being opened.
        if (random() < 0.8) await victim.says(1 + Math.floor(random() * 20));
        expect(victim.failure).toBeUndefined();
        await victim.kill();
        said.push(...victim.said);
        const next = child(`k${3 + kill}`, seed + 100 + kill, 1e9);
        children = [...children.filter((one) => one !== victim), next];
      }
      for (const one of children) {
        await one.kill();
        expect(one.failure).toBeUndefined();
        said.push(...one.said);
      }
      expect(said.length).toBeGreaterThan(kills);
      await checkFile(said);
    },
    60_000 + kills * 5_000,
  );
});

async function checkFile(said: readonly Said[]): Promise<void> {
  await using database = await SqliteDatabase.open(path);
  expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
  await using store = await SqliteMetadataStore.open({ database, kinds: contentionKinds });
  await checkWorld(store, said, poolCount);
}
