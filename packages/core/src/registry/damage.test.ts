import { createHash, randomBytes } from 'node:crypto';
import { chmod, open, readdir, rename, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../../test/open-test-platform.ts';
import { type ErrorCode, isKeelsonError } from '../errors.ts';
import type { Platform } from '../open-platform.ts';
import type { ModelVersion } from './model-version.ts';

const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1] }],
  outputs: [{ name: 'y', datatype: 'FP64', shape: [-1] }],
} as const;

/** Three chunks, and a little. */
const files = { 'a.bin': randomBytes(3 * 2 ** 20 + 77), 'b.bin': randomBytes(2 ** 20 + 1) };

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

class World {
  readonly platform: Platform;
  readonly dir: string;
  readonly version: ModelVersion;

  constructor(platform: Platform, dir: string, version: ModelVersion) {
    this.platform = platform;
    this.dir = dir;
    this.version = version;
  }

  static async open(): Promise<World> {
    const { platform, dir } = await openTestPlatform();
    const world = new World(platform, dir, await register(platform));
    return world;
  }

  get registry(): Platform['registry'] {
    return this.platform.registry;
  }

  /** The file of the store that has the content, to be damaged. */
  async path(name: keyof typeof files): Promise<string> {
    const digest = sha256(files[name]);
    const path = join(this.dir, 'artifacts', 'spaces', 'default', digest.slice(0, 2), digest);
    await chmod(path, 0o644);
    return path;
  }

  /** Puts the same bytes again, as anybody may. */
  async heal(): Promise<void> {
    await this.platform.tracking.withRun({ experiment: 'heal' }, async (run) => {
      for (const [name, bytes] of Object.entries(files)) await run.logArtifact(name, bytes);
    });
  }

  async events(): Promise<readonly { readonly type: string; readonly payload: object }[]> {
    const events = await Array.fromAsync(this.platform.events.each({ subjects: ['model:m'] }));
    return events.filter(({ type }) => type === 'model.damaged' || type === 'model.healed');
  }

  async now(): Promise<ModelVersion> {
    return await this.registry.getVersionById(this.version.id);
  }
}

function register(platform: Platform, more: object = {}): Promise<ModelVersion> {
  return platform.registry.register({
    ...{ model: 'm', from: { files }, format: 'CUSTOM', signature, version: '1.0.0' },
    ...more,
  });
}

async function code(work: Promise<unknown>): Promise<ErrorCode> {
  try {
    await work;
  } catch (error) {
    if (isKeelsonError(error)) return error.code;
    throw error;
  }
  throw new Error('It was not refused.');
}

async function flip(path: string, at: number): Promise<void> {
  await using handle = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  await handle.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at);
}

const size = files['a.bin'].length;
const damages: Record<string, (world: World) => Promise<void>> = {
  'a bit of the first byte': async (world) => flip(await world.path('a.bin'), 0),
  'a bit in the middle': async (world) => flip(await world.path('a.bin'), 2 ** 20 + 4321),
  'a bit of the last byte': async (world) => flip(await world.path('a.bin'), size - 1),
  'the last byte is gone': async (world) => truncate(await world.path('a.bin'), size - 1),
  'all bytes are gone': async (world) => truncate(await world.path('a.bin'), 0),
  'the file is gone': async (world) => rm(await world.path('a.bin')),
  'two files have changed places': async (world) => {
    const [a, b] = [await world.path('a.bin'), await world.path('b.bin')];
    await rename(a, `${a}.aside`);
    await rename(b, a);
    await rename(`${a}.aside`, b);
  },
};

