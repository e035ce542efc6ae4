import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import type { JsonObject } from './json.ts';
import { describeOwner, ownerFromText, ownerState, ownerText } from './process-owner.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const source = new URL('./process-owner.ts', import.meta.url).href;

/** A process that has told who it is, and lives until it is killed. */
async function startOwner(): Promise<{ readonly child: ChildProcess; readonly owner: JsonObject }> {
  const program = `
    import { ownerText } from ${JSON.stringify(source)};
    console.log(ownerText());
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const owner = ownerFromText(line.toString().trim());
  if (owner === undefined) throw new Error(`no owner: ${line}`);
  return { child, owner };
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe.runIf(process.platform === 'linux')('ownerState', () => {
  test('a process is alive until it is killed, then dead', async () => {
    const { child, owner } = await startOwner();
    expect(ownerState(owner)).toBe('alive');
    child.kill('SIGSTOP');
    expect(ownerState(owner)).toBe('alive');
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(ownerState(owner)).toBe('dead');
  });

  test('this process is alive, by its own words and by its pid', () => {
    const self = describeOwner();
    expect(ownerState(self)).toBe('alive');
    expect(ownerState({ ...self, instance: 'another module instance' })).toBe('alive');
    expect(ownerState(ownerFromText(ownerText()))).toBe('alive');
  });

  test('a pid that was used again is another process: dead', async () => {
    const { owner } = await startOwner();
    expect(ownerState({ ...owner, startTime: '1' })).toBe('dead');
    expect(ownerState({ ...owner, startTime: String(Number(owner['startTime']) + 1) })).toBe(
      'dead',
    );
  });

  test('a zombie, which nobody has waited for, is dead', async () => {
    // A shell that has become another program never waits for the child that it started.
    const program = `
      import { ownerText } from ${JSON.stringify(source)};
      console.log(ownerText());`;
    const inner = `"${process.execPath}" --input-type=module -e '${program}' & exec sleep 60`;
    const parent = spawn('sh', ['-c', inner], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(parent);
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const owner = ownerFromText(line.toString().trim()) ?? {};
    const stateOf = (): string =>
      readFileSync(`/proc/${String(owner['pid'])}/stat`, 'utf8').split(') ')[1]?.[0] ?? '';
    await until(() => stateOf() === 'Z');
    expect(ownerState(owner)).toBe('dead');
  });

  test('what cannot be compared is unknown, never dead', async () => {
    const { child, owner } = await startOwner();
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(ownerState(owner)).toBe('dead');
    for (const other of [
      { host: 'another-host' },
      { bootId: 'before the restart' },
      { pidSpace: 'pid:[1]' },
      { startTime: '' },
      { startTime: 5 },
      { pid: 'one' },
      { pid: -1 },
      { pid: 1.5 },
    ]) {
      expect(ownerState({ ...owner, ...other }), JSON.stringify(other)).toBe('unknown');
    }
    for (const nobody of [undefined, null, 'x', 7, [], {}]) {
      expect(ownerState(nobody)).toBe('unknown');
    }
  });

  test('a process that /proc hides from this user is unknown, not dead', async () => {
    const { owner } = await startOwner();
    // Another user asks about a live process through a /proc that shows it nothing (hidepid).
    const program = `
      import { ownerState } from ${JSON.stringify(source)};
      import fs from 'node:fs';
      import { syncBuiltinESMExports } from 'node:module';
      const read = fs.readFileSync;
      fs.readFileSync = (path, ...rest) => {
        if (!String(path).startsWith('/proc/${Number(owner['pid'])}/')) return read(path, ...rest);
        throw Object.assign(new Error('hidden'), { code: 'ENOENT' });
      };
      syncBuiltinESMExports();
      if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534); }
      console.log(ownerState(${JSON.stringify(owner)}));`;
    const asker = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(asker);
    const [line] = (await once(asker.stdout, 'data')) as [Buffer];
    expect(line.toString().trim()).toBe('unknown');
  });
});

describe('ownerFromText', () => {
  test.each(['', 'someone', '{', '[]', '1', 'null'])('%j names no owner', (text) => {
    expect(ownerFromText(text)).toBeUndefined();
    expect(ownerState(ownerFromText(text))).toBe('unknown');
  });
});
