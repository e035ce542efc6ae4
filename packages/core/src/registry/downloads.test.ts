import { randomBytes } from 'node:crypto';
import {
  appendFile,
  chmod,
  mkdir,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { openTestPlatform, temporaryDirectory, until } from '../../test/open-test-platform.ts';
import { openTestScope } from '../../test/open-test-scope.ts';
import { type ErrorCode, isKeelsonError } from '../errors.ts';
import type { Services } from '../open-platform.ts';
import { platformKinds } from '../platform-kinds.ts';
import { createDownloads } from './downloads.ts';
import type { FileProgress } from './gather-files.ts';
import type { ModelFile, ModelVersion } from './model-version.ts';

const weights = randomBytes(9 * 2 ** 20 + 1);
const files = { 'weights.bin': weights, 'deep/er/config.json': Buffer.from('{}') };

function register(platform: Services, from: object = { files }): Promise<ModelVersion> {
  return platform.registry.register({ model: 'm', from: from as never, format: 'CUSTOM' });
}

async function refusal(work: Promise<unknown>): Promise<{ code: ErrorCode; message: string }> {
  try {
    await work;
  } catch (error) {
    if (isKeelsonError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('It was not refused.');
}

/** All that lies there, by path. */
async function contentOf(directory: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    found[relative(directory, path)] = (await readFile(path)).length;
  }
  return found;
}

const whole = { 'weights.bin': weights.length, 'deep/er/config.json': 2 };

describe('a download', () => {
  test('by id or by name makes the directory as a whole, and tells how far it is', async () => {
    const { platform } = await openTestPlatform();
    const version = await register(platform);
    const dir = await temporaryDirectory();
    const told: FileProgress[] = [];
    const paths = await platform.registry.download(version.id, join(dir, 'a/model'), {
      onProgress: (progress) => void told.push(progress),
    });
    expect(paths).toEqual(version.files.map(({ path }) => join(dir, 'a/model', path)));
    expect(await contentOf(join(dir, 'a'))).toEqual(
      Object.fromEntries(Object.entries(whole).map(([path, size]) => [`model/${path}`, size])),
    );
    expect((await readFile(join(dir, 'a/model/weights.bin'))).equals(weights)).toBe(true);
    expect(told.at(-1)).toEqual({ files: 2, bytes: version.sizeBytes });
    await platform.registry.download('m@1.0.0', join(dir, 'b'));
    expect(await contentOf(join(dir, 'b'))).toEqual(whole);
    expect((await refusal(platform.registry.download('m@2.0.0', join(dir, 'c')))).code).toBe(
      'NOT_FOUND',
    );
  });

  test('into a directory that is there: what is the same stays, what is not is a conflict', async () => {
    const { platform } = await openTestPlatform();
    const version = await register(platform);
    const dir = await temporaryDirectory();
    const directory = join(dir, 'model');
    await mkdir(directory);
    await writeFile(join(directory, 'mine.txt'), 'mine');
    await platform.registry.download(version.id, directory);
    expect(await contentOf(directory)).toEqual({ ...whole, 'mine.txt': 4 });
    await platform.registry.download(version.id, directory);
    await rm(join(directory, 'deep/er/config.json'));
    await writeFile(join(directory, 'deep/er/config.json'), '[]');
    await rm(join(directory, 'weights.bin'));
    const { code, message } = await refusal(platform.registry.download(version.id, directory));
    expect([code, message]).toEqual(['CONFLICT', expect.stringContaining('config.json')]);
    expect(await contentOf(directory)).toEqual({ 'deep/er/config.json': 2, 'mine.txt': 4 });
    await platform.registry.download(version.id, directory, { overwrite: true });
    expect(await readFile(join(directory, 'deep/er/config.json'), 'utf8')).toBe('{}');
    expect(await contentOf(directory)).toEqual({ ...whole, 'mine.txt': 4 });
  });

  test('a link, a file or a directory in the way is never followed or replaced', async () => {
    const { platform } = await openTestPlatform();
    const version = await register(platform);
    const dir = await temporaryDirectory();
    const outside = join(dir, 'outside');
    await mkdir(outside);
    const codes = [];
    for (const [name, lay] of [
      ['link', (at: string) => symlink(outside, join(at, 'deep'))],
      ['file', (at: string) => writeFile(join(at, 'deep'), 'x')],
      ['directory', (at: string) => mkdir(join(at, 'weights.bin'))],
    ] as const) {
      const directory = join(dir, name);
      await mkdir(directory);
      await lay(directory);
      const before = await readdir(directory);
      const { code } = await refusal(
        platform.registry.download(version.id, directory, { overwrite: true }),
      );
      codes.push(code);
      expect(await readdir(directory)).toEqual(before);
    }
    expect(codes).toEqual(['CONFLICT', 'CONFLICT', 'CONFLICT']);
    expect(await readdir(outside)).toEqual([]);
    await writeFile(join(dir, 'plain'), '');
    expect((await refusal(platform.registry.download(version.id, join(dir, 'plain')))).code).toBe(
      'INVALID',
    );
  });

  test('two downloads of one version into one new directory at once', async () => {
    const { platform } = await openTestPlatform();
    const version = await register(platform);
    const dir = await temporaryDirectory();
    await Promise.all(
      [1, 2, 3].map(() => platform.registry.download(version.id, join(dir, 'model'))),
    );
    expect(await readdir(dir)).toEqual(['model']);
    expect(await contentOf(join(dir, 'model'))).toEqual(whole);
  });

  test('aborted: nothing is there', async () => {
    const { platform } = await openTestPlatform();
    const version = await register(platform);
    const dir = await temporaryDirectory();
    const stop = new AbortController();
    const work = platform.registry.download(version.id, join(dir, 'model'), {
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    expect((await refusal(work)).code).toBe('ABORTED');
    expect(await readdir(dir)).toEqual([]);
  });

  test('files are read only and those of one’s own are not', async () => {
    const { platform } = await openTestPlatform();
    const version = await register(platform);
    const dir = await temporaryDirectory();
    await platform.registry.download(version.id, join(dir, 'own'), { copy: true });
    await appendFile(join(dir, 'own/weights.bin'), 'mine');
    await platform.registry.download(version.id, join(dir, 'a'));
    // Whoever does it all the same hurts nobody that comes later.
    await chmod(join(dir, 'a/weights.bin'), 0o644);
    await appendFile(join(dir, 'a/weights.bin'), 'mine');
    await platform.registry.download(version.id, join(dir, 'b'));
    expect(await contentOf(join(dir, 'b'))).toEqual(whole);
    expect((await readFile(join(dir, 'b/weights.bin'))).equals(weights)).toBe(true);
    expect((await platform.registry.verify(version.id)).problems).toEqual([]);
  });

  test('killed at any moment: nothing under the name or all of it, and the next one clears up', async () => {
    const { platform, dir: home } = await openTestPlatform();
    const version = await register(platform, {
      files: { ...files, 'more.bin': randomBytes(2 ** 25) },
    });
    const dir = await temporaryDirectory();
    for (let kill = 0; kill < 4; kill += 1) {
      const target = join(dir, `model-${kill}`);
      const child = new ChildProgram(childFile('download-version'), [home, version.id, target]);
      await child.line(/^begins$/);
      await until('it writes', async () => (await readdir(dir)).length > kill);
      await child.kill();
      const names = await readdir(dir);
      if (!names.includes(`model-${kill}`)) await platform.registry.download(version.id, target);
      expect(Object.keys(await contentOf(target))).toHaveLength(3);
    }
    expect(await readdir(dir)).toEqual(['model-0', 'model-1', 'model-2', 'model-3']);
  });

  test.each([
    [null, join('x')],
    ['m@1.0.0', ''],
    ['m@1.0.0', 7],
    ['m@1.0.0', 'x', { overwirte: true }],
  ])('%j, %j, %j is refused', async (...args) => {
    const { platform } = await openTestPlatform();
    await register(platform);
    const work = platform.registry.download(...(args as never as [string, string]));
    expect((await refusal(work)).code).toBe('INVALID');
  });
});

describe('a record that leads out of the directory', () => {
  test.each([
    [['../escape']],
    [['/etc/escape']],
    [['C:/escape']],
    [['a\\..\\..\\escape']],
    [['nul']],
    [['a', 'a/b']],
    [['A', 'a']],
  ])('%j is refused before anything is written', async (paths) => {
    await using world = await openTestScope({ kinds: platformKinds });
    const { scope } = world;
    const { sha256, sizeBytes } = await scope.artifacts.put(Buffer.from('x'));
    const list: ModelFile[] = paths.map((path) => ({ path, sha256, sizeBytes }));
    await scope.metadata.commit({
      workspace: scope.workspace,
      principal: 'user:import',
      changes: [
        {
          op: 'create',
          kind: 'model_version',
          id: 'imported',
          columns: {
            ...{ modelId: 'm', modelName: 'm', number: 1, version: '1.0.0', format: 'CUSTOM' },
            ...{ sha256, sizeBytes, createdBy: 'x', stage: 'DEVELOPMENT', status: 'READY' },
          },
          body: { files: list as never },
        },
      ],
    });
    const dir = await temporaryDirectory();
    const place = async (): Promise<void> => {
      throw new Error('Nothing may be placed.');
    };
    const downloads = createDownloads(scope, { place });
    expect((await refusal(downloads.download('imported', join(dir, 'model')))).code).toBe(
      'INVALID',
    );
    expect(await readdir(dir)).toEqual([]);
  });
});
