import type { MetadataStore } from '../../contracts/metadata-store.ts';
import type { RevisionEntry } from '../../contracts/record.ts';
import { equal } from '../assertions.ts';
import type { Case } from '../suite.ts';
import type { Scene } from './scene.ts';
import {
  columnsOf,
  home,
  item,
  job,
  type MetadataStoreHarness,
  note,
  promised,
  write,
} from './scene.ts';

/** An item at revision 3, each revision by somebody else. */
async function threeRevisions({ store, elapse }: Scene): Promise<readonly number[]> {
  const target = { kind: 'item', id: 'a' } as const;
  const commits = [
    {
      by: 'ada',
      reason: 'a start',
      change: item('a', { name: 'one', count: 1 }, { body: { n: 1 } }),
    },
    {
      by: 'bob',
      reason: 'a name',
      change: { op: 'replace', ...target, expect: 1, columns: { name: 'two' } },
    },
    {
      by: 'cyd',
      reason: undefined,
      change: { op: 'replace', ...target, expect: 2, body: { n: 3 } },
    },
  ] as const;
  const times: number[] = [];
  for (const { by, reason, change } of commits) {
    const why = reason === undefined ? {} : { reason, correlationId: `because of ${reason}` };
    const { at } = await store.commit({
      workspace: home,
      principal: by,
      ...why,
      changes: [change],
    });
    times.push(at);
    await elapse(3);
  }
  return times;
}

/** The history, oldest first, whatever the store's order. */
async function revisionsOf(store: MetadataStore): Promise<readonly RevisionEntry[]> {
  const entries = await store.history(home, 'item', 'a');
  return entries.toSorted((a, b) => a.revision - b.revision);
}

/** What the history keeps. */
export const historyCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'history: every revision is kept, oldest first',
    'history gives the revisions of a record, oldest first.',
    async (scene) => {
      await threeRevisions(scene);
      const entries = await scene.store.history(home, 'item', 'a');
      equal(
        entries.map((entry) => [entry.revision, entry.removed]),
        [
          [1, false],
          [2, false],
          [3, false],
        ],
        'Three',
      );
    },
  ),
  promised(
    'history: each revision says who, when and why',
    'A revision keeps the principal, the time, the reason and the correlation of its commit.',
    async (scene) => {
      const times = await threeRevisions(scene);
      const entries = await revisionsOf(scene.store);
      equal(
        entries.map(({ by, at, reason, correlationId }) => ({ by, at, reason, correlationId })),
        [
          { by: 'ada', at: times[0], reason: 'a start', correlationId: 'because of a start' },
          { by: 'bob', at: times[1], reason: 'a name', correlationId: 'because of a name' },
          { by: 'cyd', at: times[2], reason: undefined, correlationId: undefined },
        ],
        'Who, when and why',
      );
    },
  ),
  promised(
    'history: each revision is as it was then',
    'A revision keeps all columns and the body as they were at it.',
    async (scene) => {
      await threeRevisions(scene);
      const entries = await revisionsOf(scene.store);
      equal(
        entries.map((entry) => [columnsOf(entry), entry.body]),
        [
          [{ name: 'one', count: 1 }, { n: 1 }],
          [{ name: 'two', count: 1 }, { n: 1 }],
          [{ name: 'two', count: 1 }, { n: 3 }],
        ],
        'Columns and bodies of then',
      );
    },
  ),
  promised(
    'history: goes on after a revision, within a limit',
    'With `after` those beyond that revision come, with `limit` at most so many.',
    async (scene) => {
      await threeRevisions(scene);
      const revisions = async (options: {
        after?: number;
        limit?: number;
      }): Promise<readonly number[]> =>
        (await scene.store.history(home, 'item', 'a', options)).map((entry) => entry.revision);
      equal(await revisions({ after: 1 }), [2, 3], 'after 1');
      equal(await revisions({ after: 3 }), [], 'after the last');
      equal(await revisions({ limit: 2 }), [1, 2], 'two');
      equal(await revisions({ after: 1, limit: 1 }), [2], 'one after 1');
    },
  ),
  promised(
    'history: outlives the record and ends with its removal',
    'The history can be read after the removal; its last entry is marked as removed.',
    async (scene) => {
      const { store } = scene;
      await threeRevisions(scene);
      await store.commit({
        workspace: home,
        principal: 'eve',
        reason: 'no more',
        changes: [{ op: 'remove', kind: 'item', id: 'a', expect: 3 }],
      });
      const entries = await store.history(home, 'item', 'a');
      equal(
        entries.map((entry) => entry.removed),
        [false, false, false, true],
        'The last one is the removal',
      );
      const last = entries.at(-1);
      equal([last?.by, last?.reason], ['eve', 'no more'], 'Who removed it, and why');
    },
  ),
  promised(
    'history: neither adjust nor merge makes a revision',
    'Adjusted columns and merged facets leave no entry.',
    async ({ store }) => {
      await write(store, item('a', { count: 1 }));
      await write(
        store,
        { op: 'adjust', kind: 'item', id: 'a', column: 'count', by: 1 },
        { op: 'merge', kind: 'item', id: 'a', set: { tags: { one: 1 } } },
      );
      equal(
        (await store.history(home, 'item', 'a')).length,
        1,
        'Only the creation should be there',
      );
    },
  ),
  promised(
    'history: a claim makes no revision',
    'Claims and the columns they set are never revisioned.',
    async ({ store, leaseMs }) => {
      await write(store, job('j'));
      await store.claim('job', { limit: 1, owner: 'one', leaseMs, set: { state: 'running' } });
      equal((await store.history(home, 'job', 'j')).length, 1, 'Only the creation should be there');
    },
  ),
  promised(
    'history: a kind without history keeps none',
    'history is empty for a kind that declares none, and for ids that never were.',
    async ({ store }) => {
      await write(store, note('n'));
      await write(store, {
        op: 'replace',
        kind: 'note',
        id: 'n',
        expect: 1,
        columns: { title: 'x' },
      });
      equal(await store.history(home, 'note', 'n'), [], 'Notes keep no history');
      equal(await store.history(home, 'item', 'never'), [], 'Nothing ever was there');
    },
  ),
];
