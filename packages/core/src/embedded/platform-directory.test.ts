import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FormatMigration } from './directory-format.ts';
import { DirectoryLock } from './directory-lock.ts';
import { mountTypeIn, networkFileSystem } from './network-file-system.ts';
import { openPlatformDirectory } from './platform-directory.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'keelson-directory-'));
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

const source: string = new URL('./platform-directory.ts', import.meta.url).href;

/** Runs a module text in a process of its own; answers what it printed. */
async function runProgram(text: string): Promise<string> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', text],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let printed = '';
  child.stdout.on('data', (chunk) => {
    printed += chunk;
  });
  child.stderr.on('data', (chunk) => {
    printed += chunk;
  });
  await once(child, 'close');
  return printed.trim();
}

function printCode(dir: string, before = ''): string {
  return `
    import { openPlatformDirectory } from ${JSON.stringify(source)};
    ${before}
    try { await using d = await openPlatformDirectory(${JSON.stringify(dir)}); console.log('opened ' + d.path); }
    catch (error) { console.log(error.code + ' ' + error.message); }`;
}

describe('opening', () => {
  test('creates the directory with its parents, and opens it again', async () => {
    const dir = join(root, 'a', 'b', '.keelson');
    for (let i = 0; i < 2; i += 1) {
      await using opened = await openPlatformDirectory(dir);
      expect(opened.path).toBe(dir);
      expect(opened.databasePath).toBe(join(dir, 'keelson.db'));
      expect(await readFile(join(dir, 'format'), 'utf8')).toBe('1\n');
      expect((await readdir(dir)).sort()).toEqual(['artifacts', 'format', 'lock', 'spool']);
      await opened.close();
    }
  });

  test('ten processes may create it at once', async () => {
    const dir = join(root, '.keelson');
    const printed = await Promise.all(Array.from({ length: 10 }, () => runProgram(printCode(dir))));
    expect(printed).toEqual(Array.from({ length: 10 }, () => `opened ${dir}`));
    expect((await readdir(dir)).sort()).toEqual(['artifacts', 'format', 'lock', 'spool']);
  });

  test('a file in its place, or above it, is refused by name', async () => {
    const file = join(root, 'file');
    await writeFile(file, 'x');
    await expect(openPlatformDirectory(file)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(file),
    });
    await expect(openPlatformDirectory(join(file, 'below'))).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(file),
    });
  });

  test('a directory that holds other things is refused and left as it is', async () => {
    await writeFile(join(root, 'thesis.tex'), 'x');
    await expect(openPlatformDirectory(root)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('thesis.tex'),
    });
    expect(await readdir(root)).toEqual(['thesis.tex']);
  });

  test('a directory that may not be written is refused with the remedy', async () => {
    const dir = join(root, '.keelson');
    await (await openPlatformDirectory(dir)).close();
    await chmod(root, 0o755);
    await chmod(dir, 0o555);
    // Root may write everywhere; so the program becomes nobody, having loaded what it needs.
    const before = process.getuid?.() === 0 ? 'process.setgid(65534); process.setuid(65534);' : '';
    for (const path of [dir, join(dir, 'new')]) {
      const printed = await runProgram(printCode(path, before));
      expect(printed).toContain('UNAVAILABLE');
      expect(printed).toContain(path);
      expect(printed).toMatch(/permissions/);
    }
    await chmod(dir, 0o755);
  });
});

