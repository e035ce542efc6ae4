import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  openTestPlatform,
  sharePlatform,
  temporaryDirectory,
} from '../../test/open-test-platform.ts';
import type { LogArtifactOptions } from './artifacts.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Changes one byte of a stored file that holds these bytes. */
async function flipByteOf(dir: string, content: Uint8Array): Promise<void> {
  const entries = await readdir(join(dir, 'artifacts'), { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((each) => each.isFile())) {
    const file = join(entry.parentPath, entry.name);
    const stored = await readFile(file);
    if (!stored.equals(content)) continue;
    const at = Math.floor(stored.length / 2);
    stored[at] = (stored[at] ?? 0) ^ 1;
    await writeFile(file, stored);
    return;
  }
  throw new Error('The content is not stored as a file.');
}

describe('logArtifact', () => {
  test('keeps what was logged, from every kind of source', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    const local = join(await temporaryDirectory(), 'local.bin');
    await writeFile(local, 'from a file');
    const sources = {
      array: bytes('from an array'),
      blob: new Blob(['from a blob']),
      stream: new Blob(['from a stream']).stream(),
      iterable: (async function* () {
        yield bytes('from ');
        yield bytes('an iterable');
      })(),
      file: { path: local },
      empty: new Uint8Array(0),
    };
    for (const [name, source] of Object.entries(sources)) {
      const artifact = await run.logArtifact(`in/${name}.bin`, source, {
        type: 'MODEL',
        metadata: { from: name, '': '', __proto__x: '\u2028' },
      });
      expect(await tracking.getArtifact(run.id, `in/${name}.bin`)).toEqual(artifact);
      expect(artifact).toMatchObject({ type: 'MODEL', metadata: { from: name, '': '' } });
    }
    const read = async (name: string): Promise<string> =>
      new TextDecoder().decode(await tracking.readArtifact(run.id, `in/${name}.bin`));
    expect(await Promise.all(Object.keys(sources).map(read))).toEqual([
      'from an array',
      'from a blob',
      'from a stream',
      'from an iterable',
      'from a file',
      '',
    ]);
    const part = await tracking.openArtifact(run.id, 'in/array.bin', { start: 5, end: 7 });
    expect(await new Response(part).text()).toBe('an');
  });

  test('a second upload: equal bytes are the same artifact, others get a suffix and a warning', async () => {
    const { platform, logs } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    const first = await run.logArtifact('model.bin', bytes('1'));
    expect(await run.logArtifact('model.bin', bytes('1'))).toEqual(first);
    const paths: string[] = [];
    for (const content of ['2', '3', '4', '5', '6', '2', '5']) {
      paths.push((await run.logArtifact('model.bin', bytes(content))).path);
    }
    expect(paths.slice(0, 5)).toEqual([
      'model-1.bin',
      'model-2.bin',
      'model-3.bin',
      'model-4.bin',
      'model-5.bin',
    ]);
    expect(paths.slice(5)).toEqual(['model-1.bin', 'model-4.bin']);
    expect(logs.map((line) => line.message)[0]).toContain('model.bin was already there');
    expect(logs).toHaveLength(5);
  });

  test('onConflict error and replace; a replaced one stays as history', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    await run.logText('best.txt', 'one', { onConflict: 'error' });
    await run.logText('best.txt', 'one', { onConflict: 'error' });
    await expect(run.logText('best.txt', 'two', { onConflict: 'error' })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('best.txt with other content'),
    });
    const replaced = await run.logText('best.txt', 'two', { onConflict: 'replace' });
    expect(replaced.path).toBe('best.txt');
    expect(new TextDecoder().decode(await tracking.readArtifact(run.id, 'best.txt'))).toBe('two');
    expect((await tracking.listArtifacts(run.id)).artifacts).toEqual([replaced]);
  });

  test('twenty uploads to one path at once: each content has its own path, none is lost', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    const contents = Array.from({ length: 20 }, (_, i) => `content ${i % 10}`);
    const logged = await Promise.all(contents.map((text) => run.logText('a/x.txt', text)));
    const { artifacts } = await tracking.listArtifacts(run.id);
    expect(new Set(logged.map((one) => one.sha256)).size).toBe(10);
    for (const [i, one] of logged.entries()) {
      const text = new TextDecoder().decode(await tracking.readArtifact(run.id, one.path));
      expect(text).toBe(contents[i]);
    }
    expect(new Set(artifacts.map((one) => one.path)).size).toBe(artifacts.length);
    expect(new Set(artifacts.map((one) => one.sha256)).size).toBe(10);
  });

  test('equal bytes of several runs are stored once', async () => {
    const { platform, dir } = await openTestPlatform();
    const { tracking } = platform;
    const content = bytes(`once and once only ${'x'.repeat(5000)}`);
    const shas = await Promise.all(
      ['a', 'b', 'c'].map(async (experiment) => {
        const run = await tracking.startRun({ ...quick, experiment });
        const one = await run.logArtifact('x.bin', content);
        const two = await run.logArtifact('y.bin', content);
        return [one.sha256, two.sha256];
      }),
    );
    expect(new Set(shas.flat()).size).toBe(1);
    const files = await readdir(join(dir, 'artifacts'), { recursive: true, withFileTypes: true });
    const same = await Promise.all(
      files
        .filter((file) => file.isFile())
        .map(async (file) => (await readFile(join(file.parentPath, file.name))).equals(content)),
    );
    expect(same.filter(Boolean)).toHaveLength(1);
  });

  test.each<[string, string, unknown, object, string, string]>([
    ['a path out of the run', '../../x', bytes('x'), {}, 'INVALID', 'has a .. part'],
    ['an absolute path', '/etc/passwd', bytes('x'), {}, 'INVALID', 'is absolute'],
    ['an unknown option', 'a', bytes('x'), { onconflict: 'error' }, 'INVALID', '"onconflict"'],
    ['an unknown type', 'a', bytes('x'), { type: 'PICKLE' }, 'INVALID', 'type'],
    ['metadata that is no text', 'a', bytes('x'), { metadata: { n: 1 } }, 'INVALID', 'metadata.n'],
    ['NUL in metadata', 'a', bytes('x'), { metadata: { n: '\u0000' } }, 'INVALID', 'U+0000'],
    ['a lone surrogate as media type', 'a', bytes('x'), { mimeType: '\ud800' }, 'INVALID', 'lone'],
    ['text for bytes', 'a', 'text', {}, 'INVALID', ''],
    ['nothing for bytes', 'a', undefined, {}, 'INVALID', ''],
    ['a file that is not there', 'a', { path: '/no/such/file' }, {}, 'NOT_FOUND', '/no/such/file'],
  ])(
    '%s is refused by name, and nothing is logged',
    async (_, path, source, options, code, message) => {
      const { platform } = shared.fresh();
      const run = await platform.tracking.startRun(quick);
      await expect(
        run.logArtifact(path, source as Uint8Array, options as LogArtifactOptions),
      ).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
      expect((await platform.tracking.listArtifacts(run.id)).artifacts).toEqual([]);
    },
  );

  test('a run that ends while the bytes are on their way takes no artifact', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    const upload = run.logArtifact(
      'late.bin',
      (async function* () {
        yield bytes('first half, ');
        await run.finish();
        yield bytes('second half');
      })(),
    );
    await expect(upload).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('is COMPLETED'),
    });
    expect((await tracking.listArtifacts(run.id)).artifacts).toEqual([]);
    const [event] = await Array.fromAsync(platform.events.each({ types: ['run.completed'] }));
    expect(event?.payload['artifactPaths']).toEqual([]);
  });

  test('the same bytes logged again are what they are said to be last', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    const first = await run.logArtifact('a.bin', bytes('x'), { metadata: { seen: 'once' } });
    // Nothing new is said: nothing is written.
    expect(await run.logArtifact('a.bin', bytes('x'))).toEqual(first);
    expect(await run.logArtifact('a.bin', bytes('x'), { metadata: { seen: 'once' } })).toEqual(
      first,
    );
    const about = { type: 'MODEL', metadata: { ['__proto__']: 'twice' } } as const;
    const again = await run.logArtifact('a.bin', bytes('x'), about);
    expect(again).toMatchObject({ path: 'a.bin', sha256: first.sha256, type: 'MODEL' });
    expect(await tracking.getArtifact(run.id, 'a.bin')).toEqual(again);
    expect(Object.entries(again.metadata)).toEqual([['__proto__', 'twice']]);
    expect((await tracking.listArtifacts(run.id)).artifacts).toEqual([again]);
    // Ten at once that say different things: one of them is the last, and what it answered holds.
    const raced = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        run.logArtifact('a.bin', bytes('x'), { metadata: { i: String(i) } }),
      ),
    );
    expect(raced).toContainEqual(await tracking.getArtifact(run.id, 'a.bin'));
    expect((await tracking.listArtifacts(run.id)).artifacts).toHaveLength(1);
  });

  test('paths, metadata and names of any text come back as they were', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    const part = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 8 })
      .map((text) => text.normalize('NFC'))
      .filter(
        (text) => text.isWellFormed() && !/[/\\\p{Cc}]/u.test(text) && !/^\.{1,2}$/.test(text),
      )
      .filter((text) => !/^[A-Za-z]:/.test(text));
    const value = fc
      .string({ unit: 'binary' })
      .filter((t) => t.isWellFormed() && !t.includes('\u0000'));
    const metadata = fc
      .array(fc.tuple(fc.oneof(value, fc.constant('__proto__')), value), { maxLength: 3 })
      .map((all): Record<string, string> => Object.fromEntries(all));
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { minLength: 1, maxLength: 3 }),
        metadata,
        async (parts, map) => {
          const path = parts.join('/');
          const artifact = await run.logArtifact(path, bytes(path), { metadata: map });
          const read = await tracking.getArtifact(run.id, artifact.path);
          expect(read.path).toBe(path);
          expect(Object.entries(read.metadata).sort()).toEqual(Object.entries(map).sort());
        },
      ),
      { numRuns: 50, verbose: 1 },
    );
  });
});

