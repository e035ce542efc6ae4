import { describe, expect, test } from 'vitest';
import { openTestScope } from '../../test/open-test-scope.ts';
import { trackingKinds } from '../contracts/kinds/tracking-kinds.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { createTracking } from './tracking.ts';

const many = (count: number, prefix: string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, 'x']));

/** The scope of somebody whose first commit waits, all read and decided, until it is let go. */
function slowScope(scope: Scope) {
  const reached = Promise.withResolvers<void>();
  const letGo = Promise.withResolvers<void>();
  const metadata: MetadataStore = new Proxy(scope.metadata, {
    get(store, name) {
      const value: unknown = Reflect.get(store, name);
      if (typeof value !== 'function') return value;
      if (name !== 'commit') return value.bind(store);
      return async (...args: Parameters<MetadataStore['commit']>) => {
        reached.resolve();
        await letGo.promise;
        return await store.commit(...args);
      };
    },
  });
  return { scope: { ...scope, metadata }, reached: reached.promise, letGo: letGo.resolve };
}

async function openTwo() {
  const opened = await openTestScope({ kinds: trackingKinds });
  const { scope, stores } = opened;
  const slow = slowScope(scope);
  const parts = { writer: () => stores.writer(), heartbeats: stores.heartbeats };
  return {
    slow: { ...slow, tracking: createTracking(slow.scope, parts) },
    other: createTracking(scope, parts),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

describe('who counted tags and commits late does not pass the limit', () => {
  test('of an experiment that had none', async () => {
    await using two = await openTwo();
    const { slow, other } = two;
    const { id } = await other.createExperiment({ name: 'e' });
    const late = slow.tracking.setExperimentTags(id, { late: 'x' });
    await slow.reached;
    await other.setExperimentTags(id, many(20, 't'));
    slow.letGo();
    await expect(late).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('would have 21 tags; at most 20'),
    });
    expect((await other.getExperiment(id)).tags).toEqual(many(20, 't'));
  });

  test('of a run, nor by setting one that was removed meanwhile', async () => {
    await using two = await openTwo();
    const { slow, other } = two;
    const run = await other.startRun({ experiment: 'e', environment: false, tags: { a: 'x' } });
    const late = slow.tracking.setRunTags(run.id, { a: 'new' });
    await slow.reached;
    await other.removeRunTags(run.id, ['a']);
    await other.setRunTags(run.id, many(50, 't'));
    slow.letGo();
    await expect(late).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('would have 51 tags; at most 50'),
    });
    expect((await other.getRun(run.id)).tags).toEqual(many(50, 't'));
    await run.finish();
  });
});