describe('network file systems', () => {
  const facts = (type: number, mount?: string) => ({
    type: () => Promise.resolve(type),
    mountType: () => Promise.resolve(mount),
  });

  test.each([
    ['NFS', 0x6969, undefined],
    ['CIFS', 0xff534d42 | 0, undefined],
    ['SMB2', 0xfe534d42, undefined],
    ['9P', 0x01021997, undefined],
    ['Lustre', 0x0bd00bd0, undefined],
    ['FUSE (fuse.sshfs)', 0x65735546, 'fuse.sshfs'],
  ])('%s is refused with the remedy, and nothing is created', async (name, type, mount) => {
    const dir = join(root, 'x', '.keelson');
    const opening = openPlatformDirectory(dir, { fileSystem: facts(type, mount) });
    await expect(opening).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/local disk.*PostgreSQL/),
      details: { fileSystem: name },
    });
    expect(await readdir(root)).toEqual([]);
  });

  test('local file systems pass, FUSE ones and unknown ones included', async () => {
    for (const local of [facts(0xef53), facts(0x65735546, 'fuseblk'), facts(0x12345)]) {
      await using opened = await openPlatformDirectory(join(root, 'k'), { fileSystem: local });
      expect(opened.path).toBe(join(root, 'k'));
    }
    expect(await networkFileSystem(root)).toBeUndefined();
  });

  test('the innermost mount counts, with escaped spaces', () => {
    const mountinfo = [
      '22 1 8:1 / / rw - ext4 /dev/a rw',
      '30 22 0:40 / /home/a\\040b rw,nosuid shared:1 - fuse.sshfs host:/ rw',
      '31 22 8:2 / /home/a\\040b/local rw - xfs /dev/b rw',
    ].join('\n');
    expect(mountTypeIn(mountinfo, '/home/a b/c')).toBe('fuse.sshfs');
    expect(mountTypeIn(mountinfo, '/home/a b')).toBe('fuse.sshfs');
    expect(mountTypeIn(mountinfo, '/home/a b/local/c')).toBe('xfs');
    expect(mountTypeIn(mountinfo, '/home/a bc')).toBe('ext4');
  });
});