describe('logText, logJson, logFigure and logArtifacts', () => {
  test('know what they store', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    const svg =
      '\ufeff<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "x" "y">\n<!-- by hand -->\n<svg xmlns="http://www.w3.org/2000/svg"/>';
    const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0]);
    const logged = [
      await run.logText('notes', 'x'),
      await run.logText('page.html', '<p>'),
      await run.logJson('m.json', { a: [Number.NaN, -0], __proto__x: 1 }),
      await run.logFigure('a.svg', svg),
      await run.logFigure('a.png', png),
      await run.logFigure('a.jpg', new Uint8Array([0xff, 0xd8, 0xff, 0xe0])),
      await run.logFigure('a.vl.json', { mark: 'bar' }),
    ];
    expect(logged.map((one) => [one.mimeType, one.type])).toEqual([
      ['text/plain', 'OTHER'],
      ['text/html', 'OTHER'],
      ['application/json', 'OTHER'],
      ['image/svg+xml', 'PLOT'],
      ['image/png', 'PLOT'],
      ['image/jpeg', 'PLOT'],
      ['application/vnd.vegalite.v6+json', 'PLOT'],
    ]);
    expect(new TextDecoder().decode(await tracking.readArtifact(run.id, 'm.json'))).toBe(
      '{"a":[{"$number":"NaN"},{"$number":"-0"}],"__proto__x":1}',
    );
  });

  test.each<[string, unknown, string]>([
    ['text that is no SVG', '<p>hello</p>', 'but no SVG'],
    ['a path', './figure.svg', 'but no SVG'],
    ['an unfinished comment', '<!-- <svg>', 'but no SVG'],
    ['bytes that are no image', new Uint8Array([1, 2, 3]), 'neither PNG nor JPEG'],
    ['a number', 5, 'no figure'],
    ['a Date', new Date(0), 'no figure'],
    ['an SVG with NUL', '<svg >\u0000</svg>', 'U+0000'],
  ])('a figure that is %s is refused', async (_, figure, message) => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    await expect(run.logFigure('f', figure as object)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(message),
    });
  });

  test('a directory is logged as it lies, and comes back as it was', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    const dir = await temporaryDirectory();
    await mkdir(join(dir, 'data', 'deep', 'er'), { recursive: true });
    await writeFile(join(dir, 'data', 'b.txt'), 'b');
    await writeFile(join(dir, 'data', 'deep', 'a.txt'), 'a');
    await writeFile(join(dir, 'data', 'deep', 'er', 'ü.txt'), 'u');
    await symlink('/etc/hostname', join(dir, 'data', 'link'));
    // However the directory is written.
    const messy = `${dir}/./data//`;
    const logged = await run.logArtifacts(messy, { prefix: 'in/', type: 'DATASET' });
    expect(logged.map((one) => one.path)).toEqual([
      'in/b.txt',
      'in/deep/a.txt',
      'in/deep/er/ü.txt',
    ]);
    const back = join(dir, 'back');
    const files = await tracking.downloadArtifact(run.id, 'in/', back);
    expect(files).toEqual(logged.map((one) => join(back, one.path)));
    expect(await readFile(join(back, 'in/deep/er/ü.txt'), 'utf8')).toBe('u');
    // One file alone, over a former one.
    await writeFile(join(back, 'in/b.txt'), 'old and longer');
    expect(await tracking.downloadArtifact(run.id, 'in/b.txt', back)).toEqual([
      join(back, 'in/b.txt'),
    ]);
    expect(await readFile(join(back, 'in/b.txt'), 'utf8')).toBe('b');
    await expect(run.logArtifacts(join(dir, 'none'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(run.logArtifacts(join(dir, 'data', 'b.txt'))).rejects.toMatchObject({
      code: 'INVALID',
    });
  });
});

