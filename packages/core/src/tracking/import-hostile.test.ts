import { execFileSync } from 'node:child_process';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { filledPlatform } from '../../test/moving/filled-platform.ts';
import {
  entriesOf,
  readMembers,
  type TarEntry,
  withHeader,
  withManifest,
  writeMembers,
  writeTar,
} from '../../test/moving/tampered-export.ts';
import { sharePlatform, temporaryDirectory } from '../../test/open-test-platform.ts';
import { decodeJson, encodeJson, type JsonObject } from '../json.ts';

const shared = sharePlatform();
let members = new Map<string, Buffer>();
let tar = Buffer.alloc(0);
let made = '';

beforeAll(async () => {
  const { platform } = shared.fresh();
  await filledPlatform(platform);
  made = await mkdtemp(join(tmpdir(), 'keelson-hostile-'));
  await platform.tracking.exportExperiments({ to: join(made, 'x') });
  await platform.tracking.exportExperiments({ to: join(made, 'x.tar') });
  members = await readMembers(join(made, 'x'));
  tar = await readFile(join(made, 'x.tar'));
});
afterAll(() => rm(made, { recursive: true, force: true }));

/**
 * Imports what must be refused: nothing of it is here afterwards, nothing was written anywhere. `dir` is
 * the only directory that the import may know of.
 */
async function refused(from: string, dir: string, expected: object): Promise<void> {
  const { platform } = shared.fresh();
  const temporary = await temporaryDirectory();
  vi.stubEnv('TMPDIR', temporary);
  const before = (await readdir(dir, { recursive: true })).toSorted();
  try {
    await expect(platform.tracking.importExperiments({ from })).rejects.toMatchObject(expected);
  } finally {
    vi.unstubAllEnvs();
  }
  expect((await readdir(dir, { recursive: true })).toSorted()).toEqual(before);
  expect(await readdir(temporary)).toEqual([]);
  for (const lifecycle of ['active', 'archived', 'deleted'] as const) {
    const { experiments } = await platform.tracking.listExperiments({ lifecycle });
    expect(experiments).toEqual([]);
  }
  expect(await platform.tracking.countRuns({ exact: true })).toMatchObject({ count: 0 });
  expect(await platform.tracking.listMetricNames()).toEqual([]);
}

const message = (text: string): unknown => expect.stringContaining(text);
const file = (name: string, more: object = {}): TarEntry => ({
  header: { name, ...more },
  bytes: Buffer.from('evil'),
});

