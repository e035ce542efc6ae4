import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { openTestPlatform, temporaryDirectory, until } from '../../test/open-test-platform.ts';
import { FileArtifactStore } from '../embedded/file-artifact-store.ts';
import type { Platform, Services } from '../open-platform.ts';

const day = 86_400_000;

/** A platform whose clock can be set ahead; the files' clock cannot. */
async function openAhead(): Promise<{ readonly platform: Platform; ahead: { ms: number } }> {
  const ahead = { ms: 0 };
  const { platform } = await openTestPlatform({ clock: { now: () => Date.now() + ahead.ms } });
  return { platform, ahead };
}

async function runWith(
  services: Services,
  experiment: string,
  files: Readonly<Record<string, string>>,
): Promise<string> {
  return services.tracking.withRun({ experiment, environment: false }, async (run) => {
    run.logMetric('loss', 1);
    await run.logParams({ rate: 0.1 });
    for (const [path, text] of Object.entries(files)) {
      await run.logArtifact(path, Buffer.from(text));
    }
    return run.id;
  });
}

describe('gc', () => {
  test('removes a run that was deleted long ago, all that is its own, and nothing else', async () => {
    const { platform, ahead } = await openAhead();
    const { tracking, operations } = platform;
    const gone = await runWith(platform, 'e', { 'own.txt': 'only here', 'shared.txt': 'shared' });
    const stays = await runWith(platform, 'e', { 'shared.txt': 'shared' });
    const shared = (await tracking.getArtifact(stays, 'shared.txt')).sha256;
    const own = (await tracking.getArtifact(gone, 'own.txt')).sha256;
    await tracking.deleteRun(gone);
    expect(await operations.gc()).toMatchObject({ records: {}, contents: 0 });

    ahead.ms = 31 * day;
    const wouldGo = await operations.gc({ dryRun: true });
    expect(wouldGo).toMatchObject({ records: { run: 1 }, subjects: [`run:${gone}`] });
    expect(await tracking.restoreRun(gone)).toMatchObject({ lifecycle: 'active' });
    expect((await tracking.readArtifact(gone, 'own.txt')).length).toBe(9);

    await tracking.deleteRun(gone);
    ahead.ms = 62 * day;
    const went = await operations.gc();
    expect(went).toMatchObject({ records: { run: 1 }, contents: 1, freedBytes: 9 });
    await expect(tracking.getRun(gone)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(tracking.restoreRun(gone)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await tracking.getMetricHistory(stays, 'loss')).toMatchObject({ values: { length: 1 } });
    expect(Buffer.from(await tracking.readArtifact(stays, 'shared.txt')).toString()).toBe('shared');
    const listed = await contentsOf(platform.dir, 'default');
    expect(listed).toContain(shared);
    expect(listed).not.toContain(own);
    expect(await operations.gc()).toMatchObject({ records: {}, contents: 0 });
  });

  test('removes a deleted experiment with its runs, and frees what only they had', async () => {
    const { platform, ahead } = await openAhead();
    const { tracking, operations } = platform;
    const run = await runWith(platform, 'old', { 'a.txt': 'a' });
    const { id } = await tracking.getExperiment('old');
    await tracking.deleteExperiment('old');
    ahead.ms = 31 * day;
    const report = await operations.gc();
    expect(report.records).toEqual({ run: 1, experiment: 1 });
    await expect(tracking.getExperiment(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(tracking.getRun(run)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(report.contents).toBe(1);
  });

  test('a run that a model version came from stays, with its content and its lineage', async () => {
    const { platform, ahead } = await openAhead();
    const { tracking, registry, operations } = platform;
    const run = await runWith(platform, 'e', { 'model/m.json': '{}', 'other.txt': 'other' });
    const version = await registry.register({
      model: 'm',
      from: { runId: run, path: 'model' },
      format: 'JS',
    });
    await tracking.deleteRun(run);
    ahead.ms = 90 * day;
    expect(await operations.gc()).toMatchObject({ records: {}, contents: 0 });
    await registry.download(version.id, await temporaryDirectory());
    expect(await tracking.getRun(run)).toMatchObject({ lifecycle: 'deleted' });
  });

  test('refuses what it does not know, and a grace that protects nobody', async () => {
    const { platform } = await openAhead();
    await expect(platform.operations.gc({ graceMs: 1000 })).rejects.toMatchObject({
      code: 'INVALID',
    });
    await expect(platform.operations.gc({ older: 1 } as object)).rejects.toMatchObject({
      code: 'INVALID',
    });
    const signal = AbortSignal.abort();
    await expect(platform.operations.gc({ signal })).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('random stories: nothing that is referred to goes, everything else that is old enough does', async () => {
    const { platform, ahead } = await openAhead();
    let workspaces = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (story) => {
        workspaces += 1;
        const services = platform.as({ workspace: `story-${workspaces}` });
        await play(platform.dir, services, story, ahead);
      }),
      { numRuns: 25 },
    );
  }, 120_000);
});

type Step =
  | { readonly do: 'log'; readonly run: number; readonly text: number }
  | { readonly do: 'delete' | 'restore'; readonly run: number }
  | { readonly do: 'wait'; readonly days: number }
  | { readonly do: 'register'; readonly run: number }
  | { readonly do: 'gc' };

const runNumber = fc.integer({ min: 0, max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('log' as const), run: runNumber, text: runNumber }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), run: runNumber }) },
  fc.record({ do: fc.constant('restore' as const), run: runNumber }),
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), days: fc.constantFrom(2, 31) }),
  },
  fc.record({ do: fc.constant('register' as const), run: runNumber }),
  { weight: 2, arbitrary: fc.constant({ do: 'gc' as const }) },
);

