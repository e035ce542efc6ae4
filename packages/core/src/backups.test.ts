import { execFileSync } from 'node:child_process';
import {
  appendFile,
  cp,
  mkdir,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ChildProgram, childFile } from '../test/child-program.ts';
import { openTestPlatform, temporaryDirectory } from '../test/open-test-platform.ts';
import { restoreBackup, verifyBackup } from './backups.ts';
import type { Platform } from './open-platform.ts';

const quick = { experiment: 'e', environment: false } as const;

/** Two runs, a model version, points, artifacts in two workspaces. */
async function fill(platform: Platform): Promise<void> {
  const { tracking } = platform;
  const run = await tracking.startRun({ ...quick, id: 'first', params: { rate: 0.1 } });
  for (const [step, value] of [1, Number.NaN, -0, Number.POSITIVE_INFINITY].entries()) {
    run.logMetric('loss', value, { step, timestamp: step });
  }
  await run.logText('small.txt', 'small');
  await run.logArtifact('large.bin', new Uint8Array(3 * 2 ** 20).fill(9));
  await run.logText('moved.txt', 'former');
  await run.logText('moved.txt', 'newest', { onConflict: 'replace' });
  await run.finish();
  const other = platform.as({ workspace: 'Ünusual / name' });
  const there = await other.tracking.startRun({ ...quick, id: 'other' });
  await there.logText('small.txt', 'small');
  await there.finish();
}

/** Everything that a person would ask a platform about. */
async function told(platform: Platform): Promise<unknown> {
  const { tracking } = platform;
  const { runs } = await tracking.searchRuns({ orderBy: ['attributes.start_time ASC'] });
  const perRun = await Promise.all(
    runs.map(async ({ id }) => ({
      history: await tracking.getMetricHistory(id, 'loss'),
      changes: await tracking.getRunHistory(id),
      artifacts: (await tracking.listArtifacts(id)).artifacts.map(({ uri: _, ...rest }) => rest),
    })),
  );
  const events: unknown[] = [];
  for await (const event of platform.events.each()) events.push(event);
  return { runs, perRun, events };
}

async function backedUp(): Promise<{ platform: Platform; dir: string; backup: string }> {
  const { platform, dir } = await openTestPlatform();
  await fill(platform);
  const backup = join(await temporaryDirectory(), 'monday');
  await platform.operations.backup(backup);
  return { platform, dir, backup };
}