describe('tars that somebody made to do harm', () => {
  const extra: readonly (readonly [string, TarEntry, string])[] = [
    ['an absolute name', file('/tmp/keelson-evil'), '/tmp/keelson-evil'],
    ['a name that leads out', file('../evil'), '../evil'],
    ['a name that leads out within', file('content/../../evil'), '../evil'],
    ['a name that leads out behind ./', file('./../evil'), '../evil'],
    ['a name with a backslash', file('content\\..\\evil'), 'evil'],
    ['a drive', file('C:evil'), 'C:evil'],
    ['a name that is hidden', file('.evil'), '.evil'],
    ['a name of another script', file('content/évil'), 'vil'],
    ['an endless name', file(`content/${'a'.repeat(3_000)}`), 'aaa'],
    ['a directory that leads out', { header: { name: '../evil/', type: 'directory' } }, '../evil'],
    ['a member of no manifest', file('content/evil'), 'content/evil'],
    ['a member twice', file('datasets.jsonl'), 'datasets.jsonl'],
    ['a member twice, spelled otherwise', file('./datasets.jsonl'), 'datasets.jsonl'],
    ['a manifest twice', file('manifest.json'), 'manifest.json'],
    [
      'a symbolic link',
      { header: { name: 'link', type: 'symlink', linkname: '/etc/passwd' } },
      'a symbolic link',
    ],
    [
      'a hard link',
      { header: { name: 'link', type: 'link', linkname: '/etc/passwd' } },
      'a hard link',
    ],
    ['a character device', { header: { name: 'zero', type: 'character-device' } }, 'zero'],
    ['a block device', { header: { name: 'disk', type: 'block-device' } }, 'disk'],
    ['a named pipe', { header: { name: 'pipe', type: 'fifo' } }, 'pipe'],
    ['a contiguous file', file('odd', { type: 'contiguous-file' }), 'odd'],
    ['a pax path that leads out', file('plain', { pax: { path: '../evil' } }), '../evil'],
    ['a pax path that is absolute', file('plain', { pax: { path: '/evil' } }), '/evil'],
    ['a pax link', file('plain', { pax: { linkpath: '/etc/passwd' } }), 'linkpath'],
    ['a sparse file by pax', file('plain', { pax: { 'GNU.sparse.major': '1' } }), 'GNU.sparse'],
    ['extended attributes', file('plain', { pax: { 'SCHILY.xattr.user.x': '1' } }), 'SCHILY'],
  ];

  test.each(extra)('%s is refused by name', async (_, entry, naming) => {
    const dir = await temporaryDirectory();
    const path = join(dir, 'x.tar');
    await writeTar(path, [...entriesOf(members), entry]);
    await refused(path, dir, { code: 'INVALID', message: message(naming) });
    // At the beginning, before the manifest, too; and compressed.
    await writeTar(path, [entry, ...entriesOf(members)]);
    await refused(path, dir, { code: 'INVALID', message: message(naming) });
    await writeTar(path, [...entriesOf(members), entry]);
    await writeFile(path, gzipSync(await readFile(path)));
    await refused(path, dir, { code: 'INVALID', message: message(naming) });
  });

  test('a size by pax is taken for what it is', async () => {
    const dir = await temporaryDirectory();
    const path = join(dir, 'x.tar');
    const entries = entriesOf(members).map((entry, i) =>
      i === 1 ? { ...entry, header: { ...entry.header, pax: { size: '3' } } } : entry,
    );
    await writeTar(path, entries);
    await refused(path, dir, { code: 'CORRUPT' });
  });

  test.each(['g', 'K', 'L', 'S', 'V', '9', '\u00ff'])(
    'an entry of type %j is refused',
    async (type) => {
      const dir = await temporaryDirectory();
      const path = join(dir, 'x.tar');
      const hostile = withHeader(tar, 0, (header) => {
        header.write(type, 156, 'latin1');
      });
      await writeFile(path, hostile);
      await refused(path, dir, { code: 'INVALID', message: message('manifest.json') });
    },
  );

  test.each<[string, (size: Buffer) => void]>([
    ['more than there is', (size) => size.write('77777777777\0', 'latin1')],
    [
      'more than anything',
      (size) => {
        size.fill(0xff);
        size[0] = 0x80;
        size.fill(0, 1, 4);
      },
    ],
    ['less than nothing', (size) => size.fill(0xff)],
    ['no number', (size) => size.write('0000000009x\0', 'latin1')],
    ['nothing', (size) => size.fill(0)],
  ])('a header that says %s is found', async (_, edit) => {
    const dir = await temporaryDirectory();
    const path = join(dir, 'x.tar');
    await writeFile(
      path,
      withHeader(tar, 0, (header) => edit(header.subarray(124, 136))),
    );
    await refused(path, dir, { code: expect.stringMatching(/CORRUPT|INVALID/) });
  });

  test('one that is cut off is found, wherever', async () => {
    const dir = await temporaryDirectory();
    const path = join(dir, 'x.tar');
    for (const length of [0, 1, 511, 512, 513, 1_000, tar.length - 1_024, tar.length - 513]) {
      await writeFile(path, tar.subarray(0, length));
      await refused(path, dir, { code: 'CORRUPT', message: message(path) });
    }
  });

  test.each<[string, () => Buffer]>([
    ['no tar at all', () => Buffer.from('x'.repeat(2_000))],
    ['something behind its end', () => Buffer.concat([tar, Buffer.from('more')])],
    ['another tar behind it', () => Buffer.concat([tar, tar])],
    ['endless zeros behind it', () => Buffer.concat([tar, Buffer.alloc(2 ** 21)])],
  ])('%s is found', async (_, bytes) => {
    const dir = await temporaryDirectory();
    const path = join(dir, 'x.tar');
    await writeFile(path, bytes());
    await refused(path, dir, { code: 'CORRUPT', message: message(path) });
  });

  test('tars of other programs are taken, if all is well with them', async () => {
    const dir = await temporaryDirectory();
    const directory = join(made, 'x');
    const path = join(dir, 'x.tar');
    for (const args of [
      ['--format=gnu', '-cf', path, '-C', directory, '.'],
      ['--format=ustar', '-cf', path, '-C', directory, ...(await readdir(directory))],
      ['--format=pax', '--pax-option=delete=atime', '-cf', path, '-C', directory, '.'],
    ]) {
      execFileSync('tar', args);
      const { platform } = shared.fresh();
      const { added } = await platform.tracking.importExperiments({ from: path });
      expect(added.runs).toBe(5);
    }
  });
});