describe('formats', () => {
  const rewrite = (from: number, run?: FormatMigration['run']): FormatMigration => ({
    from,
    what: 'a test',
    run:
      run ??
      (async (path) => {
        const file = join(path, 'notes');
        await writeFile(file, `${await readFile(file, 'utf8')}+${from + 1}`);
      }),
  });

  async function prepared(): Promise<string> {
    const dir = join(root, '.keelson');
    await (await openPlatformDirectory(dir)).close();
    await writeFile(join(dir, 'notes'), '1');
    await mkdir(join(dir, 'spool', 'x'));
    await writeFile(join(dir, 'spool', 'x', 'points'), 'p');
    await writeFile(join(dir, 'artifacts', 'big'), 'b');
    return dir;
  }

  test('a newer one is refused with the remedy', async () => {
    const dir = await prepared();
    await writeFile(join(dir, 'format'), '7\n');
    await expect(openPlatformDirectory(dir)).rejects.toMatchObject({
      code: 'INCOMPATIBLE',
      message: expect.stringMatching(/format 7.*up to 1.*Update/),
    });
  });

  test('a damaged number is CORRUPT, and an older one without a way is INCOMPATIBLE', async () => {
    const dir = await prepared();
    await writeFile(join(dir, 'format'), 'garbage');
    await expect(openPlatformDirectory(dir)).rejects.toMatchObject({ code: 'CORRUPT' });
    await writeFile(join(dir, 'format'), '1\n');
    const formats = { current: 3, migrations: [rewrite(2)] };
    await expect(openPlatformDirectory(dir, { formats })).rejects.toMatchObject({
      code: 'INCOMPATIBLE',
    });
  });

  test('an older one is backed up, then migrated step by step', async () => {
    const dir = await prepared();
    const formats = { current: 3, migrations: [rewrite(2), rewrite(1)] };
    await (await openPlatformDirectory(dir, { formats })).close();
    expect(await readFile(join(dir, 'notes'), 'utf8')).toBe('1+2+3');
    expect(await readFile(join(dir, 'format'), 'utf8')).toBe('3\n');
    const [backup, ...more] = await readdir(join(dir, 'backups'));
    expect(more).toEqual([]);
    const kept = join(dir, 'backups', backup ?? '');
    expect(await readFile(join(kept, 'notes'), 'utf8')).toBe('1');
    expect(await readFile(join(kept, 'format'), 'utf8')).toBe('1\n');
    expect(await readFile(join(kept, 'spool', 'x', 'points'), 'utf8')).toBe('p');
    expect(await readdir(kept)).not.toContain('artifacts');
    expect(await readFile(join(dir, 'artifacts', 'big'), 'utf8')).toBe('b');
    expect(await readdir(dir)).not.toContain('migration.json');
    await expect(openPlatformDirectory(dir)).rejects.toMatchObject({ code: 'INCOMPATIBLE' });
  });

  test('a step that fails leaves everything as it was', async () => {
    const dir = await prepared();
    const failing = rewrite(2, async (path) => {
      await rm(join(path, 'spool'), { recursive: true });
      throw new Error('no');
    });
    const formats = { current: 3, migrations: [rewrite(1), failing] };
    await expect(openPlatformDirectory(dir, { formats })).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringContaining('as it was before'),
    });
    expect(await readFile(join(dir, 'notes'), 'utf8')).toBe('1');
    expect(await readFile(join(dir, 'spool', 'x', 'points'), 'utf8')).toBe('p');
    await (await openPlatformDirectory(dir)).close();
  });

  test('a process killed amid a migration leaves what any version opens again', async () => {
    const dir = await prepared();
    const printed = await runProgram(`
      import { writeFileSync } from 'node:fs';
      import { openPlatformDirectory } from ${JSON.stringify(source)};
      const run = async (path) => {
        writeFileSync(path + '/notes', 'half');
        writeFileSync(path + '/format', '2');
        console.log('killing');
        process.kill(process.pid, 'SIGKILL');
        await new Promise(() => setInterval(() => {}, 1000));
      };
      await openPlatformDirectory(${JSON.stringify(dir)}, { formats: { current: 2, migrations: [{ from: 1, what: 'x', run }] } });`);
    expect(printed).toBe('killing');
    expect(await readFile(join(dir, 'notes'), 'utf8')).toBe('half');
    await (await openPlatformDirectory(dir)).close();
    expect(await readFile(join(dir, 'notes'), 'utf8')).toBe('1');
    const formats = { current: 2, migrations: [rewrite(1)] };
    await (await openPlatformDirectory(dir, { formats })).close();
    expect(await readFile(join(dir, 'notes'), 'utf8')).toBe('1+2');
  });

  test('it waits until nobody else uses the directory, and others wait until it is done', async () => {
    const dir = await prepared();
    const user = await openPlatformDirectory(dir);
    const formats = { current: 2, migrations: [rewrite(1)] };
    await expect(openPlatformDirectory(dir, { formats, timeoutMs: 60 })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('in use by other processes'),
    });
    const migrating = Promise.all([1, 2, 3].map(() => openPlatformDirectory(dir, { formats })));
    await user.close();
    for (const opened of await migrating) await opened.close();
    expect(await readFile(join(dir, 'notes'), 'utf8')).toBe('1+2');
  });

  test('the lock dies with its process', async () => {
    const dir = await prepared();
    const printed = await runProgram(`
      import { DirectoryLock } from ${JSON.stringify(new URL('./directory-lock.ts', import.meta.url).href)};
      const lock = DirectoryLock.open(${JSON.stringify(join(dir, 'lock'))});
      console.log(lock.tryAlone());
      process.kill(process.pid, 'SIGKILL');`);
    expect(printed).toBe('true');
    using lock = DirectoryLock.open(join(dir, 'lock'));
    using other = DirectoryLock.open(join(dir, 'lock'));
    expect(lock.tryAlone()).toBe(true);
    expect(other.tryShare()).toBe(false);
    lock.release();
    expect(other.tryShare() && lock.tryShare()).toBe(true);
    expect(lock.tryAlone()).toBe(false);
  });
});