describe('what is no plain file', () => {
  test('links, pipes and sockets in a directory are neither followed nor opened, and told of', async () => {
    const { platform, logs } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    const base = await temporaryDirectory();
    const secret = join(base, 'secret');
    await mkdir(secret);
    await writeFile(join(secret, 'key'), 'secret');
    const dir = join(base, 'data');
    await mkdir(join(dir, 'sub'), { recursive: true });
    await writeFile(join(dir, 'sub', 'a.txt'), 'a');
    await symlink(join(secret, 'key'), join(dir, 'file-out'));
    await symlink(secret, join(dir, 'directory-out'));
    await symlink('../../secret', join(dir, 'sub', 'relative-out'));
    await symlink('sub/a.txt', join(dir, 'within'));
    await symlink('.', join(dir, 'cycle'));
    await symlink('nowhere', join(dir, 'broken'));
    execFileSync('mkfifo', [join(dir, 'pipe')]);
    const logged = await run.logArtifacts(dir);
    expect(logged.map(({ path }) => path)).toEqual(['sub/a.txt']);
    const warning = logs.find(({ message }) => message.includes('Left out'));
    expect(warning?.message).toContain('broken, cycle, directory-out, file-out, pipe and 2 more');
  });

  test('a pipe that is named is refused, not waited for', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    const path = join(await temporaryDirectory(), 'pipe');
    execFileSync('mkfifo', [path]);
    await expect(run.logArtifact('x', { path })).rejects.toMatchObject({ code: 'INVALID' });
    await expect(run.logArtifact('x', { path: '/dev/null' })).rejects.toMatchObject({
      code: 'INVALID',
    });
  });
});

