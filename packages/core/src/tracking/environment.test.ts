import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { temporaryDirectory } from '../../test/open-test-platform.ts';
import { flagNames } from './environment.ts';
import { remoteWithoutSecrets } from './environment-git.ts';
import { captureContainer, captureGpus } from './environment-machine.ts';

/** What a process of that directory and command line captures. */
async function captureIn(
  cwd: string,
  args: readonly string[] = [],
): Promise<Record<string, unknown>> {
  const child = new ChildProgram(childFile('capture-environment'), args, { cwd });
  return JSON.parse(await child.line(/^\{/)) as Record<string, unknown>;
}

describe('captureEnvironment', () => {
  test('git state, machine, lock file and command; no values of arguments, no variables', async () => {
    const dir = await temporaryDirectory();
    await writeFile(join(dir, 'package-lock.json'), '{}');
    const git = (...args: string[]): string =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: dir })
        .toString()
        .trim();
    git('init', '-q', '-b', 'trunk');
    git('remote', 'add', 'origin', 'https://me:hunter2@example.org/team/model.git?token=hunter2');
    await writeFile(join(dir, 'package.json'), '{"dependencies":{"left":"*","absent":"*"}}');
    await writeFile(join(dir, '.gitignore'), 'node_modules');
    await mkdir(join(dir, 'node_modules', 'left'), { recursive: true });
    await writeFile(join(dir, 'node_modules', 'left', 'package.json'), '{"version":"1.2.3"}');
    git('add', '.');
    git('commit', '-qm', 'first');
    process.env['KEELSON_TEST_SECRET'] = 'hunter2';
    const args = ['--token=hunter2', '--password', 'hunter2', '-phunter2', 'hunter2', '--dry-run'];
    const captured = await captureIn(dir, args);
    expect(captured).toMatchObject({
      gitCommit: git('rev-parse', 'HEAD'),
      sourceName: 'capture-environment.ts',
      facts: {
        git: {
          commit: git('rev-parse', 'HEAD'),
          branch: 'trunk',
          dirty: false,
          remote: 'https://example.org/team/model.git',
        },
        dependencies: {
          versions: { left: '1.2.3' },
          lockFile: 'package-lock.json',
          sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        },
        machine: { node: process.versions.node, cpus: expect.any(Number) },
        command: { flags: ['--token', '--password', '-p', '--dry-run'] },
      },
    });
    expect(JSON.stringify(captured)).not.toContain('hunter2');
    expect(captured).not.toHaveProperty('patch');
    await writeFile(join(dir, 'package-lock.json'), '{ }');
    const dirty = await captureIn(join(dir, 'node_modules'));
    expect(dirty).toMatchObject({ facts: { git: { dirty: true }, dependencies: {} } });
    // What ran can be had again: the commit and the patch.
    git('checkout', '-q', '.');
    const patch = join(await temporaryDirectory(), 'uncommitted.patch');
    await writeFile(patch, Buffer.from(String(dirty['patch']), 'base64'));
    git('apply', patch);
    expect(await readFile(join(dir, 'package-lock.json'), 'utf8')).toBe('{ }');
    const without = await captureIn(dir, ['--off=patch']);
    expect(without).toMatchObject({ facts: { git: { dirty: true } } });
    expect(without).not.toHaveProperty('patch');
    await writeFile(join(dir, 'package.json'), 'x'.repeat(5 * 2 ** 20));
    const large = await captureIn(dir);
    expect(large).toMatchObject({ facts: { git: { patch: 'over 4194304 bytes, left out' } } });
    expect(large).not.toHaveProperty('patch');
  });

  test('without git, lock file or even a directory, the rest is captured', async () => {
    const dir = join(await temporaryDirectory(), 'gone');
    await mkdir(join(dir, 'package-lock.json'), { recursive: true });
    const captured = await captureIn(dir);
    expect(captured['facts']).toMatchObject({
      machine: {},
      command: {},
      user: { name: expect.any(String), host: hostname() },
    });
    expect(captured['facts']).not.toHaveProperty('git');
    expect(captured['facts']).not.toHaveProperty('dependencies');
    await rm(join(dir, 'package-lock.json'), { recursive: true });
    await writeFile(join(dir, 'package-lock.json'), '{}');
    await chmod(join(dir, 'package-lock.json'), 0);
    // The process removes its own directory before it looks.
    const gone = await captureIn(dir, ['--remove-directory']);
    expect(gone).toMatchObject({
      facts: { machine: {}, command: { flags: ['--remove-directory'] } },
    });
    expect(Object.hasOwn(gone['facts'] as object, 'dependencies')).toBe(false);
  });

  test('each part is switched off by its name', async () => {
    const parts = ['git', 'machine', 'gpu', 'dependencies', 'command', 'container', 'user'];
    const off = parts.map((part) => `--off=${part}`);
    const captured = await captureIn(await temporaryDirectory(), off);
    expect(captured['facts']).toEqual({});
  });
});

