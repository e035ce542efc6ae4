import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test, vi } from 'vitest';
import { openTestScope } from '../../../test/open-test-scope.ts';
import { pipelinesKinds } from '../../contracts/kinds/pipelines-kinds.ts';
import type { MetadataStore } from '../../contracts/metadata-store.ts';
import { startTimeIn, statOf } from '../../embedded/processes/process-tree.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { describeOwner } from '../../process-owner.ts';
import { definePipeline } from '../define-pipeline.ts';
import { equals } from '../execution-records.ts';
import { createPipelines } from '../pipelines.ts';
import { replaceStep, stepFromRecord } from '../step-execution.ts';
import { StepLeases } from './step-leases.ts';

const kind = 'step_execution';

test('a result counts only while its process holds the step', async () => {
  await using t = await openTestScope({ kinds: pipelinesKinds });
  const { metadata } = t.scope;
  const refused = Promise.withResolvers<'refused'>();
  const pipelines = createPipelines({ ...t.scope, metadata: told(metadata, refused.resolve) });
  let giveBack = async (): Promise<void> => undefined;
  const pipeline = definePipeline('p', { version: '1.0.0' }, (p) =>
    p.step('work', {}, async ({ executionId }) => {
      const [step] = await pipelines.steps(executionId);
      // As another process does that takes this one for dead.
      const [claimed] = await metadata.claim(kind, {
        workspace: 'default',
        where: equals('id', step?.id ?? ''),
        limit: 1,
        owner: 'somebody else',
        leaseMs: 60_000,
        takeFrom: await metadata.claimOwners(kind, 'default'),
      });
      const { owner = '', fence = 0 } = claimed ?? {};
      const claim = { workspace: 'default', kind, id: step?.id ?? '', owner, fence };
      giveBack = async () => {
        await metadata.release([claim]);
      };
      return 'a result';
    }),
  );
  const execution = await pipelines.start(pipeline);
  const waiting = pipelines.wait(execution);
  const ended = waiting.then(() => 'ended' as const);
  expect(await Promise.race([refused.promise, ended])).toBe('refused');
  expect((await pipelines.steps(execution.id))[0]?.status).toBe('RUNNING');
  await giveBack();
  // Nobody went on with it: it is taken again, and the same result counts.
  expect(await waiting).toMatchObject({ status: 'COMPLETED', output: 'a result' });
  expect((await pipelines.steps(execution.id))[0]?.attempt).toBe(1);
});

test('a step whose process lives is looked at rarely, and is taken at once when that has died', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  await using t = await openTestScope({ kinds: pipelinesKinds });
  const { metadata, workspace } = t.scope;
  const other = spawn('sleep', ['60']);
  try {
    const pipelines = createPipelines(t.scope);
    const pipeline = definePipeline('p', { version: '1.0.0' }, (p) => p.step('work', {}, () => 1));
    const { id } = await pipelines.start(pipeline);
    await pipelines.close();
    const [record] = (await metadata.query(workspace, kind, { where: equals('executionId', id) }))
      .records;
    const state = stepFromRecord(record as never);
    const pid = other.pid ?? 0;
    const startTime = startTimeIn((await statOf(pid)) ?? '');
    const owner = { ...describeOwner(), pid, startTime, instance: 'another', engine: 'another' };
    const running = { status: 'RUNNING', attempt: 1 } as const;
    await commitChanges(t.scope, [replaceStep(state, running, { ...state.body, owner } as never)]);
    let looks = 0;
    const counted = new Proxy(metadata, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        if (name !== 'claim') return value.bind(target);
        return async (...of: Parameters<MetadataStore['claim']>) => {
          const claimed = await target.claim(...of);
          looks += claimed.length;
          return claimed;
        };
      },
    });
    const mine = { ...describeOwner(), engine: 'mine' };
    const how = { owner: mine, leaseMs: 1_000, patienceMs: 600_000 };
    const leases = new StepLeases({ ...t.scope, metadata: counted }, how);
    const look = () => leases.take([equals('executionId', id)], 10);
    for (let s = 0; s < 50; s += 1) {
      expect(await look()).toEqual([]);
      vi.advanceTimersByTime(1_001);
    }
    expect(looks).toBe(1);
    vi.advanceTimersByTime(10_000);
    expect(await look()).toEqual([]);
    expect(looks).toBe(2);
    other.kill('SIGKILL');
    await once(other, 'exit');
    expect(await look()).toHaveLength(1);
    for (const leased of leases) await leases.drop(leased);
  } finally {
    other.kill('SIGKILL');
    vi.useRealTimers();
  }
});

