import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTestScope, type TestScope } from '../../test/open-test-scope.ts';
import {
  PipelineProcess,
  type PipelineResult,
  type PipelineTask,
} from '../../test/pipeline-process.ts';
import type { StoredEvent } from '../contracts/event.ts';
import { pipelinesKinds } from '../contracts/kinds/pipelines-kinds.ts';
import { createPipelines } from './pipelines.ts';
import type { StepExecution } from './step-execution.ts';

const kills = Number(process.env['KEELSON_KILLS'] ?? 20);
const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 2 ** 31);

/** A small generator (mulberry32), so that a run can be repeated. */
function random(state: number): () => number {
  let at = state;
  return () => {
    at = (at + 0x6d2b79f5) | 0;
    let t = Math.imul(at ^ (at >>> 15), 1 | at);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Effect {
  readonly key: string;
  readonly step: string;
  readonly attempt: number;
  readonly pid: number;
}

async function effectsOf(test: TestScope): Promise<readonly Effect[]> {
  const lines = (await readFile(join(test.dir, 'effects.jsonl'), 'utf8')).trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Effect);
}

async function allEvents(test: TestScope): Promise<readonly StoredEvent[]> {
  const events: StoredEvent[] = [];
  for (let after: string | undefined; ; ) {
    const batch = await test.scope.metadata.readEvents({
      workspace: 'default',
      limit: 1000,
      ...(after === undefined ? {} : { after }),
    });
    events.push(...batch.events);
    if (batch.events.length === 0) return events;
    after = batch.cursor;
  }
}

/** Every edge that the steps should have is there once, and no other. */
async function assertLineage(
  test: TestScope,
  { id }: PipelineResult,
  states: readonly StepExecution[],
  dependsOn: ReadonlyMap<string, readonly string[]>,
): Promise<void> {
  const names = new Map(states.map((state) => [state.id, state.step]));
  const name = (node: string) =>
    node === id ? 'execution' : (names.get(node) ?? node.replace(/^artifact:.*/, 'artifact'));
  const { records } = await test.scope.metadata.query('default', 'edge', { limit: 1000 });
  const edges = records.map(({ columns }) => [String(columns['from']), String(columns['to'])]);
  const mine = edges.filter((ends) => ends.some((end) => names.has(end)));
  const expected = [...dependsOn].flatMap(([step, before]) =>
    ['execution', ...before].map((from) => `${from} -> ${step}`),
  );
  expect(mine.map(([from = '', to = '']) => `${name(from)} -> ${name(to)}`).toSorted()).toEqual(
    [...expected, 'seed -> artifact', 'artifact -> first'].toSorted(),
  );
}

/** What must hold of an execution however often the processes around it were killed. */
async function assertRight(test: TestScope, result: PipelineResult, key: string): Promise<number> {
  const pipelines = createPipelines(test.scope);
  const states = await pipelines.steps(result.id);
  const events = (await allEvents(test)).filter((e) => e.payload['executionId'] === result.id);
  const effects = (await effectsOf(test)).filter((effect) => effect.key === key);
  const definition = await pipelines.getDefinition('killed');
  const dependsOn = new Map(definition.steps.map((step) => [step.name, step.dependsOn]));
  expect((await pipelines.get(result.id)).openSteps).toBe(0);
  const completedAt = new Map<string, number>();
  events.forEach((event, i) => {
    const step = event.payload['step'] as string;
    if (event.type === 'step.completed') {
      expect(completedAt.has(step), `${step} completed twice`).toBe(false);
      completedAt.set(step, i);
    }
    if (event.type === 'step.started') {
      expect(completedAt.has(step), `${step} started again after it completed`).toBe(false);
      for (const other of dependsOn.get(step) ?? []) {
        expect(completedAt.has(other), `${step} started before ${other} had completed`).toBe(true);
      }
    }
  });
  for (const type of ['pipeline.started', 'pipeline.completed']) {
    expect(events.filter((event) => event.type === type)).toHaveLength(1);
  }
  for (const state of states) {
    expect(state.status).toBe('COMPLETED');
    const started = events.filter(
      (e) => e.type === 'step.started' && e.payload['step'] === state.step,
    );
    expect(started.map((e) => e.payload['attempt'])).toEqual(
      Array.from({ length: state.attempt }, (_, i) => i + 1),
    );
    const attempts = effects.filter((e) => e.step === state.step).map((e) => e.attempt);
    // Each attempt works once at most, none without having begun, and none behind the committed one.
    expect(new Set(attempts).size).toBe(attempts.length);
    expect(attempts.at(-1)).toBe(state.attempt);
    expect(attempts).toEqual(attempts.toSorted((a, b) => a - b));
  }
  const { records } = await test.scope.metadata.query('default', 'step_output', { limit: 1000 });
  const outputs = records.filter((record) => record.columns['executionId'] === result.id);
  expect(outputs.map((record) => record.columns['name'])).toEqual(['bytes']);
  await assertLineage(test, result, states, dependsOn);
  return states.reduce((sum, state) => sum + state.losses, 0);
}

const output = ({ depth, width }: Pick<PipelineTask, 'depth' | 'width'>): number => {
  let layer = [20_000];
  for (let i = 0; i < depth; i += 1) {
    const sum = layer.reduce((a, b) => a + b, 0);
    layer = Array.from({ length: width }, (_, n) => sum + n);
  }
  return layer.reduce((a, b) => a + b, 0);
};

describe('SIGKILL', () => {
  test(`killed ${kills} times at random moments, each execution ends as if undisturbed`, async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    const draw = random(seed);
    const shape = { depth: 4, width: 3 };
    let killed = 0;
    let lost = 0;
    let standby = new PipelineProcess();
    for (let n = 0; killed < kills || n === 0; n += 1) {
      const key = `e${n}`;
      for (;;) {
        const child = standby;
        standby = new PipelineProcess();
        await child.go({ dir: t.dir, key, ...shape });
        if (killed < kills) {
          // Every other time once it works, or a slow machine would have nothing yet that a kill could hit.
          const works = killed % 2 === 0;
          if (works) await Promise.race([child.worked, child.exited]);
          const moment = Math.floor(draw() * (works ? 20 : 250));
          const timer = new Promise((resolve) => setTimeout(resolve, moment));
          await Promise.race([timer, child.exited]);
        }
        const ended = killed < kills ? undefined : await child.result();
        if (ended === undefined) await child.kill();
        const result = ended ?? (await child.result());
        if (result === undefined) {
          killed += 1;
          continue;
        }
        expect(result, `seed ${seed}`).toMatchObject({
          status: 'COMPLETED',
          output: output(shape),
        });
        lost += await assertRight(t, result, key);
        break;
      }
    }
    await standby.kill();
    // Kills that hit nothing would prove nothing.
    expect(lost, `seed ${seed}`).toBeGreaterThan(0);
  }, 180_000);

  test('two processes drive one execution, one is killed and replaced again and again', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    const draw = random(seed + 1);
    // Long enough that neither process can have done it all before the other has begun.
    const options = { concurrency: 2 };
    const task = { dir: t.dir, key: 'shared', depth: 8, width: 5, stepMs: 40, options };
    const pair = [new PipelineProcess(), new PipelineProcess()];
    await Promise.all(pair.map((child) => child.go(task)));
    await Promise.all(pair.map((child) => child.worked));
    let result: PipelineResult | undefined;
    for (let n = 0; result === undefined; n += 1) {
      const fresh = new PipelineProcess();
      if (n < 5) {
        // Killed amid work of its own, unless the other has left it none.
        const victim = pair[n % 2];
        await Promise.race([victim?.worked, victim?.result()]);
        await new Promise((resolve) => setTimeout(resolve, draw() * 60));
        await victim?.kill();
        pair[n % 2] = fresh;
        await fresh.go(task);
        continue;
      }
      await fresh.kill();
      const [one, two] = await Promise.all(pair.map((child) => child.result()));
      expect(one ?? two).toEqual(two ?? one);
      result = one ?? two;
    }
    expect(result, `seed ${seed}`).toMatchObject({ status: 'COMPLETED', output: output(task) });
    await assertRight(t, result, 'shared');
    const pids = new Set((await effectsOf(t)).map((effect) => effect.pid));
    expect(pids.size).toBeGreaterThan(1);
  }, 120_000);
});