describe('flagNames', () => {
  test.each([
    [
      ['-v', '--x', '--a-b=c'],
      ['-v', '--x', '--a-b'],
    ],
    [['-pSECRET', '-', '--', '---x', '-1', '--9'], ['-p']],
    [
      ['--key:SECRET', '--key SECRET', '--url=http://u:SECRET@h'],
      ['--key', '--key', '--url'],
    ],
  ])('%j', (args, wanted) => {
    expect(flagNames(args)).toEqual(wanted);
  });
});

describe('remoteWithoutSecrets', () => {
  test.each([
    ['https://user:SECRET@host.org:8443/a/b.git', 'https://host.org:8443/a/b.git'],
    ['https://SECRET@github.com/a/b', 'https://github.com/a/b'],
    ['https://host/a?key=SECRET#SECRET', 'https://host/a'],
    ['ssh://git:SECRET@host:22/a', 'ssh://host:22/a'],
    ['git@github.com:team/repo.git', 'github.com:team/repo.git'],
    ['host:repo', 'host:repo'],
    ['/srv/SECRET/repo', undefined],
    ['file:///srv/repo', 'file:///srv/repo'],
    ['http://[SECRET', undefined],
    ['a:SECRET@b:c', 'b:c'],
  ])('%s', (remote, wanted) => {
    expect(remoteWithoutSecrets(remote)).toBe(wanted);
  });
});

describe('captureContainer', () => {
  const id = 'ab'.repeat(32);

  async function inContainer(files: Readonly<Record<string, string>>): Promise<unknown> {
    const root = await temporaryDirectory();
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, name)), { recursive: true });
      await writeFile(join(root, name), text);
    }
    return captureContainer(root);
  }

  test('Docker, with the id out of its mounts', async () => {
    const mountinfo = `590 (…) /var/lib/docker/containers/${id}/hostname /etc/hostname rw`;
    const files = { '.dockerenv': '', 'proc/self/mountinfo': mountinfo };
    expect(await inContainer(files)).toEqual({ runtime: 'docker', id });
  });

  test('Podman tells the image', async () => {
    const files = { 'run/.containerenv': `engine="podman-5"\nimage="localhost/train:7"\n` };
    expect(await inContainer(files)).toEqual({ runtime: 'podman', image: 'localhost/train:7' });
  });

  test('Kubernetes, by the control group', async () => {
    const files = { 'proc/self/cgroup': `0::/kubepods/pod1/cri-containerd-${id}.scope\n` };
    expect(await inContainer(files)).toEqual({ id });
  });

  test('no container', async () => {
    expect(await inContainer({ 'proc/self/cgroup': '0::/user.slice\n' })).toBeUndefined();
  });
});

describe('captureGpus', () => {
  test('as the driver names them; none where it is not there', async () => {
    const bin = await temporaryDirectory();
    const path = process.env['PATH'];
    onTestFinished(() => {
      process.env['PATH'] = path;
    });
    process.env['PATH'] = bin;
    expect(await captureGpus()).toBeUndefined();
    const printed = 'NVIDIA A100-SXM4-40GB, 40536, 550.54.15\nTesla T4, 15360, 550.54.15';
    await writeFile(join(bin, 'nvidia-smi'), `#!/bin/sh\necho '${printed}'\n`, { mode: 0o755 });
    expect(await captureGpus()).toEqual([
      { name: 'NVIDIA A100-SXM4-40GB', memoryMegabytes: 40536, driver: '550.54.15' },
      { name: 'Tesla T4', memoryMegabytes: 15360, driver: '550.54.15' },
    ]);
  });
});
