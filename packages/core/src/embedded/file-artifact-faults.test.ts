import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFile,
  mkdtemp,
  readdir,
  rename,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fastDirectory, flipByte } from '../../test/file-artifact-harness.ts';
import { workspaceDirectory } from '../content/workspace-directory.ts';
import { describeOwner } from '../process-owner.ts';
import { uploadName } from '../upload-name.ts';
import { artifactLayout } from './artifact-layout.ts';
import { FileArtifactStore } from './file-artifact-store.ts';

const mebibyte = 1024 * 1024;
const child: string = fileURLToPath(new URL('../../test/artifact-child.ts', import.meta.url));
const large: Uint8Array = new Uint8Array(2.5 * mebibyte).fill(9);

let root: string;
let dir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'keelson-artifact-faults-'));
  dir = join(root, 'artifacts');
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

interface Running {
  readonly process: ChildProcess;
  readonly lines: Record<string, unknown>[];
  readonly errors: () => string;
  readonly ended: Promise<unknown>;
}

function start(
  mode: string,
  seed: number,
  where: string = dir,
  wrap: readonly string[] = [],
): Running {
  const node = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    child,
    mode,
    where,
    `${seed}`,
  ];
  const [file = '', ...args] = [...wrap, ...node];
  const running = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: Record<string, unknown>[] = [];
  let rest = '';
  let errors = '';
  running.stdout.on('data', (chunk) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) lines.push(JSON.parse(part) as Record<string, unknown>);
    running.emit('line');
  });
  running.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  return { process: running, lines, errors: () => errors, ended: once(running, 'close') };
}

async function answerOf(running: Running): Promise<Record<string, unknown>> {
  await running.ended;
  expect(running.errors()).toBe('');
  const last = running.lines.at(-1);
  if (last === undefined) throw new Error('The child said nothing.');
  return last;
}

async function incoming(): Promise<readonly string[]> {
  return await readdir(artifactLayout(dir).incoming);
}

describe('processes', { timeout: 90_000 }, () => {
  test('killed with SIGKILL amid uploads: what was acknowledged is there, nothing else shows', async () => {
    const seed = Date.now() % 1_000_000;
    console.log(`seed ${seed}`);
    let leftovers = 0;
    let acknowledged = 0;
    for (let round = 0; round < 10; round += 1) {
      const running = start('put-for-ever', seed + round);
      while (running.lines.length === 0) await once(running.process, 'line');
      // Not a wait for something to be done: the moment of the kill shall be anywhere in the loop.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
      running.process.kill('SIGKILL');
      await running.ended;
      await using store = await FileArtifactStore.open({ dir });
      const space = store.space('home');
      for (const line of running.lines) {
        const { acknowledged: sha256, sizeBytes } = line as {
          acknowledged: string;
          sizeBytes: number;
        };
        expect(await space.verify(sha256)).toEqual({ sha256, sizeBytes });
        acknowledged += 1;
      }
      for await (const { sha256, sizeBytes } of space.list()) {
        expect(await space.verify(sha256)).toEqual({ sha256, sizeBytes });
      }
      expect(await store.collectLeftovers(60_000)).toBe(0);
      leftovers += await store.collectLeftovers(0);
      expect(await incoming()).toEqual([]);
      const { sha256 } = await space.put(large);
      await space.verify(sha256);
      for await (const entry of space.list()) await space.remove(entry.sha256);
    }
    // Otherwise no kill hit an upload, and this has proved nothing.
    expect(leftovers).toBeGreaterThan(0);
    expect(acknowledged).toBeGreaterThan(10);
  });

  test('three that put the same contents, and one that removes, reads and collects', async () => {
    const seed = Date.now() % 1_000_000;
    console.log(`seed ${seed}`);
    const brothers = ['put-shared', 'put-shared', 'put-shared', 'remove-shared'];
    const answers = await Promise.all(brothers.map((mode, i) => answerOf(start(mode, seed + i))));
    for (const answer of answers) expect(answer['done']).toBe(true);
    expect(await incoming()).toEqual([]);
    await using store = await FileArtifactStore.open({ dir });
    const space = store.space('home');
    // Whoever removes may have been the last: one more shows that the store goes on.
    const last = await space.put(new TextEncoder().encode('the last'));
    const listed = await Array.fromAsync(space.list());
    expect(listed.map(({ sha256 }) => sha256)).toContain(last.sha256);
    for (const { sha256, sizeBytes } of listed) {
      expect(await space.verify(sha256)).toEqual({ sha256, sizeBytes });
    }
  });

  test('a large content needs less than 64 MiB, whichever way it goes', async () => {
    const where = await mkdtemp(join(fastDirectory, 'keelson-memory-'));
    try {
      const { grown } = await answerOf(start('memory', 1, where));
      for (const [way, mebibytes] of Object.entries(grown as Record<string, number>)) {
        expect(mebibytes, way).toBeLessThan(64);
      }
      expect(Object.keys(grown as object)).toEqual(['stream', 'verify', 'byob', 'path']);
    } finally {
      await rm(where, { recursive: true });
    }
  });
});