describe('what is compressed', () => {
  test('a bomb stops at what the manifest allows for', async () => {
    const dir = await temporaryDirectory();
    const path = join(dir, 'x.tar.gz');
    const bomb = Buffer.concat([tar.subarray(0, tar.length - 1_024), Buffer.alloc(2 ** 27)]);
    await writeFile(path, gzipSync(bomb, { level: 9 }));
    await refused(path, dir, { code: 'INVALID', message: message('more than its manifest says') });
  });

  test('one that is cut off, or whose manifest does not come first, is refused', async () => {
    const dir = await temporaryDirectory();
    const path = join(dir, 'x.tar.gz');
    const whole = gzipSync(tar);
    for (const length of [10, 100, whole.length - 9, whole.length - 1]) {
      await writeFile(path, whole.subarray(0, length));
      await refused(path, dir, { code: 'CORRUPT' });
    }
    const last = entriesOf(members).toReversed();
    await writeTar(join(dir, 'y.tar'), last);
    await writeFile(path, gzipSync(await readFile(join(dir, 'y.tar'))));
    await rm(join(dir, 'y.tar'));
    await refused(path, dir, { code: 'INVALID', message: message('import the directory') });
  });

  test('a zip is refused, with what to do', async () => {
    const dir = await temporaryDirectory();
    const path = join(dir, 'x.zip');
    await writeFile(path, Buffer.concat([Buffer.from('PK\u0003\u0004'), Buffer.alloc(100)]));
    await refused(path, dir, { code: 'UNSUPPORTED', message: message('import the directory') });
    await writeFile(path, Buffer.concat([Buffer.from('PK\u0005\u0006'), Buffer.alloc(18)]));
    await refused(path, dir, { code: 'UNSUPPORTED' });
  });
});

describe('directories', () => {
  async function copied(): Promise<{ dir: string; path: string }> {
    const dir = await temporaryDirectory();
    await writeMembers(join(dir, 'x'), members);
    return { dir, path: join(dir, 'x') };
  }
  const content = (): string =>
    [...members.keys()].find((path) => path.startsWith('content/')) ?? '';

  test('a link is not followed, whatever it leads to', async () => {
    const { dir, path } = await copied();
    const target = join(dir, 'outside');
    await writeFile(target, members.get(content()) ?? '');
    await rm(join(path, content()));
    await symlink(target, join(path, content()));
    await refused(path, dir, { code: 'INVALID', message: message(content()) });
    await rm(join(path, content()));
    await writeFile(join(path, content()), members.get(content()) ?? '');
    await symlink(join(path, 'content'), join(path, 'again'));
    await refused(path, dir, { code: 'INVALID', message: message('again') });
    await rm(join(path, 'again'));
    await symlink('nowhere', join(path, 'broken'));
    await refused(path, dir, { code: 'INVALID', message: message('broken') });
  });

  test('a pipe is not opened', async () => {
    const { dir, path } = await copied();
    execFileSync('mkfifo', [join(path, 'pipe')]);
    await refused(path, dir, { code: 'INVALID', message: message('pipe') });
  });

  test('files that are missing, more, shorter or hidden are named', async () => {
    const { dir, path } = await copied();
    await writeFile(join(path, 'more'), '');
    await refused(path, dir, { code: 'INVALID', message: message('more') });
    await rm(join(path, 'more'));
    await writeFile(join(path, '.DS_Store'), '');
    await refused(path, dir, { code: 'INVALID', message: message('.DS_Store') });
    await rm(join(path, '.DS_Store'));
    await truncate(join(path, content()), 1);
    await refused(path, dir, { code: 'CORRUPT', message: message(content()) });
    await rm(join(path, content()));
    await refused(path, dir, { code: 'CORRUPT', message: message(content()) });
    await rm(join(path, 'manifest.json'));
    await refused(path, dir, { code: 'INVALID', message: message('manifest.json') });
    await refused(join(dir, 'none'), dir, { code: 'NOT_FOUND', message: message('none') });
    await mkdir(join(dir, 'empty'));
    await refused(join(dir, 'empty'), dir, { code: 'INVALID', message: message('manifest.json') });
  });
});