describe('content that is no longer what was registered', () => {
  test.each(Object.entries(damages))(
    '%s: never served, flagged, told, and healed',
    async (_, damage) => {
      const world = await World.open();
      const { registry, version } = world;
      await damage(world);
      const dir = await temporaryDirectory();
      expect(['CORRUPT', 'NOT_FOUND']).toContain(
        await code(registry.download(version.id, join(dir, 'model'))),
      );
      expect(await readdir(dir)).toEqual([]);
      const flagged = await world.now();
      expect(flagged.status).toBe('FAILED');
      expect(flagged.failure).toMatch(/^[ab]\.bin: /);
      expect(await world.events()).toEqual([
        expect.objectContaining({
          type: 'model.damaged',
          payload: expect.objectContaining({ versionId: version.id, version: '1.0.0' }),
        }),
      ]);
      // Neither downloaded, nor promoted, nor deployed.
      expect(await code(registry.download(version.id, join(dir, 'model')))).toBe('CORRUPT');
      const request = { model: 'm', version: '1.0.0', reason: 'r' } as const;
      expect(await code(registry.requestTransition({ ...request, to: 'STAGING' }))).toBe(
        'CONFLICT',
      );
      const deployment = { name: 'd', versionId: version.id, environment: 'STAGING' } as const;
      expect(await code(world.platform.deployments.create(deployment))).toBe('CONFLICT');
      const verified = await registry.verify('m@1.0.0');
      expect(verified.version.status).toBe('FAILED');
      expect(verified.problems.map(({ path }) => path)).toContain('a.bin');
      // The same bytes again heal the content; whoever looks sees it.
      for (const bytes of Object.values(files)) {
        await world.platform.tracking.withRun({ experiment: 'heal' }, (run) =>
          run.logArtifact('x', bytes),
        );
      }
      expect(await registry.verify(version.id)).toMatchObject({
        version: { status: 'READY' },
        problems: [],
      });
      expect((await world.now()).failure).toBeUndefined();
      expect((await world.events()).map(({ type }) => type)).toEqual([
        'model.damaged',
        'model.healed',
      ]);
      await registry.download(version.id, join(dir, 'model'));
      expect(await readdir(join(dir, 'model'))).toEqual(['a.bin', 'b.bin']);
    },
  );

  test('registering the same files again heals, by itself', async () => {
    const world = await World.open();
    await flip(await world.path('b.bin'), 5);
    expect((await world.registry.verify('m@1.0.0')).problems).toEqual([
      {
        path: 'b.bin',
        sha256: sha256(files['b.bin']),
        code: 'CORRUPT',
        problem: expect.stringContaining('between byte 0 and'),
      },
    ]);
    const healed = await register(world.platform);
    expect([healed.id, healed.status]).toEqual([world.version.id, 'READY']);
    expect((await world.events()).map(({ type }) => type)).toEqual([
      'model.damaged',
      'model.healed',
    ]);
  });

  test('a transition finds it by its check, and flags the version; archiving it is still possible', async () => {
    const world = await World.open();
    await flip(await world.path('b.bin'), 5);
    const request = { model: 'm', version: '1.0.0', reason: 'r' } as const;
    const asked = await world.registry.requestTransition({ ...request, to: 'STAGING' });
    expect(asked.status).toBe('FAILED');
    expect((await world.now()).status).toBe('FAILED');
    await world.registry.requestTransition({ ...request, to: 'ARCHIVED', confirm: true });
    expect(await world.now()).toMatchObject({ status: 'FAILED', stage: 'ARCHIVED' });
  });

  test('approval comes too late for a version that was flagged meanwhile', async () => {
    const world = await World.open();
    const request = { model: 'm', version: '1.0.0', reason: 'r' } as const;
    await world.registry.requestTransition({ ...request, to: 'STAGING' });
    const asked = await world.registry.requestTransition({ ...request, to: 'PRODUCTION' });
    await flip(await world.path('b.bin'), 5);
    await world.registry.verify('m@1.0.0');
    const ana = world.platform.as({ principal: { id: 'user:ana', roles: [] } });
    expect(await code(ana.registry.approve(asked.id))).toBe('CONFLICT');
    expect((await world.now()).stage).toBe('STAGING');
  });

  test('a copy in the cache is still what was registered, and a cold cache finds the damage', async () => {
    const world = await World.open();
    const dir = await temporaryDirectory();
    await world.registry.download('m@1.0.0', join(dir, 'before'));
    await flip(await world.path('a.bin'), 5);
    await world.registry.download('m@1.0.0', join(dir, 'warm'));
    expect((await world.now()).status).toBe('READY');
    await rm(join(world.dir, 'cache', 'downloads'), { recursive: true });
    expect(await code(world.registry.download('m@1.0.0', join(dir, 'cold')))).toBe('CORRUPT');
    expect((await world.now()).status).toBe('FAILED');
  });

  test('the health check finds it in a version that is not among the newest, and names it', async () => {
    const world = await World.open();
    for (let i = 0; i < 8; i += 1) {
      const from = { files: { 'x.bin': Buffer.from(String(i)) } };
      await register(world.platform, { from, model: `other-${i}` });
    }
    const stand = async () => {
      const checks = ['recent versions'];
      const health = await world.platform.operations.health({ fresh: true, checks });
      return health.checks.find(({ name }) => name === 'recent versions');
    };
    expect(await stand()).toMatchObject({ status: 'HEALTHY' });
    await flip(await world.path('a.bin'), size - 1);
    expect(await stand()).toMatchObject({
      status: 'UNHEALTHY',
      message: expect.stringMatching(/m@1\.0\.0 .* a\.bin: /),
      details: { problems: 1 },
    });
    expect((await world.now()).status).toBe('FAILED');
    await world.heal();
    await world.registry.verify('m@1.0.0');
    expect(await stand()).toMatchObject({ status: 'HEALTHY' });
  });

  test('two who find it at once say it once', async () => {
    const world = await World.open();
    await flip(await world.path('a.bin'), 5);
    const looks = await Promise.all([1, 2, 3].map(() => world.registry.verify('m@1.0.0')));
    expect(looks.map(({ version }) => version.status)).toEqual(['FAILED', 'FAILED', 'FAILED']);
    expect(await world.events()).toHaveLength(1);
  });
});