describe('reading', () => {
  test('lists by path, below a prefix, in pages', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    for (const path of ['model', 'model.bin', 'model/a', 'model/b', 'model0', 'modem']) {
      await run.logText(path, path);
    }
    const paths = async (prefix?: string): Promise<string[]> => {
      const options = prefix === undefined ? {} : { prefix };
      return (await tracking.listArtifacts(run.id, options)).artifacts.map((one) => one.path);
    };
    expect(await paths()).toEqual(['model', 'model.bin', 'model/a', 'model/b', 'model0', 'modem']);
    expect(await paths('model/')).toEqual(['model', 'model/a', 'model/b']);
    expect(await paths('mod')).toEqual([]);
    const first = await tracking.listArtifacts(run.id, { limit: 4 });
    const rest = await tracking.listArtifacts(run.id, { limit: 4, cursor: first.cursor ?? '' });
    expect(rest.artifacts.map((one) => one.path)).toEqual(['model0', 'modem']);
    await expect(tracking.listArtifacts(run.id, { prefix: '../' })).rejects.toMatchObject({
      code: 'INVALID',
    });
    await expect(tracking.listArtifacts(run.id, { prefx: 'a' } as object)).rejects.toMatchObject({
      code: 'INVALID',
    });
    // `model` is a file here and a directory there: no file system has both.
    await expect(
      tracking.downloadArtifact(run.id, 'model', await temporaryDirectory()),
    ).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('cannot be written'),
    });
  });

  test('more files than one page are downloaded', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    const count = 1010;
    const metadata = Array.from({ length: count }, (_, i) => `many/${i}`);
    // Equal bytes under many paths: one content.
    for (let i = 0; i < count; i += 101) {
      await Promise.all(metadata.slice(i, i + 101).map((path) => run.logText(path, 'same')));
    }
    const files = await tracking.downloadArtifact(run.id, 'many', await temporaryDirectory());
    expect(files).toHaveLength(count);
  });

  test('what is not there is NOT_FOUND, naming run and path', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    for (const call of [
      () => tracking.getArtifact(run.id, 'a/b'),
      () => tracking.openArtifact(run.id, 'a/b'),
      () => tracking.readArtifact(run.id, 'a/b'),
      () => tracking.downloadArtifact(run.id, 'a/b', '/tmp/never'),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringMatching(new RegExp(`${run.id} has no artifact "a/b"`)),
      });
    }
    for (const path of ['../x', '/x', 'a\\b', '']) {
      await expect(tracking.readArtifact(run.id, path)).rejects.toMatchObject({ code: 'INVALID' });
      await expect(tracking.downloadArtifact(run.id, path, '/tmp/never')).rejects.toMatchObject({
        code: 'INVALID',
      });
    }
  });

  test('one flipped byte on the disk: CORRUPT, and no file is left', async () => {
    const { platform, dir } = await openTestPlatform();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    const content = bytes('precious '.repeat(100_000));
    await run.logArtifact('model/w.bin', content);
    await run.logText('model/a.txt', 'fine');
    await flipByteOf(dir, content);
    const target = await temporaryDirectory();
    for (const call of [
      () => tracking.readArtifact(run.id, 'model/w.bin'),
      () => tracking.downloadArtifact(run.id, 'model/w.bin', target),
      () => tracking.downloadArtifact(run.id, 'model', target),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'CORRUPT' });
    }
    // What was whole is there, of what was not there is nothing.
    expect(await readdir(join(target, 'model'))).toEqual(['a.txt']);
    // Logging the same bytes again heals it.
    await run.logArtifact('model/w.bin', content);
    expect(await tracking.readArtifact(run.id, 'model/w.bin')).toEqual(Buffer.from(content));
  });

  test('a directory that cannot be written is named', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    await run.logText('a.txt', 'x');
    const file = join(await temporaryDirectory(), 'file');
    await writeFile(file, '');
    await expect(platform.tracking.downloadArtifact(run.id, 'a.txt', file)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(file),
    });
    await expect(
      platform.tracking.downloadArtifact(run.id, 'a.txt', 7 as unknown as string),
    ).rejects.toMatchObject({ code: 'INVALID' });
  });
});