describe('backup, verifyBackup, restoreBackup', () => {
  test('what was backed up answers as the platform did, in every workspace', async () => {
    const { platform, backup } = await backedUp();
    const before = await told(platform);
    const check = await verifyBackup(backup);
    expect(check).toMatchObject({ contents: 5, findings: [] });
    const dir = join(await temporaryDirectory(), 'restored');
    const report = await restoreBackup(backup, { dir });
    expect(report).toMatchObject({ dir, at: check.at, contents: 5, leftOut: [] });
    const restored = await openTestPlatform({ dir });
    expect(await told(restored.platform)).toEqual(before);
    const bytes = await restored.platform.tracking.readArtifact('first', 'large.bin');
    expect(Buffer.from(bytes)).toEqual(Buffer.alloc(3 * 2 ** 20, 9));
    const other = restored.platform.as({ workspace: 'Ünusual / name' });
    expect(Buffer.from(await other.tracking.readArtifact('other', 'small.txt')).toString()).toBe(
      'small',
    );
    expect((await restored.platform.operations.verify({ contents: 'read' })).findings).toEqual([]);
    // The backup was only read.
    expect((await verifyBackup(backup)).findings).toEqual([]);
  });

  test('a platform of nothing', async () => {
    const { platform } = await openTestPlatform();
    const backup = join(await temporaryDirectory(), 'b');
    expect(await platform.operations.backup(backup)).toMatchObject({ contents: 0, lacking: [] });
    expect(await verifyBackup(backup)).toMatchObject({ contents: 0, findings: [] });
    const dir = join(await temporaryDirectory(), 'r');
    await restoreBackup(backup, { dir });
    const restored = await openTestPlatform({ dir });
    expect(await told(restored.platform)).toMatchObject({ runs: [], events: [] });
  });

  test('points that wait in this process are in it', async () => {
    const { platform } = await openTestPlatform({ metrics: { flushMs: 60_000 } });
    const run = await platform.tracking.startRun({ ...quick, id: 'r' });
    run.logMetric('loss', 5, { step: 1 });
    const backup = join(await temporaryDirectory(), 'b');
    await platform.operations.backup(backup);
    const dir = join(await temporaryDirectory(), 'r');
    await restoreBackup(backup, { dir });
    const restored = await openTestPlatform({ dir });
    expect((await restored.platform.tracking.getRun('r')).metrics).toEqual({ loss: 5 });
    await run.finish();
  });

  test('while others write, one of them killed: all that was told before it is in it, whole', async () => {
    const { platform, dir } = await openTestPlatform();
    const writers = [1, 2, 3].map(() => new ChildProgram(childFile('log-and-log'), [dir]));
    const ended: string[] = [];
    for (const writer of writers) ended.push((await writer.line(/^ended (.*)$/)).slice(6));
    const backup = join(await temporaryDirectory(), 'b');
    const made = platform.operations.backup(backup);
    await writers[0]?.kill();
    const report = await made;
    for (const writer of writers.slice(1)) await writer.kill();
    expect(report.lacking).toEqual([]);
    expect((await verifyBackup(backup)).findings).toEqual([]);
    const restoredDir = join(await temporaryDirectory(), 'r');
    await restoreBackup(backup, { dir: restoredDir });
    const restored = await openTestPlatform({ dir: restoredDir });
    const { tracking, operations } = restored.platform;
    expect(await operations.verify({ contents: 'read' })).toMatchObject({ findings: [] });
    for (const id of ended) {
      expect(await tracking.getRun(id)).toMatchObject({
        status: 'COMPLETED',
        metrics: { loss: 19 },
      });
      expect((await tracking.getMetricHistory(id, 'loss')).steps.length).toBe(20);
    }
  });

  test('a collection of garbage that runs beside it takes nothing from it', async () => {
    const { platform } = await openTestPlatform();
    const { tracking, operations } = platform;
    for (let i = 0; i < 40; i += 1) {
      const run = await tracking.startRun({ ...quick, id: `r${i}` });
      await run.logText('a.txt', `content ${i}`);
      await run.finish();
      if (i % 2 === 0) await tracking.deleteRun(run.id);
    }
    const backup = join(await temporaryDirectory(), 'b');
    let collected: Promise<unknown> | undefined;
    const report = await operations.backup(backup, {
      onProgress: ({ contents }) => {
        if (contents === 3) collected ??= operations.gc({ olderThanMs: 0, graceMs: 300_000 });
      },
    });
    expect(collected).toBeDefined();
    await collected;
    expect(report.lacking).toEqual([]);
    expect((await verifyBackup(backup)).findings).toEqual([]);
  });

  test('killed at any moment it is no backup, and goes on where it was', async () => {
    const { platform, dir } = await openTestPlatform();
    for (let i = 0; i < 60; i += 1) {
      const run = await platform.tracking.startRun({ ...quick, id: `r${i}` });
      await run.logText('a.txt', `content ${i} ${'x'.repeat(i * 1000)}`);
      await run.finish();
    }
    const backup = join(await temporaryDirectory(), 'b');
    for (const moment of [/^database/, /^contents 1$/, /^contents 20$/, /^contents 59$/]) {
      const child = new ChildProgram(childFile('back-up'), [dir, backup]);
      await child.line(moment);
      await child.kill();
      const finished = (await readdir(backup)).includes('backup.json');
      if (finished) break;
      await expect(verifyBackup(backup)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      const target = join(await temporaryDirectory(), 'r');
      await expect(restoreBackup(backup, { dir: target })).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining('no finished backup'),
      });
    }
    if (!(await readdir(backup)).includes('backup.json')) await platform.operations.backup(backup);
    expect(await verifyBackup(backup)).toMatchObject({ contents: 60, findings: [] });
    await expect(platform.operations.backup(backup)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  // Only root may mount a small disk; continuous integration is.
  test.skipIf(process.getuid?.() !== 0)(
    'a full disk: EXHAUSTED, no backup; with space again it goes on',
    async () => {
      const { platform } = await openTestPlatform();
      const run = await platform.tracking.startRun(quick);
      await run.logArtifact('large.bin', new Uint8Array(12 * 2 ** 20).fill(1));
      const mount = await temporaryDirectory();
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', mount]);
      onTestFinished(() => void execFileSync('umount', ['-l', mount]));
      const backup = join(mount, 'b');
      await expect(platform.operations.backup(backup)).rejects.toMatchObject({ code: 'EXHAUSTED' });
      await expect(verifyBackup(backup)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      execFileSync('mount', ['-o', 'remount,size=64m', mount]);
      await platform.operations.backup(backup);
      expect((await verifyBackup(backup)).findings).toEqual([]);
      await run.finish();
    },
  );

  test('aborted: ABORTED, and a next one goes on', async () => {
    const { platform } = await openTestPlatform();
    await fill(platform);
    const backup = join(await temporaryDirectory(), 'b');
    const controller = new AbortController();
    const broken = platform.operations.backup(backup, {
      signal: controller.signal,
      onProgress: ({ contents }) => {
        if (contents === 2) controller.abort();
      },
    });
    await expect(broken).rejects.toMatchObject({ code: 'ABORTED' });
    await platform.operations.backup(backup);
    expect((await verifyBackup(backup)).findings).toEqual([]);
  });

  test('a directory with other things in it is refused, and left as it was', async () => {
    const { platform } = await openTestPlatform();
    const backup = await temporaryDirectory();
    await writeFile(join(backup, 'thesis.tex'), 'x');
    await expect(platform.operations.backup(backup)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('thesis.tex'),
    });
    expect(await readdir(backup)).toEqual(['thesis.tex']);
    const { backup: good } = await backedUp();
    await expect(restoreBackup(good, { dir: backup })).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await readdir(backup)).toEqual(['thesis.tex']);
  });
});

describe('what verifyBackup finds, and restoreBackup refuses', () => {
  async function contentFile(backup: string): Promise<string> {
    const below = await readdir(join(backup, 'artifacts'), { recursive: true });
    const digests = below.filter((path) => /\/[0-9a-f]{64}$/.test(path) && !path.includes('='));
    return join('artifacts', digests.toSorted()[0] as string);
  }

  async function flip(file: string, at: number): Promise<void> {
    const bytes = await readFile(file);
    bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ 1;
    await writeFile(file, bytes);
  }

  const damages: Record<
    string,
    [harm: (backup: string, content: string) => Promise<unknown>, problem: string, restores: string]
  > = {
    'a flipped byte of a content': [(b, c) => flip(join(b, c), 0), 'damaged', 'CORRUPT'],
    'a content cut short': [(b, c) => truncate(join(b, c), 1), 'damaged', 'CORRUPT'],
    'a content that grew': [(b, c) => appendFile(join(b, c), 'x'), 'damaged', 'CORRUPT'],
    'a content that is gone': [(b, c) => rm(join(b, c)), 'missing', 'CORRUPT'],
    'a directory in a content’s place': [
      async (b, c) => {
        await rm(join(b, c));
        await mkdir(join(b, c));
      },
      'missing',
      'any',
    ],
    'a flipped byte of the database': [
      (b) => flip(join(b, 'keelson.db'), 5000),
      'damaged',
      'CORRUPT',
    ],
    'a database cut short': [(b) => truncate(join(b, 'keelson.db'), 4096), 'damaged', 'CORRUPT'],
    'a database that is gone': [(b) => rm(join(b, 'keelson.db')), 'missing', 'any'],
    'a file that is no part of it': [(b) => writeFile(join(b, 'x.txt'), ''), 'stray', 'restored'],
    'a content that nothing names': [
      (b, c) => writeFile(join(b, c, '..', 'f'.repeat(64)), ''),
      'stray',
      'restored',
    ],
    'a link among the contents': [
      (b, c) => symlink('/etc/passwd', join(b, c, '..', 'e'.repeat(64))),
      'stray',
      'restored',
    ],
  };

  test.each(Object.entries(damages))('%s', async (_, [harm, problem, restores]) => {
    const { backup } = await backedUp();
    await harm(backup, await contentFile(backup));
    const { findings } = await verifyBackup(backup);
    expect(findings.map((finding) => finding.problem)).toContain(problem);
    expect(findings.every(({ message }) => message.length > 20)).toBe(true);
    const parent = await temporaryDirectory();
    const dir = join(parent, 'r');
    const restored = restoreBackup(backup, { dir });
    if (restores === 'restored') await restored;
    else {
      const code = restores === 'any' ? expect.any(String) : restores;
      await expect(restored).rejects.toMatchObject({ name: 'KeelsonError', code });
      expect(await readdir(parent)).toEqual([]);
    }
  });

  test('any flipped bit of the manifest is told, or changes nothing that is read', async () => {
    const { backup } = await backedUp();
    const text = await readFile(join(backup, 'backup.json'), 'utf8');
    for (const [from, to, code] of [
      ['"version": 1', '"version": 2', 'INCOMPATIBLE'],
      ['keelson-backup', 'keelson-bakcup', 'CORRUPT'],
      ['{', '', 'CORRUPT'],
      ['"count"', '"cuont"', 'CORRUPT'],
    ] as const) {
      await writeFile(join(backup, 'backup.json'), text.replace(from, to));
      await expect(verifyBackup(backup)).rejects.toMatchObject({ code });
    }
  });

  test('leaveOutDamaged restores the rest, and names what is not there', async () => {
    const { backup } = await backedUp();
    const content = await contentFile(backup);
    await flip(join(backup, content), 0);
    const dir = join(await temporaryDirectory(), 'r');
    const report = await restoreBackup(backup, { dir, leaveOutDamaged: true });
    expect(report).toMatchObject({ contents: 4, leftOut: [{ sha256: content.slice(-64) }] });
    const { platform } = await openTestPlatform({ dir });
    const { findings } = await platform.operations.verify();
    expect(findings).toMatchObject([
      { component: 'tracking', problem: expect.stringContaining('is missing'), mended: false },
    ]);
  });

  test('what the platform itself had lost is told by backup, verifyBackup and restoreBackup', async () => {
    const { platform, dir } = await openTestPlatform();
    await fill(platform);
    const content = await contentFile(dir);
    await rm(join(dir, content));
    expect((await platform.operations.verify()).findings.length).toBe(1);
    const backup = join(await temporaryDirectory(), 'b');
    const sha256 = content.slice(-64);
    const report = await platform.operations.backup(backup);
    expect(report.lacking).toMatchObject([{ sha256, workspace: 'default' }]);
    expect((await verifyBackup(backup)).findings).toMatchObject([{ problem: 'lacking' }]);
    const target = join(await temporaryDirectory(), 'r');
    expect((await restoreBackup(backup, { dir: target })).leftOut).toMatchObject([{ sha256 }]);
  });

  test('what is no backup', async () => {
    const empty = await temporaryDirectory();
    for (const dir of [empty, join(empty, 'absent')]) {
      await expect(verifyBackup(dir)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
    const { dir, backup } = await backedUp();
    await expect(verifyBackup(dir)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const copy = join(empty, 'copy');
    await cp(backup, copy, { recursive: true });
    expect((await verifyBackup(copy)).findings).toEqual([]);
  });
});

describe('verify', () => {
  test('a flipped byte is found where bytes are read, and only there', async () => {
    const { platform, dir } = await openTestPlatform();
    await fill(platform);
    expect(await platform.operations.verify()).toMatchObject({
      records: 4,
      contents: 4,
      databaseChecked: true,
      findings: [],
    });
    const [artifact] = (await platform.tracking.listArtifacts('first')).artifacts;
    const file = new URL(artifact?.uri as string);
    const bytes = await readFile(file);
    bytes[0] = (bytes[0] as number) ^ 1;
    await writeFile(file, bytes);
    expect((await platform.operations.verify()).findings).toEqual([]);
    const { findings } = await platform.operations.verify({ contents: 'read' });
    expect(findings).toMatchObject([{ subject: `artifact:${artifact?.id}` }]);
    expect(dir).toBeTruthy();
  });

  test('a damaged database is told', async () => {
    const { platform, dir } = await openTestPlatform();
    await fill(platform);
    await platform.close();
    const file = join(dir, 'keelson.db');
    const db = new DatabaseSync(file);
    const { page } = db
      .prepare(`SELECT rootpage AS page FROM sqlite_schema WHERE name = 'rec_param_entry'`)
      .get() as { page: number };
    db.close();
    const bytes = await readFile(file);
    // Rows of a table that nothing reads when it opens: neither the header nor the schema.
    bytes.fill(0xff, page * 4096 - 200, page * 4096);
    await writeFile(file, bytes);
    const again = await openTestPlatform({ dir });
    const { findings } = await again.platform.operations.verify();
    expect(findings[0]).toMatchObject({ component: 'store', subject: 'database' });
  });
});
