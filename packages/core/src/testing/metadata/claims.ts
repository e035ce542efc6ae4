import type { Change, Claimed, ClaimKey, MetadataStore } from '../../contracts/metadata-store.ts';
import { defined, equal, ok, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import { asc, column, compare, desc } from './predicates.ts';
import {
  columnsOf,
  home,
  job,
  type MetadataStoreHarness,
  promised,
  type Scene,
  write,
  writeIn,
} from './scene.ts';

const keyOf = ({ record, owner, fence }: Claimed): ClaimKey => ({
  workspace: record.workspace,
  kind: record.kind,
  id: record.id,
  owner,
  fence,
});

const hold = ({ id, owner, fence }: Pick<ClaimKey, 'id' | 'owner' | 'fence'>): Change => ({
  op: 'hold',
  kind: 'job',
  id,
  owner,
  fence,
});

const idsOf = (claimed: readonly Claimed[]): readonly string[] =>
  claimed.map(({ record }) => record.id);

/** Takes the one job that is free. */
async function takeOne({ store, leaseMs }: Scene, owner: string): Promise<Claimed> {
  const [claimed] = await store.claim('job', { limit: 1, owner, leaseMs });
  return defined(claimed, `${owner} should get the job`);
}

async function free(store: MetadataStore): Promise<boolean> {
  const claimed = await store.claim('job', { limit: 1, owner: 'a passer-by', leaseMs: 1 });
  return claimed.length > 0;
}

/** Who gets what, for how long, and how it is proved. */
export const claimCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'claims: take what matches, in the order asked for, up to the limit',
    'claim takes up to `limit` records that match, in order, and gives them as they are then.',
    async ({ store, leaseMs }) => {
      await write(
        store,
        job('a', { dueAt: 30 }),
        job('b', { dueAt: 10 }),
        job('c', { dueAt: 20 }),
        job('d', { dueAt: 5, state: 'done' }),
      );
      const where = compare(column('state'), '=', 'due');
      const request = { where, orderBy: [asc(column('dueAt'))], owner: 'one', leaseMs };
      const first = await store.claim('job', { ...request, limit: 2 });
      equal(idsOf(first), ['b', 'c'], 'The two that are due first');
      equal(
        first.map(({ owner, record }) => [
          owner,
          record.workspace,
          record.kind,
          record.revision,
          record.columns,
        ]),
        [
          ['one', home, 'job', 1, { state: 'due', dueAt: 10 }],
          ['one', home, 'job', 1, { state: 'due', dueAt: 20 }],
        ],
        'The records',
      );
      const rest = await store.claim('job', {
        ...request,
        owner: 'two',
        orderBy: [desc(column('dueAt'))],
        limit: 9,
      });
      equal(idsOf(rest), ['a'], 'What is left of those that match');
    },
  ),
  promised(
    'claims: what is held is not given to another',
    'A record that is held by an unexpired claim is taken by nobody, its owner included.',
    async (scene) => {
      await write(scene.store, job('j'));
      await takeOne(scene, 'one');
      const { store, leaseMs } = scene;
      equal(
        await store.claim('job', { limit: 5, owner: 'two', leaseMs }),
        [],
        'Another gets nothing',
      );
      equal(
        await store.claim('job', { limit: 5, owner: 'one', leaseMs }),
        [],
        'Nor does its owner, again',
      );
    },
  ),
  promised(
    'claims: each record goes to one caller only, however many call',
    'Claims at the same time, from several processes, share the records out.',
    async ({ store, openSecond, leaseMs }) => {
      const second = await openSecond();
      await write(store, ...Array.from({ length: 40 }, (_, i) => job(`j${i}`)));
      const taken = await Promise.all(
        Array.from({ length: 12 }, (_, i) =>
          (i % 2 === 0 ? store : second).claim('job', { limit: 5, owner: `o${i}`, leaseMs }),
        ),
      );
      const ids = taken.flatMap(idsOf);
      equal(new Set(ids).size, ids.length, 'No job should have been taken twice');
      equal(ids.length, 40, 'Every job should have been taken');
    },
  ),
  promised(
    "claims: expire by the store's clock",
    'A claim holds for leaseMs; then the record is free.',
    async (scene) => {
      const { store, leaseMs, elapse } = scene;
      await write(store, job('j'));
      const before = await store.now();
      const { expiresAt } = await takeOne(scene, 'one');
      const after = await store.now();
      ok(
        before + leaseMs <= expiresAt && expiresAt <= after + leaseMs,
        'It expires leaseMs from now',
      );
      await elapse(leaseMs / 4);
      equal(await free(store), false, 'Not free before its time');
      await elapse(leaseMs);
      equal(await free(store), true, 'Free after its time');
    },
  ),
  promised(
    'claims: the fence rises with every claim',
    'A later claim of a record has a greater fence, after a release as after an expiry.',
    async (scene) => {
      const { store, leaseMs, elapse } = scene;
      await write(store, job('j'));
      const first = await takeOne(scene, 'one');
      await store.release([keyOf(first)]);
      const second = await takeOne(scene, 'one');
      await elapse(leaseMs + 1);
      const third = await takeOne(scene, 'two');
      ok(first.fence < second.fence, `After a release: ${first.fence} < ${second.fence}`);
      ok(second.fence < third.fence, `After an expiry: ${second.fence} < ${third.fence}`);
    },
  ),
  promised(
    'claims: renew extends those that are still held, and says which',
    'Renewed claims hold for leaseMs from now; those no longer held are left out of the answer.',
    async (scene) => {
      const { store, leaseMs, elapse } = scene;
      await write(store, job('j'), job('k'));
      const [kept, lost] = await store.claim('job', { limit: 2, owner: 'one', leaseMs });
      const [held, gone] = [keyOf(defined(kept, 'j')), keyOf(defined(lost, 'k'))];
      await store.release([gone]);
      await elapse(leaseMs / 2);
      const others = { ...held, owner: 'two' };
      const older = { ...held, fence: held.fence - 1 };
      equal(await store.renew([gone, held, others, older], leaseMs), [held], 'Only what is held');
      await elapse(leaseMs * 0.75);
      await write(store, hold(held));
      const where = compare(column('id'), '=', 'j');
      const again = { where, limit: 1, owner: 'two', leaseMs };
      equal(await store.claim('job', again), [], 'Beyond its first lease it is held');
    },
  ),
  promised(
    'claims: what has expired cannot be renewed',
    'renew does not bring back a claim that ran out, taken by another or not.',
    async (scene) => {
      const { store, leaseMs, elapse } = scene;
      await write(store, job('j'));
      const key = keyOf(await takeOne(scene, 'one'));
      await elapse(leaseMs + 1);
      equal(await store.renew([key], leaseMs), [], 'It ran out');
      await takeOne(scene, 'two');
      equal(await store.renew([key], leaseMs), [], 'And was taken');
    },
  ),
  promised(
    'claims: what is released is free at once',
    'release gives a record back.',
    async (scene) => {
      await write(scene.store, job('j'));
      const claimed = await takeOne(scene, 'one');
      await scene.store.release([keyOf(claimed)]);
      await takeOne(scene, 'two');
    },
  ),
  promised(
    'claims: release leaves alone what is not held',
    "Another's claim, or a later one, is not released.",
    async (scene) => {
      const { store } = scene;
      await write(store, job('j'));
      const old = keyOf(await takeOne(scene, 'one'));
      await store.release([old]);
      const now = keyOf(await takeOne(scene, 'one'));
      await store.release([old, { ...now, owner: 'two' }, { ...now, id: 'absent-one' }]);
      equal(await free(store), false, 'The later claim should hold');
      await write(store, hold(now));
    },
  ),
  promised(
    'claims: set columns on what is taken, without a revision',
    'Columns that claim sets are set; revision and history stay as they were.',
    async ({ store, leaseMs }) => {
      await write(store, job('j'), job('k'));
      const set = { state: 'running', worker: 'one', dueAt: undefined };
      const [claimed] = await store.claim('job', { limit: 1, owner: 'one', leaseMs, set });
      const expected = { state: 'running', worker: 'one' };
      equal(claimed && columnsOf(claimed.record), expected, 'In the answer');
      const found = defined(await store.find(home, 'job', 'j'), 'The job is there');
      equal(columnsOf(found), expected, 'In the store');
      equal(found.revision, 1, 'The revision should be as it was');
      const other = await store.find(home, 'job', 'k');
      equal(other?.columns['state'], 'due', 'The other job should be as it was');
    },
  ),
  promised(
    'claims: are not announced',
    'Claim, renewal and release emit no event.',
    async (scene) => {
      const { store, leaseMs } = scene;
      await write(store, job('j'));
      const key = keyOf(await takeOne(scene, 'one'));
      await store.renew([key], leaseMs);
      await store.release([key]);
      equal((await store.readEvents({ limit: 10 })).events, [], 'No events');
    },
  ),
  promised(
    'claims: hold passes for who holds',
    'A commit with hold passes while the claim is held, renewed ones included.',
    async (scene) => {
      const { store, leaseMs } = scene;
      await write(store, job('j'));
      const key = keyOf(await takeOne(scene, 'one'));
      await write(store, hold(key), {
        op: 'replace',
        kind: 'job',
        id: 'j',
        expect: 1,
        columns: { state: 'half' },
      });
      await store.renew([key], leaseMs);
      await write(store, hold(key), {
        op: 'replace',
        kind: 'job',
        id: 'j',
        expect: 2,
        columns: { state: 'done' },
      });
      equal((await store.find(home, 'job', 'j'))?.columns['state'], 'done', 'Done');
    },
  ),
  promised(
    'claims: hold of what nobody holds is LOST',
    'hold rejects with LOST, naming the record, where it was never taken, was released, or is not there.',
    async (scene) => {
      const { store } = scene;
      await write(store, job('j'), job('never'));
      const where = compare(column('id'), '=', 'j');
      const [claimed] = await store.claim('job', {
        where,
        limit: 1,
        owner: 'one',
        leaseMs: scene.leaseMs,
      });
      const key = keyOf(defined(claimed, 'The job is free'));
      await store.release([key]);
      for (const lost of [key, { ...key, id: 'never' }, { ...key, id: 'absent-one' }]) {
        await rejects('LOST', () => write(store, hold(lost), job('new')), 'Not held', [lost.id]);
      }
      equal(await store.find(home, 'job', 'new'), undefined, 'Nothing should have been created');
    },
  ),
  promised(
    "claims: hold of another's claim is LOST",
    'hold rejects with LOST for another owner.',
    async (scene) => {
      await write(scene.store, job('j'));
      const key = keyOf(await takeOne(scene, 'one'));
      await rejects(
        'LOST',
        () => write(scene.store, hold({ ...key, owner: 'two' })),
        'Another owner',
        ['j'],
      );
    },
  ),
  promised(
    'claims: hold under a former fence is LOST',
    'hold rejects with LOST for a claim that was taken anew since, by the same owner even.',
    async (scene) => {
      const { store } = scene;
      await write(store, job('j'));
      const old = keyOf(await takeOne(scene, 'one'));
      await store.release([old]);
      const now = keyOf(await takeOne(scene, 'one'));
      await rejects('LOST', () => write(store, hold(old)), 'A former fence', ['j']);
      await rejects(
        'LOST',
        () => write(store, hold({ ...now, fence: now.fence + 1 })),
        'A fence to come',
        ['j'],
      );
    },
  ),
  promised(
    'claims: hold after the expiry is LOST',
    'hold rejects with LOST once the lease has run out, also where nobody else has taken the record.',
    async (scene) => {
      const { store, leaseMs, elapse } = scene;
      await write(store, job('j'));
      const key = keyOf(await takeOne(scene, 'one'));
      await elapse(leaseMs + 1);
      await rejects('LOST', () => write(store, hold(key)), 'It ran out', ['j']);
    },
  ),
  promised(
    'claims: take from owners that are known to be dead',
    'Claims of the owners in takeFrom count as expired; those of others do not.',
    async ({ store, leaseMs }) => {
      await write(store, job('j'), job('k'));
      const by = (id: string) => compare(column('id'), '=', id);
      const [dead] = await store.claim('job', { where: by('j'), limit: 1, owner: 'dead', leaseMs });
      await store.claim('job', { where: by('k'), limit: 1, owner: 'alive', leaseMs });
      const taken = await store.claim('job', {
        limit: 5,
        owner: 'heir',
        leaseMs,
        takeFrom: ['dead', 'nobody'],
      });
      equal(idsOf(taken), ['j'], "Only the dead owner's job");
      const former = keyOf(defined(dead, 'The job was free'));
      ok((taken[0]?.fence ?? 0) > former.fence, 'Under a greater fence');
      equal(await store.renew([former], leaseMs), [], 'The former owner cannot renew');
    },
  ),
  promised(
    'claims: owners are those of unexpired claims',
    'claimOwners names each owner of an unexpired claim once.',
    async (scene) => {
      const { store, leaseMs, elapse } = scene;
      await write(store, job('a'), job('b'), job('c'), job('d'));
      equal(await store.claimOwners('job'), [], 'Nobody');
      await store.claim('job', { limit: 1, owner: 'short', leaseMs: leaseMs / 2 });
      await store.claim('job', { limit: 2, owner: 'two', leaseMs });
      const [released] = await store.claim('job', { limit: 1, owner: 'gone', leaseMs });
      await store.release([keyOf(defined(released, 'The fourth job was free'))]);
      equal([...(await store.claimOwners('job'))].toSorted(), ['short', 'two'], 'Both');
      await elapse(leaseMs * 0.6);
      equal(await store.claimOwners('job', home), ['two'], 'One has run out');
    },
  ),
  promised(
    'claims: in all workspaces when none is named',
    'Without a workspace, records of all workspaces are taken.',
    async ({ store, leaseMs }) => {
      await write(store, job('a'));
      await writeIn(store, 'away', job('a'));
      const claimed = await store.claim('job', { limit: 10, owner: 'one', leaseMs });
      equal(claimed.map(({ record }) => record.workspace).toSorted(), ['away', home], 'Both');
    },
  ),
  promised(
    'claims: a kind that is not claimable is INVALID',
    'claim takes only of kinds that are declared claimable.',
    async ({ store, leaseMs }) => {
      const request = { limit: 1, owner: 'one', leaseMs };
      await rejects('INVALID', () => store.claim('item', request), 'Items are not claimed', [
        'item',
      ]);
    },
  ),
  promised(
    'claims: a limit is 1 to 100',
    'Other limits are INVALID.',
    async ({ store, leaseMs }) => {
      await write(store, ...Array.from({ length: 101 }, (_, i) => job(`j${i}`)));
      for (const limit of [0, -1, 101, 1.5]) {
        await rejects(
          'INVALID',
          () => store.claim('job', { limit, owner: 'one', leaseMs }),
          `Limit ${limit}`,
        );
      }
      const claimed = await store.claim('job', { limit: 100, owner: 'one', leaseMs });
      equal(claimed.length, 100, 'A hundred at once');
    },
  ),
];
