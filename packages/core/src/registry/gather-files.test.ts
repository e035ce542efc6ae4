import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { appendFile, mkdir, rename, symlink, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  openTestPlatform,
  sharePlatform,
  temporaryDirectory,
} from '../../test/open-test-platform.ts';
import { type ErrorCode, isKeelsonError } from '../errors.ts';
import type { Services } from '../open-platform.ts';
import type { FileProgress, FilesOrigin } from './gather-files.ts';
import type { ModelVersion } from './model-version.ts';

const shared = sharePlatform();

function register(platform: Services, from: FilesOrigin, more: object = {}): Promise<ModelVersion> {
  return platform.registry.register({ model: 'm', from, format: 'CUSTOM', ...more });
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

async function treeOf(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const directory = await temporaryDirectory();
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(join(directory, path, '..'), { recursive: true });
    await writeFile(join(directory, path), bytes);
  }
  return directory;
}

const sha256 = (bytes: string | Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

const content = {
  'b.bin': randomBytes(3 * 2 ** 20 + 17),
  'a/deep/c.json': '{}',
  'a/z.txt': 'z',
  'empty.txt': '',
};
const paths = ['a/deep/c.json', 'a/z.txt', 'b.bin', 'empty.txt'];

describe('whatever they come from, the same files make the same version', () => {
  const origins: Record<string, () => Promise<FilesOrigin>> = {
    'a directory': async () => ({ directory: await treeOf(content) }),
    'bytes by name': async () => ({
      files: Object.fromEntries(
        Object.entries(content).map(([path, bytes]) => [path, Buffer.from(bytes)]),
      ),
    }),
    'streams and paths': async () => {
      const directory = await treeOf(content);
      return {
        files: {
          'empty.txt': new Blob([]),
          'b.bin': { path: join(directory, 'b.bin') },
          'a/z.txt': Readable.toWeb(createReadStream(join(directory, 'a/z.txt'))) as ReadableStream,
          'a/deep/c.json': createReadStream(join(directory, 'a/deep/c.json')),
        },
      };
    },
  };
  test.each(Object.entries(origins))('%s', async (_, origin) => {
    const { platform } = shared.fresh();
    const version = await register(platform, await origin(), { version: '1.0.0' });
    expect(version.files).toEqual(
      paths.map((path) => {
        const bytes = content[path as keyof typeof content];
        return { path, sha256: sha256(bytes), sizeBytes: bytes.length };
      }),
    );
    const again = await register(platform, await origin(), { version: '1.0.0' });
    expect(again.id).toBe(version.id);
  });

  test('a run’s artifacts, and one of them', async () => {
    const { platform } = shared.fresh();
    const runId = await platform.tracking.withRun({ experiment: 'e' }, async (run) => {
      for (const [path, bytes] of Object.entries(content)) {
        await run.logArtifact(`out/${path}`, Buffer.from(bytes));
      }
      return run.id;
    });
    const version = await register(platform, { runId, path: 'out' });
    expect(version.files.map(({ path }) => path)).toEqual(paths);
    const one = await register(platform, { runId, path: 'out/a/z.txt' });
    expect(one.files.map(({ path }) => path)).toEqual(['z.txt']);
  });

  test('one file, under its own name or another', async () => {
    const { platform } = shared.fresh();
    const file = join(await treeOf(content), 'b.bin');
    expect((await register(platform, { file })).files[0]?.path).toBe('b.bin');
    const named = await register(platform, { file, path: 'weights/model.bin' });
    expect(named.files[0]?.path).toBe('weights/model.bin');
  });
});

describe('a local directory', () => {
  test('links are followed inside it, and refused where they lead out, nowhere or in a circle', async () => {
    const { platform } = shared.fresh();
    const directory = await treeOf({ 'blobs/x': 'x', 'plain.txt': 'p' });
    await symlink('blobs/x', join(directory, 'weights.bin'));
    await symlink('blobs', join(directory, 'again'));
    const version = await register(platform, { directory });
    expect(version.files.map(({ path }) => path)).toEqual([
      'again/x',
      'blobs/x',
      'plain.txt',
      'weights.bin',
    ]);
    const outside = join(await treeOf({ secret: 's' }), 'secret');
    for (const [name, target] of [
      ['out', outside],
      ['nowhere', 'missing'],
      ['blobs/circle', '..'],
    ] as const) {
      const bad = await treeOf({ 'blobs/x': 'x' });
      await symlink(target, join(bad, name));
      const { code, message } = await refusal(register(platform, { directory: bad }));
      expect([code, message]).toEqual(['INVALID', expect.stringContaining(name)]);
    }
    // A directory that has the other's name as its beginning is outside too.
    const near = await treeOf({ 'model/x': 'x', 'model-secrets/y': 'y' });
    await symlink('../model-secrets/y', join(near, 'model/y'));
    expect((await refusal(register(platform, { directory: join(near, 'model') }))).code).toBe(
      'INVALID',
    );
  });

  test('sockets, pipes and devices are refused by name', async () => {
    const { platform } = shared.fresh();
    const withPipe = await treeOf({ x: 'x' });
    execFileSync('mkfifo', [join(withPipe, 'pipe')]);
    const withSocket = await treeOf({ x: 'x' });
    const server = createServer().listen(join(withSocket, 'socket'));
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    for (const [directory, name] of [
      [withPipe, 'pipe'],
      [withSocket, 'socket'],
    ] as const) {
      const { code, message } = await refusal(register(platform, { directory }));
      expect([code, message]).toEqual(['INVALID', expect.stringContaining(`${name} is a ${name}`)]);
    }
    const device = await refusal(register(platform, { file: '/dev/zero' }));
    expect(device).toEqual({ code: 'INVALID', message: expect.stringContaining('a device') });
    expect(await platform.registry.listModels()).toEqual([]);
  });

  test('nothing there, nothing in it, no directory', async () => {
    const { platform } = shared.fresh();
    const directory = await treeOf({ x: 'x' });
    await mkdir(join(directory, 'empty/in/empty'), { recursive: true });
    const codes = [];
    for (const from of [
      { directory: join(directory, 'empty') },
      { directory: join(directory, 'missing') },
      { directory: join(directory, 'x') },
      { file: join(directory, 'missing') },
      { file: directory },
      { files: {} },
    ]) {
      codes.push((await refusal(register(platform, from))).code);
    }
    expect(codes).toEqual(['INVALID', 'NOT_FOUND', 'INVALID', 'NOT_FOUND', 'INVALID', 'INVALID']);
  });

  const changes: Record<string, (directory: string) => Promise<void>> = {
    grows: (directory) => appendFile(join(directory, 'big.bin'), 'more'),
    'is written to in place': (directory) => writeFile(join(directory, 'a.txt'), 'A'),
    'is replaced': async (directory) => {
      await writeFile(join(directory, '../other'), 'a');
      await rename(join(directory, '../other'), join(directory, 'a.txt'));
    },
    comes: (directory) => writeFile(join(directory, 'late.txt'), 'late'),
    goes: (directory) => rename(join(directory, 'z.txt'), join(directory, '../gone')),
  };
  test.each(Object.entries(changes))('a file that %s meanwhile: no version', async (_, change) => {
    const { platform } = shared.fresh();
    const parent = await treeOf({
      'model/a.txt': 'a',
      'model/big.bin': randomBytes(8 * 2 ** 20),
      'model/z.txt': 'z',
    });
    const directory = join(parent, 'model');
    // The clock of a file system has coarse steps: what was written just now would seem unchanged.
    const before = new Date(Date.now() - 60_000);
    for (const name of ['a.txt', 'big.bin', 'z.txt']) {
      await utimes(join(directory, name), before, before);
    }
    let changed = false;
    const onProgress = (): void => {
      if (changed) return;
      changed = true;
      execChange();
    };
    let done: Promise<void> = Promise.resolve();
    const execChange = (): void => {
      done = change(directory);
    };
    const work = register(platform, { directory }, { onProgress });
    const { code, message } = await refusal(work);
    await done;
    expect([code, message]).toEqual(['CONFLICT', expect.stringContaining('changed')]);
    expect(await platform.registry.listModels()).toEqual([]);
  });
});

describe('files by name', () => {
  test.each([
    [{ 'A.txt': 'a', 'a.TXT': 'b' }],
    [{ a: 'a', 'a/b': 'b' }],
    [{ '../a': 'a' }],
    [{ 'aux.txt': 'a' }],
  ])('%j is refused before a byte is stored', async (files) => {
    const { platform } = shared.fresh();
    const bytes = Object.fromEntries(
      Object.entries(files).map(([name, text]) => [name, Buffer.from(text as string)]),
    );
    expect((await refusal(register(platform, { files: bytes }))).code).toBe('INVALID');
    expect(await platform.registry.listModels()).toEqual([]);
  });

  test('a stream that fails: no version, and its error', async () => {
    const { platform } = shared.fresh();
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('half');
      throw new Error('the line was cut');
    }
    const { code, message } = await refusal(
      register(platform, { files: { a: Buffer.from('a'), b: failing() } }),
    );
    expect([code, message]).toEqual(['FAILED', expect.stringContaining('the line was cut')]);
    expect(await platform.registry.listModels()).toEqual([]);
  });

  test.each([
    [undefined],
    [null],
    [{}],
    [{ runId: 'x' }],
    [{ directory: 1 }],
    [{ directory: 'x', file: 'y' }],
    [{ files: [] }],
  ])('from: %j is refused', async (from) => {
    const { platform } = shared.fresh();
    expect((await refusal(register(platform, from as never))).code).toBe('INVALID');
  });
});