// The mount is seen by the child alone, and goes with it.
const unshare: readonly string[] =
  process.getuid?.() === 0 ? ['unshare', '-m'] : ['unshare', '-Urm'];
const smallDisk: readonly string[] = [
  ...unshare,
  'sh',
  '-c',
  'where=$1; shift; mount -t tmpfs -o size=8m tmpfs "$where" && exec "$@"',
  'sh',
];
const canMount: boolean =
  spawnSync(smallDisk[0] ?? '', [...smallDisk.slice(1), '/mnt', 'true']).status === 0;
const inCi: boolean = process.env['CI'] !== undefined && process.env['CI'] !== 'false';
if (!canMount) {
  console.warn(
    'LEFT OUT: the test of a disk that fills up needs unshare(1) and may not mount a tmpfs here.',
  );
}

describe('a disk that fills up', () => {
  test('can be had here, where that is asked for', () => {
    expect(canMount || !inCi).toBe(true);
  });

  test.runIf(canMount)('amid an upload: a named error, and nothing of it is visible', async () => {
    const { outcomes, problems, said } = await answerOf(
      start('fill-disk', 1, root, [...smallDisk, root]),
    );
    expect(problems).toEqual([]);
    expect(Object.keys(outcomes as object).sort()).toEqual(['EXHAUSTED', 'stored']);
    expect((outcomes as Record<string, number>)['EXHAUSTED']).toBeGreaterThan(50);
    expect(said).toContain(dir);
    expect(said).toMatch(/disk is full.*nothing of it was kept.*Free some space/);
  });
});