describe('downloads of large files', () => {
  const size = 5 * 2 ** 20 + 17;

  async function withLarge() {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun({ experiment: 'e', environment: false });
    const bytes = new Uint8Array(size).map((_, i) => (i * 31) % 251);
    const { sha256 } = await run.logArtifact('large.bin', bytes);
    const target = await temporaryDirectory();
    return { tracking, run, bytes, target, part: join(target, `.${sha256}.part`) };
  }

  test('one that is aborted leaves its part, and the next one goes on there', async () => {
    const { tracking, run, bytes, target, part } = await withLarge();
    const controller = new AbortController();
    const broken = tracking.downloadArtifact(run.id, 'large.bin', target, {
      signal: controller.signal,
      onProgress: (progress) => {
        if (progress.bytes > 3 * 2 ** 20) controller.abort(new Error('the line was cut'));
      },
    });
    await expect(broken).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await readdir(target)).toEqual([basename(part)]);
    const seen: number[] = [];
    const files = await tracking.downloadArtifact(run.id, 'large.bin', target, {
      onProgress: (progress) => seen.push(progress.bytes),
    });
    expect(seen[0]).toBeGreaterThanOrEqual(3 * 2 ** 20);
    expect(seen.at(-1)).toBe(size);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(Buffer.from(bytes).equals(await readFile(files[0] as string))).toBe(true);
    expect(await readdir(target)).toEqual(['large.bin']);
  });

  test.each([
    ['damaged', (bytes: Uint8Array) => bytes.slice(0, 2 * 2 ** 20).fill(0, 5, 6)],
    ['of more than the whole', (bytes: Uint8Array) => Buffer.concat([bytes, bytes])],
    ['of all, and damaged', (bytes: Uint8Array) => bytes.slice().fill(1, 9, 10)],
    ['of a few bytes', (bytes: Uint8Array) => bytes.slice(0, 3)],
    ['empty', () => new Uint8Array(0)],
  ])('a part that is %s is not taken over', async (_, left) => {
    const { tracking, run, bytes, target, part } = await withLarge();
    await writeFile(part, left(bytes));
    const [file] = await tracking.downloadArtifact(run.id, 'large.bin', target);
    expect(Buffer.from(bytes).equals(await readFile(file as string))).toBe(true);
    expect(await readdir(target)).toEqual(['large.bin']);
  });
});