test('progress counts every byte once, to the end', async () => {
  const { platform } = shared.fresh();
  const told: FileProgress[] = [];
  const onProgress = (progress: FileProgress): void => void told.push(progress);
  const directory = await treeOf(content);
  const version = await register(platform, { directory }, { onProgress });
  expect(told.at(-1)).toEqual({ files: 4, bytes: version.sizeBytes });
  const bytes = told.map((each) => each.bytes);
  expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
  const runId = await platform.tracking.withRun({ experiment: 'e' }, async (run) => {
    await run.logArtifact('m/x', Buffer.from('four'));
    return run.id;
  });
  told.length = 0;
  await register(platform, { runId, path: 'm' }, { onProgress });
  expect(told).toEqual([{ files: 1, bytes: 4 }]);
});

test('an aborted registration makes no version, and the source is let go of', async () => {
  const { platform } = await openTestPlatform();
  const stop = new AbortController();
  let returned = false;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (let i = 0; ; i += 1) {
        if (i === 20) stop.abort();
        yield Buffer.alloc(100_000, i);
      }
    } finally {
      returned = true;
    }
  }
  const work = register(platform, { files: { a: endless() } }, { signal: stop.signal });
  expect((await refusal(work)).code).toBe('ABORTED');
  expect(returned).toBe(true);
  expect(
    (await refusal(register(platform, { files: { a: Buffer.from('a') } }, { signal: stop.signal })))
      .code,
  ).toBe('ABORTED');
  expect(await platform.registry.listModels()).toEqual([]);
});
