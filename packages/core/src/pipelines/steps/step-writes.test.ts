import { describe, expect, test } from 'vitest';
import { openTestScope, type TestScope } from '../../../test/open-test-scope.ts';
import { eventKinds } from '../../contracts/kinds/event-kinds.ts';
import { pipelinesKinds } from '../../contracts/kinds/pipelines-kinds.ts';
import { trackingKinds } from '../../contracts/kinds/tracking-kinds.ts';
import type { Change, Commit, MetadataStore } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { createTracking } from '../../tracking/tracking.ts';
import { definePipeline, type Pipeline } from '../define-pipeline.ts';
import { createPipelines } from '../pipelines.ts';
import type { Pipelines } from '../pipelines-types.ts';
import { attemptRunId, stepExecutionId } from '../step-execution.ts';

const kinds = [...eventKinds, ...trackingKinds, ...pipelinesKinds];
const kind = 'step_execution';

/** Pipelines with their tracking, on a store that hands each call to `around`. */
function withStore(
  t: TestScope,
  around: (name: string, call: () => unknown, args: unknown[]) => unknown,
) {
  const metadata = new Proxy(t.scope.metadata, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) =>
        around(String(name), () => Reflect.apply(value, target, args), args);
    },
  }) as MetadataStore;
  const scope: Scope = { ...t.scope, metadata };
  const { stores } = t;
  const parts = { writer: () => stores.writer(), heartbeats: stores.heartbeats };
  const tracker = createTracking(scope, parts);
  return { tracker, pipelines: createPipelines(scope, { tracker }) };
}

function chainOf(steps: number): Pipeline {
  return definePipeline(`chain${steps}`, { version: '1.0.0' }, (p) => {
    let before = p.step('s0', {}, () => 0);
    for (let i = 1; i < steps; i += 1) {
      before = p.step(`s${i}`, { before }, ({ inputs }) => inputs.before + 1);
    }
    return before;
  });
}

async function runToEnd(pipelines: Pipelines, pipeline: Pipeline): Promise<string> {
  const { id } = await pipelines.start(pipeline as Pipeline<Record<never, never>>);
  expect(await pipelines.wait(id)).toMatchObject({ status: 'COMPLETED' });
  return id;
}

/** The status that a commit gives to the step, if any. */
function statusGiven({ changes }: Commit, id: string): unknown {
  const change = changes.find((each) => each.op === 'replace' && each.id === id);
  return change?.op === 'replace' ? change.columns?.['status'] : undefined;
}

describe('what a step asks of the store', () => {
  test('is bounded: a claim, two commits and few reads, with its run and its lineage', async () => {
    await using t = await openTestScope({ kinds });
    const calls = new Map<string, number>();
    const { pipelines } = withStore(t, (name, call) => {
      calls.set(name, (calls.get(name) ?? 0) + 1);
      return call();
    });
    const [few, many] = [chainOf(10), chainOf(40)];
    const counts: ReadonlyMap<string, number>[] = [];
    for (const pipeline of [few, many, few, many]) {
      calls.clear();
      await runToEnd(pipelines, pipeline);
      counts.push(new Map(calls));
    }
    const each = (name: string): number =>
      ((counts[3]?.get(name) ?? 0) - (counts[2]?.get(name) ?? 0)) / 30;
    expect(each('commit')).toBeCloseTo(2, 1);
    expect(each('claim')).toBeLessThan(1.2);
    // The execution after its end, the output of the step before.
    expect(each('find') + each('findMany')).toBeLessThan(2.5);
    // Artifacts of the run, for its last event.
    expect(each('query')).toBeLessThan(1.2);
  });

  test('its run begins in the commit of its start and ends in that of its completion', async () => {
    await using t = await openTestScope({ kinds });
    const commits: Commit[] = [];
    const { pipelines } = withStore(t, (name, call, [commit]) => {
      if (name === 'commit') commits.push(commit as Commit);
      return call();
    });
    const id = await runToEnd(pipelines, chainOf(3));
    const step = stepExecutionId(id, 's1');
    const run = attemptRunId(id, 's1', 1);
    const ofRun = (status: string): Change['op'][] =>
      commits
        .filter((commit) => statusGiven(commit, step) === status)
        .flatMap(({ changes }) => changes)
        .filter((change) => 'id' in change && change.id === run)
        .map(({ op }) => op);
    expect(ofRun('RUNNING')).toEqual(['create']);
    expect(ofRun('COMPLETED')).toEqual(['replace']);
  });
});