describe('manifests', () => {
  async function refusedWith(manifest: string, expected: object): Promise<void> {
    const dir = await temporaryDirectory();
    const all = new Map(members).set('manifest.json', Buffer.from(manifest));
    await writeMembers(join(dir, 'x'), all);
    await refused(join(dir, 'x'), dir, expected);
    await writeTar(join(dir, 'x.tar'), entriesOf(all));
    await refused(join(dir, 'x.tar'), dir, expected);
    await writeFile(join(dir, 'x.tar.gz'), gzipSync(await readFile(join(dir, 'x.tar'))));
    await refused(join(dir, 'x.tar.gz'), dir, expected);
  }
  const written = (): string => String(members.get('manifest.json'));

  test('a newer format is INCOMPATIBLE, with what to do', async () => {
    const newer = written().replace('"format": 1', '"format": 2');
    await refusedWith(newer, { code: 'INCOMPATIBLE', message: message('newer version') });
  });

  test.each<[string, (text: string) => string]>([
    ['is no JSON', (text) => text.slice(1)],
    ['has another form', (text) => text.replace('"members"', '"files"')],
    ['is written otherwise', (text) => JSON.stringify(JSON.parse(text))],
    ['has another digest', (text) => text.replace(/"sha256": "./, '"sha256": "x')],
    ['has another size', (text) => text.replace('"sizeBytes":', '"sizeBytes":1')],
    ['is empty', () => ''],
    ['is null', () => 'null'],
  ])('one that %s is found', async (_, edit) => {
    await refusedWith(edit(written()), { code: 'CORRUPT', message: message('manifest.json') });
  });

  test('names that lead elsewhere, or come twice, are refused', async () => {
    const dir = await temporaryDirectory();
    for (const path of ['../evil', '/evil', 'a/./b', 'a//b', 'a/', '']) {
      const hostile = withManifest(new Map(members).set(path, Buffer.from('evil')));
      hostile.delete(path);
      await writeMembers(join(dir, 'x'), hostile);
      await refused(join(dir, 'x'), dir, { code: 'INVALID', message: message('named') });
    }
    const other = withManifest(members, 'models');
    await writeMembers(join(dir, 'x'), other);
    await refused(join(dir, 'x'), dir, { code: 'INVALID', message: message('models') });
  });
});

describe('records that no export has, in an export whose digests fit', () => {
  const records = (): string =>
    [...members.keys()].find(
      (path) => path.endsWith('records.jsonl') && String(members.get(path)).includes('model.bin'),
    ) ?? '';

  interface Line {
    readonly record: Record<string, unknown> & {
      readonly kind: string;
      readonly columns: Record<string, unknown>;
      readonly facets: Record<string, unknown>;
      readonly body: Record<string, unknown>;
    };
    history?: unknown;
    more?: unknown;
  }

  async function tampered(edit: (lines: Line[]) => Line[]): Promise<{ dir: string; path: string }> {
    const text = String(members.get(records()));
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => decodeJson(line) as unknown as Line);
    const after = edit(lines).map((line) => `${encodeJson(line as unknown as JsonObject)}\n`);
    const dir = await temporaryDirectory();
    const all = new Map(members).set(records(), Buffer.from(after.join('')));
    await writeMembers(join(dir, 'x'), withManifest(all));
    return { dir, path: join(dir, 'x') };
  }

  const each =
    (kind: string, edit: (line: Line) => void) =>
    (lines: Line[]): Line[] => {
      for (const line of lines) if (line.record.kind === kind) edit(line);
      return lines;
    };

  const cases: readonly (readonly [string, (lines: Line[]) => Line[]])[] = [
    [
      'an artifact whose path leads out',
      each('artifact', ({ record }) => {
        record.columns['path'] = '../../evil';
        record.columns['livePath'] = '../../evil';
      }),
    ],
    [
      'an absolute artifact path',
      each('artifact', ({ record }) => {
        record.columns['path'] = '/etc/passwd';
      }),
    ],
    [
      'an artifact that lives elsewhere',
      each('artifact', ({ record }) => {
        record.columns['livePath'] = '../evil';
      }),
    ],
    [
      'content that is not there',
      each('artifact', ({ record }) => {
        record.columns['sha256'] = '0'.repeat(64);
      }),
    ],
    [
      'a digest that is a path',
      each('artifact', ({ record }) => {
        record.columns['sha256'] = '../../../../etc/passwd';
      }),
    ],
    [
      'content of another size',
      each('artifact', ({ record }) => {
        record.columns['sizeBytes'] = 1;
      }),
    ],
    [
      'an artifact of another run',
      each('artifact', ({ record }) => {
        record.columns['runId'] = 'other';
      }),
    ],
    [
      'metadata that are no texts',
      each('artifact', ({ record }) => {
        record.facets['metadata'] = { a: { b: 1 } };
      }),
    ],
    [
      'a run of another experiment',
      each('run', ({ record }) => {
        record.columns['experimentId'] = 'other';
      }),
    ],
    [
      'a run that runs',
      each('run', ({ record }) => {
        record.columns['status'] = 'RUNNING';
      }),
    ],
    [
      'a run that is being purged',
      each('run', ({ record }) => {
        record.columns['lifecycle'] = 'purging';
      }),
    ],
    [
      'a run without its points',
      each('run', (line) => {
        delete line.more;
      }),
    ],
    [
      'a run with other points',
      each('run', (line) => {
        line.more = { sha256: '0'.repeat(64), blocks: 0, counts: [] };
      }),
    ],
    [
      'tags that are no texts',
      each('run', ({ record }) => {
        record.facets['tags'] = { a: 1 };
      }),
    ],
    [
      'an unknown facet',
      each('run', ({ record }) => {
        record.facets['moods'] = {};
      }),
    ],
    [
      'an unknown column',
      each('run', ({ record }) => {
        record.columns['colour'] = 'red';
      }),
    ],
    [
      'a revision of 0',
      each('run', ({ record }) => {
        record['revision'] = 0;
      }),
    ],
    [
      'a history of another record',
      each('run', (line) => {
        line.history = [];
      }),
    ],
    [
      'an experiment without a name',
      each('experiment', ({ record }) => {
        record.columns['name'] = '';
      }),
    ],
    [
      'a name that is another',
      each('experiment', ({ record }) => {
        record.columns['liveName'] = 'admin';
      }),
    ],
    [
      'another experiment than its place says',
      each('experiment', ({ record }) => {
        record['id'] = 'other';
      }),
    ],
    [
      'an edge from elsewhere',
      each('edge', ({ record }) => {
        record.columns['from'] = 'version:1';
      }),
    ],
    [
      'an edge to another run',
      each('edge', ({ record }) => {
        record.columns['to'] = 'other';
      }),
    ],
    [
      'params that are none',
      each('param_entry', ({ record }) => {
        record.body['params'] = 'x';
      }),
    ],
    [
      'a model',
      (lines) => {
        const [first] = lines;
        if (first !== undefined) Object.assign(first.record, { kind: 'model' });
        return lines;
      },
    ],
    [
      'a record of another kind in between',
      (lines) =>
        lines.map((line, i) =>
          i === 1 ? { ...line, record: { ...line.record, kind: 'subscription' } } : line,
        ),
    ],
    ['no experiment first', (lines) => lines.slice(1)],
    ['an experiment twice', (lines) => [...lines, ...lines.slice(0, 1)]],
    ['parts without their run', (lines) => lines.slice(0, 2)],
    ['fewer runs than points', (lines) => lines.slice(0, 1)],
    ['no record at all', () => []],
    [
      'no columns',
      each('run', ({ record }) => {
        Object.assign(record, { columns: [] });
      }),
    ],
  ];

  test.each(cases)('%s: refused, and nothing of it is here', async (_, edit) => {
    const { dir, path } = await tampered(edit);
    await refused(path, dir, { code: 'INVALID', message: expect.stringMatching(/records|points/) });
  });

  test('lines that are no JSON, a dataset of another id, contents and members that nothing names', async () => {
    const sets: readonly (readonly [string, Buffer | undefined])[] = [
      [records(), Buffer.from('{"record":')],
      [records(), Buffer.from('not json\n')],
      [
        'datasets.jsonl',
        Buffer.from(String(members.get('datasets.jsonl')).replace('"digest":"1"', '"digest":"2"')),
      ],
      ['datasets.jsonl', undefined],
      ['extra.txt', Buffer.from('evil')],
      [`content/aa/${'a'.repeat(64)}`, Buffer.from('evil')],
      [records().replace('records.jsonl', 'points.bin'), undefined],
      [records().replace('records.jsonl', 'points.bin'), Buffer.alloc(64)],
      ['experiments/other/points.bin', Buffer.alloc(0)],
    ];
    for (const [path, bytes] of sets) {
      const all = new Map(members);
      if (bytes === undefined) all.delete(path);
      else all.set(path, bytes);
      const dir = await temporaryDirectory();
      await writeMembers(join(dir, 'x'), withManifest(all));
      await refused(join(dir, 'x'), dir, { code: 'INVALID' });
    }
  });
});
