import { describe, expect, onTestFinished, test } from 'vitest';
import { openTestScope } from '../../test/open-test-scope.ts';
import { trackingKinds } from '../contracts/kinds/tracking-kinds.ts';
import type { Change, Commit, MetadataStore } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { createArtifacts } from './artifacts.ts';
import { createRunRecords } from './run-records.ts';

/** A scope with one RUNNING run, and what happens just before the next commit of the code under test. */
async function openRace(): Promise<{
  readonly scope: Scope;
  /** Does this in the moment between the reading and the writing, as another process might. */
  before(interfere: () => Promise<unknown>): void;
  end(): Promise<unknown>;
  rename(name: string): Promise<unknown>;
}> {
  const opened = await openTestScope({ kinds: trackingKinds });
  onTestFinished(() => opened[Symbol.asyncDispose]());
  const { metadata } = opened.scope;
  const commit = (...changes: Change[]) =>
    metadata.commit({ workspace: 'default', principal: 'other', changes });
  const columns = {
    experimentId: 'e',
    name: 'n',
    status: 'RUNNING',
    startedAt: 0,
    sourceType: 'SCRIPT',
    userId: 'u',
    lifecycle: 'active',
  };
  await commit({ op: 'create', kind: 'run', id: 'r', columns });
  const waiting: (() => Promise<unknown>)[] = [];
  const racing = new Proxy(metadata, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name !== 'commit') return typeof value === 'function' ? value.bind(target) : value;
      return async (change: Commit) => {
        await waiting.shift()?.();
        return target.commit(change);
      };
    },
  }) as MetadataStore;
  const change = async (columns: Record<string, string>): Promise<unknown> => {
    const record = await metadata.find('default', 'run', 'r');
    const expectation = record?.revision ?? 0;
    return commit({ op: 'replace', kind: 'run', id: 'r', expect: expectation, columns });
  };
  return {
    scope: { ...opened.scope, metadata: racing },
    before: (interfere) => waiting.push(interfere),
    end: () => change({ status: 'COMPLETED' }),
    rename: (name) => change({ name }),
  };
}

function recordsOf(scope: Scope, heartbeatTimeoutMs = 30_000) {
  const heartbeats = {
    read: async () => new Map<string, number>(),
    beat: async () => undefined,
    end: async () => undefined,
  };
  return createRunRecords(scope, { heartbeats, heartbeatTimeoutMs, lateLogging: false });
}

describe('whileLoggable', () => {
  const params = (key: string): Change => ({
    op: 'merge',
    kind: 'run',
    id: 'r',
    set: { params: { [key]: 1 } },
  });

  test('writes nothing to a run that another process ends between reading and writing', async () => {
    const race = await openRace();
    const records = recordsOf(race.scope);
    race.before(race.end);
    await expect(
      records.whileLoggable('r', 'params', () => [params('late')]),
    ).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('is COMPLETED'),
    });
    expect((await records.get('r')).facets['params']).toEqual({});
  });

  test('decides again when the run was changed otherwise', async () => {
    const race = await openRace();
    const records = recordsOf(race.scope);
    race.before(() => race.rename('new name'));
    const names: unknown[] = [];
    await records.whileLoggable('r', 'params', (record) => {
      names.push(record.columns['name']);
      return [params('a')];
    });
    expect(names).toEqual(['n', 'new name']);
    expect((await records.get('r')).facets['params']).toEqual({ a: 1 });
  });

  test('refuses an ended run also when there is nothing to write', async () => {
    const race = await openRace();
    const records = recordsOf(race.scope);
    await race.end();
    await expect(records.whileLoggable('r', 'params', () => [])).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });
});

describe('an artifact', () => {
  test('is not logged to a run that another process ends between reading and writing', async () => {
    const race = await openRace();
    const artifacts = createArtifacts(race.scope, recordsOf(race.scope), () => undefined);
    race.before(race.end);
    await expect(artifacts.log('r', 'a.txt', new Uint8Array(1), {})).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('is COMPLETED'),
    });
    expect((await artifacts.listArtifacts('r')).artifacts).toEqual([]);
  });

  test('finds its place again when another writer takes the path in between', async () => {
    const race = await openRace();
    const artifacts = createArtifacts(race.scope, recordsOf(race.scope), () => undefined);
    const other = createArtifacts(race.scope, recordsOf(race.scope), () => undefined);
    race.before(() => other.log('r', 'a.txt', new Uint8Array([1]), {}));
    const logged = await artifacts.log('r', 'a.txt', new Uint8Array([2]), {});
    expect(logged.path).toBe('a-1.txt');
    expect((await artifacts.listArtifacts('r')).artifacts).toHaveLength(2);
  });
});