describe('a completion', () => {
  test('whose outcome is unknown is made once, and so is the end of its run', async () => {
    await using t = await openTestScope({ kinds });
    let broken = 0;
    const { pipelines, tracker } = withStore(t, async (name, call, [commit]) => {
      const answer = await call();
      const completes =
        name === 'commit' && (commit as Commit).changes.some((change) => change.op === 'hold');
      const completed = (change: Change): boolean =>
        change.op === 'emit' && change.event.type === 'step.completed';
      if (!completes || !(commit as Commit).changes.some(completed)) return answer;
      broken += 1;
      if (broken !== 2) return answer;
      throw new KeelsonError('UNAVAILABLE', 'The connection broke.', {
        details: { outcome: 'unknown' },
      });
    });
    const id = await runToEnd(pipelines, chainOf(3));
    // The one that broke was not tried anew: it was read that it is there.
    expect(broken).toBe(3);
    expect((await pipelines.steps(id)).map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
    const { status } = await tracker.getRun(attemptRunId(id, 's1', 1));
    expect(status).toBe('COMPLETED');
  });

  test('counts though the execution was paused meanwhile, and what follows waits', async () => {
    await using t = await openTestScope({ kinds });
    const { pipelines, tracker } = withStore(t, (_, call) => call());
    const other = withStore(t, (_, call) => call()).pipelines;
    const paused = Promise.withResolvers<void>();
    const pipeline = definePipeline('paused', { version: '1.0.0' }, (p) => {
      const first = p.step('first', {}, () => 1);
      const second = p.step('second', { first }, async ({ inputs, executionId }) => {
        await other.pause(executionId);
        paused.resolve();
        return inputs.first + 1;
      });
      return p.step('third', { second }, ({ inputs }) => inputs.second + 1);
    });
    const execution = await pipelines.start(pipeline);
    const waiting = pipelines.wait(execution);
    await paused.promise;
    const status = async (name: string) =>
      (await pipelines.steps(execution.id)).find(({ step }) => step === name);
    await expect.poll(async () => (await status('second'))?.status).toBe('COMPLETED');
    await expect.poll(async () => (await status('third'))?.waitsFor).toMatch(/paused/);
    expect(await tracker.getRun(attemptRunId(execution.id, 'second', 1))).toMatchObject({
      status: 'COMPLETED',
    });
    await other.resume(execution.id);
    expect(await waiting).toMatchObject({ status: 'COMPLETED', output: 3 });
  });

  test('that somebody else has forestalled ends the run as KILLED, saying so', async () => {
    await using t = await openTestScope({ kinds });
    const { metadata } = t.scope;
    const { pipelines, tracker } = withStore(t, (_, call) => call());
    const pipeline = definePipeline('forestalled', { version: '1.0.0' }, (p) => {
      const first = p.step('first', {}, () => 1);
      return p.step('second', { first }, async ({ executionId }) => {
        const id = stepExecutionId(executionId, 'second');
        const record = await metadata.find('default', kind, id);
        // As a process does that takes this one for dead.
        await metadata.claim(kind, {
          workspace: 'default',
          where: { op: 'compare', left: { from: 'column', name: 'id' }, cmp: '=', value: id },
          limit: 1,
          owner: 'somebody else',
          leaseMs: 60_000,
          takeFrom: await metadata.claimOwners(kind, 'default'),
        });
        const columns = { attempt: 2 };
        const expected = record?.revision ?? 0;
        await metadata.commit({
          workspace: 'default',
          principal: 'somebody else',
          changes: [{ op: 'replace', kind, id, expect: expected, columns }],
        });
        return 'late';
      });
    });
    const { id } = await pipelines.start(pipeline);
    const ended = new AbortController();
    const waiting = pipelines.wait(id, { signal: ended.signal });
    const run = () => tracker.findRun(attemptRunId(id, 'second', 1));
    await expect.poll(async () => (await run())?.status, { timeout: 20_000 }).toBe('KILLED');
    expect((await run())?.statusReason).toMatch(/discarded: the step was .* taken over/);
    ended.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
