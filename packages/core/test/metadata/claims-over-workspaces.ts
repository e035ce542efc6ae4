import { expect, test } from 'vitest';
import type { Change, MetadataStore } from '../../src/contracts/metadata-store.ts';
import type { Order } from '../../src/contracts/query.ts';
import type { KindDeclaration } from '../../src/contracts/record.ts';

const jobKind: KindDeclaration = {
  name: 'job',
  columns: { dueAt: { type: 'integer', optional: true }, lane: { type: 'text', optional: true } },
  indexes: [['dueAt']],
  facets: { params: { source: 'merged' } },
  history: 'none',
  claimable: true,
};

const by = (name: string, direction: 'asc' | 'desc'): Order => ({
  by: { from: 'column', name },
  direction,
});

/** Tests of claims that name no workspace; `open` gives a new, empty store each time. */
export function testClaimsOverWorkspaces(
  open: (kinds: readonly KindDeclaration[]) => Promise<MetadataStore>,
): void {
  // Few are searched one by one, many as one.
  for (const workspaces of [1, 3, 25]) {
    test(`take what comes first of all, of ${workspaces} workspaces`, async () => {
      await using store = await open([jobKind]);
      const jobs = Array.from({ length: 100 }, (_, i) => ({
        workspace: `w${(i * 7) % workspaces}`,
        id: `job-${String((i * 37) % 100).padStart(3, '0')}`,
        dueAt: i % 9 === 0 ? undefined : (i * 53) % 20,
        lane: ['a', 'é', '😀', '\uffee', undefined][i % 5],
        param: [1, 'b', 2.5, 'a', undefined][i % 5],
      }));
      for (const { workspace, id, dueAt, lane, param } of jobs) {
        const facets = { params: param === undefined ? {} : { p: param } };
        const change: Change = { op: 'create', kind: 'job', id, columns: { dueAt, lane }, facets };
        await store.commit({ workspace, principal: 'test', changes: [change] });
      }
      const orders: readonly (readonly Order[])[] = [
        [],
        [by('dueAt', 'asc')],
        [by('lane', 'desc'), by('dueAt', 'asc')],
        [{ by: { from: 'facet', facet: 'params', key: 'p' }, direction: 'desc' }],
      ];
      for (const orderBy of orders) {
        const request = { orderBy, owner: 'one', leaseMs: 60_000 };
        const claimed = [
          ...(await store.claim('job', { ...request, limit: 40 })),
          ...(await store.claim('job', { ...request, limit: 40 })),
          ...(await store.claim('job', { ...request, limit: 40 })),
        ];
        // The same order, of one workspace with all of the jobs in it.
        const expected = await inOneWorkspace(await open([jobKind]), jobs, orderBy);
        expect(claimed.map(({ record }) => record.id)).toEqual(expected);
        expect(await store.claim('job', { ...request, limit: 40 })).toEqual([]);
        await store.release(
          claimed.map(({ record, owner, fence }) => {
            const { workspace, id } = record;
            return { workspace, kind: 'job', id, owner, fence };
          }),
        );
      }
    });
  }
}

async function inOneWorkspace(
  store: MetadataStore,
  jobs: readonly { id: string; dueAt: unknown; lane: unknown; param: unknown }[],
  orderBy: readonly Order[],
): Promise<readonly string[]> {
  const changes = jobs.map(({ id, dueAt, lane, param }) => {
    const facets = { params: param === undefined ? {} : { p: param } };
    return { op: 'create', kind: 'job', id, columns: { dueAt, lane }, facets } as Change;
  });
  await store.commit({ workspace: 'w', principal: 'test', changes });
  const { records } = await store.query('w', 'job', { orderBy, limit: 1_000 });
  await store.close();
  return records.map(({ id }) => id);
}