test('what a look at the records saw before the start is nothing against the attempt', async () => {
  await using t = await openTestScope({ kinds: pipelinesKinds });
  const looked = Promise.withResolvers<void>();
  const runs = Promise.withResolvers<void>();
  const told = Promise.withResolvers<void>();
  const metadata: MetadataStore = new Proxy(t.scope.metadata, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      // The start is committed after the look, whose answer comes when the function runs.
      if (name === 'commit') {
        return async (...args: Parameters<MetadataStore['commit']>) => {
          const starts = args[0].changes.some(({ op }) => op === 'hold');
          if (starts) await looked.promise;
          return target.commit(...args);
        };
      }
      if (name !== 'findMany') return value.bind(target);
      return async (...args: Parameters<MetadataStore['findMany']>) => {
        const found = await target.findMany(...args);
        looked.resolve();
        await runs.promise;
        setImmediate(told.resolve);
        return found;
      };
    },
  });
  const pipelines = createPipelines({ ...t.scope, metadata }, { leaseMs: 900 });
  const pipeline = definePipeline('p', { version: '1.0.0' }, (p) =>
    p.step('work', {}, async ({ signal }) => {
      runs.resolve();
      await told.promise;
      return signal.aborted;
    }),
  );
  const { id } = await pipelines.start(pipeline);
  expect(await pipelines.wait(id)).toMatchObject({ status: 'COMPLETED', output: false });
  expect((await pipelines.steps(id))[0]?.attempt).toBe(1);
});

test('a close waits neither for a lease that others keep nor for a store that does not answer', async () => {
  for (const trouble of ['taken', 'unavailable'] as const) {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    const { metadata } = t.scope;
    const refused = Promise.withResolvers<'refused'>();
    let answers = true;
    const store = told(metadata, refused.resolve, () => answers);
    const pipelines = createPipelines({ ...t.scope, metadata: store });
    const pipeline = definePipeline('p', { version: '1.0.0' }, (p) =>
      p.step('work', {}, async ({ executionId }) => {
        const [step] = await pipelines.steps(executionId);
        if (trouble === 'unavailable') answers = false;
        else {
          await metadata.claim(kind, {
            workspace: 'default',
            where: equals('id', step?.id ?? ''),
            limit: 1,
            owner: 'somebody else',
            leaseMs: 600_000,
            takeFrom: await metadata.claimOwners(kind, 'default'),
          });
        }
        return 'a result';
      }),
    );
    const execution = await pipelines.start(pipeline);
    const stop = new AbortController();
    const waiting = pipelines.wait(execution, { signal: stop.signal }).catch(() => 'stopped');
    expect(await refused.promise).toBe('refused');
    const startedAt = performance.now();
    await pipelines.close();
    expect(performance.now() - startedAt).toBeLessThan(2500);
    stop.abort();
    expect(await waiting).toBe('stopped');
    // Whoever takes it over begins it again.
    const [state] = (await metadata.query('default', kind, { limit: 1 })).records;
    expect(state?.columns).toMatchObject({ status: 'RUNNING', attempt: 1 });
  }
});

/** The store, telling when a commit is refused because a claim is not held, or because it does not answer. */
function told(
  store: MetadataStore,
  tell: (what: 'refused') => void,
  answers = (): boolean => true,
): MetadataStore {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      if (name !== 'commit') return value.bind(target);
      return async (...args: Parameters<MetadataStore['commit']>) => {
        try {
          if (!answers()) throw new KeelsonError('UNAVAILABLE', 'It does not answer.');
          return await target.commit(...args);
        } catch (error) {
          if (isKeelsonError(error, 'LOST', 'UNAVAILABLE')) tell('refused');
          throw error;
        }
      };
    },
  });
}
