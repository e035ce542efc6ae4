import { readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Change } from '../src/contracts/metadata-store.ts';
import { openPlatform, type Platform } from '../src/open-platform.ts';
import { platformKinds } from '../src/platform-kinds.ts';
import { fillSecretWorld, type WorldNames } from './foreign/secret-world.ts';
import { openTestScope, type TestScope } from './open-test-scope.ts';
import { testBackends } from './test-backends.ts';

/** A platform with something of everything, a clock that can be set ahead, and a way past its services. */
export interface FaultyWorld extends AsyncDisposable {
  readonly platform: Platform;
  readonly world: WorldNames;
  readonly store: TestScope;
  readonly dir: string;
  ahead(ms: number): void;
  /** Commits what no service would. */
  plant(...changes: readonly Change[]): Promise<void>;
  /** Replaces columns or the body of a record, whatever its revision is. */
  spoil(
    kind: string,
    id: string,
    what: Pick<Extract<Change, { op: 'replace' }>, 'columns' | 'body'>,
  ): Promise<void>;
  /** Overwrites the bytes of a content. */
  damage(sha256: string): Promise<void>;
}

const silent = (): void => undefined;
const logger = { debug: silent, info: silent, warn: silent, error: silent };

export async function openFaultyWorld(): Promise<FaultyWorld> {
  const ahead = { ms: 0 };
  const clock = { now: () => Date.now() + ahead.ms };
  const parent = await mkdtemp(join(tmpdir(), 'keelson-test-'));
  const dir = join(parent, '.keelson');
  const backends = await testBackends(dir);
  const platform = await openPlatform({ dir, ...backends, clock, logger, heartbeatTimeoutMs: 100 });
  const world = await fillSecretWorld(platform);
  const store = await openTestScope({ kinds: platformKinds, dir, clock });
  const { metadata } = store.scope;
  const commit = async (changes: readonly Change[]): Promise<void> => {
    await metadata.commit({ workspace: 'default', principal: 'user:vandal', changes });
  };
  return {
    ...{ platform, world, store, dir },
    ahead(ms) {
      ahead.ms += ms;
    },
    plant: (...changes) => commit(changes),
    async spoil(kind, id, what) {
      const record = await metadata.find('default', kind, id);
      const expect = record?.revision ?? 0;
      await commit([{ op: 'replace', kind, id, expect, ...what }]);
    },
    async damage(sha256) {
      const found = readdirSync(dir, { recursive: true }).find((path) =>
        String(path).endsWith(`/${sha256}`),
      );
      await writeFile(join(dir, String(found)), 'damaged');
    },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await platform.close();
      await rm(parent, { recursive: true, force: true });
    },
  };
}