describe('leases', () => {
  test('a step that computes longer than its lease, alone, is not begun twice', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    const child = new PipelineProcess();
    await child.go({
      dir: t.dir,
      key: 'k',
      depth: 0,
      width: 0,
      blockMs: 1500,
      options: { leaseMs: 300 },
    });
    const result = (await child.result()) as PipelineResult;
    expect(result).toMatchObject({ status: 'COMPLETED', output: 20_000 });
    expect(await assertRight(t, result, 'k')).toBe(0);
  }, 30_000);

  test('another process leaves it in peace as long as its process lives', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    const [one, two] = [new PipelineProcess(), new PipelineProcess()];
    const task = {
      dir: t.dir,
      key: 'k',
      depth: 0,
      width: 0,
      blockMs: 2000,
      options: { leaseMs: 300 },
    };
    await one.go(task);
    await one.began;
    await two.go(task);
    const results = await Promise.all([one.result(), two.result()]);
    expect(results[0]).toEqual(results[1]);
    expect(await assertRight(t, results[0] as PipelineResult, 'k')).toBe(0);
    expect((await effectsOf(t)).filter((effect) => effect.step === 'first')).toHaveLength(1);
  }, 30_000);

  test('without patience it is taken over, and only one result counts', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    const [one, two] = [new PipelineProcess(), new PipelineProcess()];
    const task = {
      dir: t.dir,
      key: 'k',
      depth: 0,
      width: 0,
      options: { leaseMs: 300, patienceMs: -1 },
    };
    await one.go({ ...task, blockMs: 2500 });
    await one.began;
    await two.go(task);
    const results = await Promise.all([one.result(), two.result()]);
    expect(results[0]).toEqual(results[1]);
    expect(await assertRight(t, results[0] as PipelineResult, 'k')).toBe(1);
    const firsts = (await effectsOf(t)).filter((effect) => effect.step === 'first');
    expect(firsts.map((effect) => effect.attempt)).toEqual([1, 2]);
  }, 30_000);

  test('the step of a process that was killed is taken over at once, long before its lease ends', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    const one = new PipelineProcess();
    const task = { dir: t.dir, key: 'k', depth: 0, width: 0, options: { leaseMs: 60_000 } };
    await one.go({ ...task, blockMs: 20_000 });
    await one.began;
    const two = new PipelineProcess();
    await one.kill();
    const at = performance.now();
    await two.go(task);
    const result = (await two.result()) as PipelineResult;
    expect(performance.now() - at).toBeLessThan(10_000);
    expect(await assertRight(t, result, 'k')).toBe(1);
  }, 30_000);
});