interface ModelRun {
  readonly id: string;
  readonly texts: Set<number>;
  deletedAt: number | undefined;
  registered: boolean;
}

async function play(
  dir: string,
  services: Services,
  story: readonly Step[],
  ahead: { ms: number },
): Promise<void> {
  const { tracking, registry, operations } = services;
  const runs = new Map<number, ModelRun>();
  const now = (): number => Date.now() + ahead.ms;
  for (const each of story) {
    if (each.do === 'wait') ahead.ms += each.days * day;
    if (each.do === 'gc') {
      await operations.gc();
      forget(runs, now());
      continue;
    }
    if (!('run' in each)) continue;
    const run = runs.get(each.run);
    if (each.do === 'log') {
      if (run?.deletedAt !== undefined) continue;
      const active =
        run === undefined
          ? await tracking.startRun({ experiment: 'e', environment: false })
          : await tracking.resumeRun(run.id);
      await active.logArtifact(`model/${each.text}.txt`, Buffer.from(`text ${each.text}`));
      await active.finish();
      const known = run ?? {
        id: active.id,
        texts: new Set(),
        deletedAt: undefined,
        registered: false,
      };
      known.texts.add(each.text);
      runs.set(each.run, known);
    }
    if (run === undefined) continue;
    if (each.do === 'delete' && run.deletedAt === undefined) {
      await tracking.deleteRun(run.id);
      run.deletedAt = now();
    }
    if (each.do === 'restore') {
      await tracking.restoreRun(run.id);
      run.deletedAt = undefined;
    }
    if (each.do === 'register' && run.deletedAt === undefined) {
      await registry.register({
        model: `m${each.run}`,
        from: { runId: run.id, path: 'model' },
        format: 'JS',
      });
      run.registered = true;
    }
  }
  // Late enough for whatever was put today to be garbage unless something refers to it.
  ahead.ms += 2 * day;
  await operations.gc();
  forget(runs, now());
  await agree(dir, services, runs);
}

/** What a collection at that time takes. */
function forget(runs: Map<number, ModelRun>, now: number): void {
  for (const [number, { deletedAt, registered }] of runs) {
    if (deletedAt !== undefined && deletedAt < now - 30 * day && !registered) runs.delete(number);
  }
}

async function agree(
  dir: string,
  services: Services,
  runs: ReadonlyMap<number, ModelRun>,
): Promise<void> {
  const wanted = new Set<number>();
  for (const { id, texts } of runs.values()) {
    for (const text of texts) {
      wanted.add(text);
      const bytes = await services.tracking.readArtifact(id, `model/${text}.txt`);
      expect(Buffer.from(bytes).toString()).toBe(`text ${text}`);
    }
  }
  const ids = [...runs.values()].map((run) => run.id).sort();
  const active = await services.tracking.searchRuns({ limit: 100 });
  const deleted = await services.tracking.searchRuns({ limit: 100, lifecycle: 'deleted' });
  expect([...active.runs, ...deleted.runs].map((run) => run.id).sort()).toEqual(ids);
  const digests = [...wanted].map((text) => sha256Of(`text ${text}`)).sort();
  expect(await contentsOf(dir, services.workspace)).toEqual(digests);
}

/** What the files hold, by digest. */
async function contentsOf(dir: string, workspace: string): Promise<readonly string[]> {
  await using store = await FileArtifactStore.open({ dir: join(dir, 'artifacts') });
  const listed = await Array.fromAsync(store.space(workspace).list());
  return listed.map(({ sha256 }) => sha256);
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

describe('gc beside processes that log, killed again and again', () => {
  test('every artifact that a record names is whole', async () => {
    const dir = `${await temporaryDirectory()}/.keelson`;
    const loggers = [0, 1].map(
      (who) => new ChildProgram(childFile('log-and-delete'), [dir, String(who)]),
    );
    for (const logger of loggers) await logger.line(/^round 1$/);
    for (let kill = 0; kill < 6; kill += 1) {
      const collector = new ChildProgram(childFile('collect-garbage'), [dir]);
      await collector.line(/^collected/);
      await rest(Math.random() * 40);
      await collector.kill();
    }
    for (const logger of loggers) {
      const rounds = logger.lines.length;
      await until('the loggers go on', () => logger.lines.length > rounds);
      await logger.kill();
      expect(logger.errors).toBe('');
    }
    const { platform } = await openTestPlatform({ dir });
    let looked = 0;
    for await (const run of platform.tracking.eachRun()) {
      const { artifacts } = await platform.tracking.listArtifacts(run.id);
      for (const { path } of artifacts) {
        await platform.tracking.readArtifact(run.id, path);
        looked += 1;
      }
    }
    expect(looked).toBeGreaterThan(0);
  }, 120_000);
});
