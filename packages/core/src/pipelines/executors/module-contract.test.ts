import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import { definePipeline } from '../define-pipeline.ts';

const policy = new URL('../step-policy.ts', import.meta.url).href;

/** Writes the module; answers its path. */
async function moduleOf(text: string): Promise<string> {
  const module = join(await temporaryDirectory(), 'work.mjs');
  await writeFile(module, `import { StepError } from ${JSON.stringify(policy)};\n${text}`);
  return module;
}

describe.each(['inline', 'thread', 'process'] as const)('a module (%s)', (isolation) => {
  test('goes on from the last checkpoint of any attempt, in the order in which they were saved', async () => {
    const { platform } = await openTestPlatform();
    const module = await moduleOf(`
const seen = async (last) => last && [last.version, last.attempt, last.sizeBytes, await last.json()];
export async function work({ checkpoint, attempt, outputs }) {
  const before = await seen(await checkpoint.last());
  const bytes = (n) => Buffer.from(JSON.stringify({ attempt, n }));
  const parts = async function* () { yield bytes(3).subarray(0, 5); yield bytes(3).subarray(5); };
  const saved = await Promise.all([
    checkpoint.save(bytes(1)), checkpoint.save(new Blob([bytes(2)])), checkpoint.save(parts()),
  ]);
  const broken = (async function* () { yield bytes(4); throw new Error('torn'); })();
  const torn = await checkpoint.save(broken).then(() => 'whole', (error) => /torn/.exec(error.message)?.[0]);
  if (attempt < 3) throw new Error('once more');
  const all = [before, saved.map(({ version }) => version), torn, await seen(await checkpoint.last())];
  const streamed = [];
  for await (const part of await saved[2].open()) streamed.push(part);
  return { all, bytes: Buffer.from(await saved[2].bytes()).equals(Buffer.concat(streamed)) };
}`);
    const pipeline = definePipeline('checkpoints', { version: '1.0.0' }, (p) =>
      p.module(
        'work',
        {},
        { module, export: 'work', isolation },
        { retries: { limit: 2, delayMs: 1 } },
      ),
    );
    const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
    expect(done.failure).toBeUndefined();
    const size = JSON.stringify({ attempt: 1, n: 3 }).length;
    const all = [
      [6, 2, size, { attempt: 2, n: 3 }],
      [7, 8, 9],
      'torn',
      [9, 3, size, { attempt: 3, n: 3 }],
    ];
    expect(done.output).toEqual({ all, bytes: true });
  });

  test('keeps the artifacts of an attempt that fails, where its error or the cause of that names them', async () => {
    const { platform } = await openTestPlatform();
    const module = await moduleOf(`
export async function work({ outputs, attempt }) {
  const report = await outputs.json('reports/report.json', { attempt, found: NaN });
  await outputs.artifact('other.bin', Buffer.from('not asked for'));
  const error = new StepError('transient', 'found something', { artifacts: [report] });
  if (attempt === 1) throw error;
  throw new StepError('data', 'found it again', { artifacts: [report], cause: error });
}`);
    const pipeline = definePipeline('keeps', { version: '1.0.0' }, (p) =>
      p.module(
        'work',
        {},
        { module, export: 'work', isolation },
        { retries: { limit: 5, delayMs: 1 } },
      ),
    );
    const { id } = await platform.pipelines.start(pipeline);
    const done = await platform.pipelines.wait(id);
    expect(done.status).toBe('FAILED');
    const [step] = await platform.pipelines.steps(id);
    expect(step?.failure).toMatchObject({ class: 'data', message: 'found it again' });
    const kept = await platform.pipelines.artifacts(id, 'work');
    expect(Object.keys(kept)).toEqual(['failed/a2/reports/report.json']);
    const report = kept['failed/a2/reports/report.json'];
    expect(report?.mimeType).toBe('application/json');
    expect(await report?.json()).toEqual({ attempt: 2, found: Number.NaN });
  });
});

test('what a module in a process was told is saved is there for the next, however it ends and wherever that runs', async () => {
  const { platform, dir } = await openTestPlatform();
  const module = await moduleOf(`
import { setTimeout as rest } from 'node:timers/promises';
export async function work({ checkpoint, attempt }) {
  const last = await checkpoint.last();
  if (attempt > 1) return [last.version, last.attempt, Buffer.from(await last.bytes()).toString()];
  for (let n = 1; n <= 5; n += 1) await checkpoint.save(Buffer.from('version ' + n));
  process.kill(process.pid, 'SIGKILL');
  await rest(60_000);
}`);
  const retries = { limit: 1, delayMs: 3_000 };
  const pipeline = definePipeline('killed', { version: '1.0.0' }, (p) =>
    p.module('work', {}, { module, export: 'work', isolation: 'process' }, { retries }),
  );
  const { id } = await platform.pipelines.start(pipeline);
  const waiting = platform.pipelines.wait(id);
  await expect
    .poll(async () => (await platform.pipelines.steps(id))[0]?.failures, { timeout: 20_000 })
    .toBe(1);
  // As on another machine: what it finds comes out of the artifact store.
  const work = join(dir, 'work');
  for (const entry of await readdir(work, { recursive: true, withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name !== 'checkpoints') continue;
    const path = join(entry.parentPath, entry.name);
    expect((await readdir(path)).toSorted()).toEqual(['v4', 'v5']);
    expect(await readFile(join(path, 'v5'), 'utf8')).toBe('version 5');
    await rm(path, { recursive: true });
  }
  const done = await waiting;
  expect(done.failure).toBeUndefined();
  expect(done.output).toEqual([5, 1, 'version 5']);
}, 60_000);