describe('files changed from outside', () => {
  let store: FileArtifactStore;
  let content: string;
  let sha256: string;
  beforeEach(async () => {
    store = await FileArtifactStore.open({ dir });
    ({ sha256 } = await store.space('home').put(large));
    content = fileURLToPath(store.uri('home', sha256));
  });
  afterEach(async () => {
    await store.close();
  });

  test.each(['lost', 'damaged', 'empty', 'of another content'])(
    'a manifest that is %s is made anew',
    async (fate) => {
      const manifest = `${content}.chunks`;
      const sound = await stat(manifest);
      if (fate === 'lost') await rm(manifest);
      if (fate === 'damaged') await flipByte(manifest, 60);
      if (fate === 'empty') await writeFile(manifest, '');
      if (fate === 'of another content') {
        const other = await store.space('home').put(new Uint8Array(large.length));
        await rename(`${fileURLToPath(store.uri('home', other.sha256))}.chunks`, manifest);
      }
      const space = store.space('home');
      const range = { start: mebibyte - 1, end: mebibyte + 1 };
      const read = await Array.fromAsync(await space.open(sha256, range));
      expect(Buffer.concat(read)).toEqual(Buffer.from([9, 9]));
      expect((await stat(manifest)).size).toBe(sound.size);
      expect(await incoming()).toEqual([]);
    },
  );

  test('a content without a manifest is not trusted either', async () => {
    await rm(`${content}.chunks`);
    await flipByte(content, 2 * mebibyte);
    const space = store.space('home');
    await expect(space.open(sha256, { end: 1 })).rejects.toMatchObject({ code: 'CORRUPT' });
    await expect(space.verify(sha256)).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  test.each(['cut short', 'cut to one chunk', 'emptied', 'made longer'])(
    'a content that was %s is CORRUPT, ranges behind its end too',
    async (fate) => {
      if (fate === 'cut short') await truncate(content, 1.5 * mebibyte);
      if (fate === 'cut to one chunk') await truncate(content, 1_000);
      if (fate === 'emptied') await truncate(content, 0);
      if (fate === 'made longer') await appendFile(content, 'x');
      const space = store.space('home');
      const reading = async (): Promise<unknown> =>
        await Array.fromAsync(await space.open(sha256, { start: 2 * mebibyte }));
      await expect(reading()).rejects.toMatchObject({
        code: 'CORRUPT',
        message: expect.stringContaining(content),
      });
      await expect(space.verify(sha256)).rejects.toMatchObject({ code: 'CORRUPT' });
      await space.put(large);
      await space.verify(sha256);
    },
  );

  test('a content that is replaced or removed while it is read is read to its end', async () => {
    const space = store.space('home');
    const reader = (await space.open(sha256)).getReader();
    const first = await reader.read();
    await space.put(large);
    await space.remove(sha256);
    let received = first.value?.length ?? 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      received += part.value.length;
    }
    expect(received).toBe(large.length);
  });
});

describe('leftovers', () => {
  test('are taken by age, and by the death of their process', async () => {
    await using store = await FileArtifactStore.open({ dir });
    const self = describeOwner();
    const [tag = ''] = uploadName().split('-');
    const now = Date.now();
    const hour = 3_600_000;
    const files = {
      'of this process': [uploadName(), 100 * hour],
      'of a pid that lives on as another process': [`${tag}-${self['pid']}-1-x`, 2_000],
      'of a dead process, too young': [`${tag}-4194304-77-x`, 500],
      'of a dead process': [`${tag}-4194304-77-y`, 2_000],
      'of another host, idle for half an hour': [`0123456789ab-1-1-x`, hour / 2],
      'of another host, idle for two hours': [`0123456789ab-1-1-y`, 2 * hour],
      'of nobody we know, old': ['what is this', 2 * hour],
    } as const;
    for (const [name, ageMs] of Object.values(files)) {
      const path = join(artifactLayout(dir).incoming, name);
      await writeFile(path, 'x');
      await utimes(path, (now - ageMs) / 1000, (now - ageMs) / 1000);
    }
    expect(await store.collectLeftovers(1_000)).toBe(4);
    const left = new Set(await incoming());
    const kept = Object.entries(files).filter(([, [name]]) => left.has(name));
    expect(kept.map(([what]) => what)).toEqual([
      'of this process',
      'of a dead process, too young',
      'of another host, idle for half an hour',
    ]);
    for (const wrong of [-1, Number.NaN]) {
      await expect(store.collectLeftovers(wrong)).rejects.toMatchObject({ code: 'INVALID' });
    }
  });

  test('a manifest without its content is one', async () => {
    await using store = await FileArtifactStore.open({ dir });
    const { sha256 } = await store.space('home').put(large);
    await rm(fileURLToPath(store.uri('home', sha256)));
    expect(await store.collectLeftovers(60_000)).toBe(0);
    expect(await store.collectLeftovers(0)).toBe(1);
    expect(await store.collectLeftovers(0)).toBe(0);
  });
});

describe('workspaces', () => {
  test('every name has a directory of its own, harmless in every file system', () => {
    const name = fc.string({ minLength: 1, maxLength: 80, unit: 'grapheme' });
    const sound = name.filter((text) => text.isWellFormed() && !text.includes('\u0000'));
    fc.assert(
      fc.property(sound, sound, (a, b) => {
        const [one, two] = [workspaceDirectory(a), workspaceDirectory(b)];
        expect(one).toMatch(/^(=[0-9a-f]{64}|[a-z0-9][a-z0-9_-]{0,62})$/);
        expect(one.toLowerCase() === two.toLowerCase()).toBe(a === b);
      }),
    );
    expect(workspaceDirectory('vision-2')).toBe('vision-2');
    expect(workspaceDirectory('con')).toMatch(/^=/);
  });

  test('hostile names write nothing outside their directory', async () => {
    await using store = await FileArtifactStore.open({ dir });
    for (const name of ['../../evil', '/tmp/evil', '..', '.', 'a/../../../evil', 'évil\\..\\x']) {
      await store.space(name).put(large);
    }
    expect(await readdir(root)).toEqual(['artifacts']);
    expect((await readdir(dir)).sort()).toEqual(['incoming', 'removing', 'spaces']);
    expect((await readdir(join(dir, 'spaces'))).every((name) => /^=[0-9a-f]{64}$/.test(name))).toBe(
      true,
    );
  });
});
