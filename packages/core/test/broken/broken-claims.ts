import type {
  Claimed,
  ClaimKey,
  ClaimRequest,
  MetadataStore,
} from '../../src/contracts/metadata-store.ts';
import { KeelsonError } from '../../src/errors.ts';
import { keyOf, type ReferenceWorld } from '../../src/testing/model/reference-world.ts';
import { type BrokenStore, claiming, omitting } from './broken-store.ts';

const storedKey = ({ workspace, kind, id }: ClaimKey): string => keyOf(workspace, kind, id);

/** Gives other proofs than were made. */
const proving =
  (prove: (claimed: Claimed, world: ReferenceWorld) => Claimed): NonNullable<BrokenStore['wrap']> =>
  (store, world) => ({
    claim: async (kind, request) => {
      const claimed = await store.claim(kind, request);
      return claimed.map((one) => prove(one, world));
    },
  });

/** Looks for what is free, then takes it a moment later. */
function lookThenTake(store: MetadataStore, world: ReferenceWorld): Partial<MetadataStore> {
  return {
    claim: async (kind: string, request: ClaimRequest) => {
      const before = {
        ...world.state,
        claims: new Map(world.state.claims),
        records: new Map(world.state.records),
      };
      const fences = new Map(world.fences);
      const looked = store.claim(kind, request);
      world.state = before;
      for (const [key, fence] of fences) world.fences.set(key, fence);
      const ids = (await looked).map(({ record }) => record.id);
      await new Promise((resolve) => setImmediate(resolve));
      const owners = [...world.state.claims.values()].map(({ owner }) => owner);
      const where = { op: 'in', left: { from: 'column', name: 'id' }, values: ids } as const;
      return await store.claim(kind, { ...request, where, takeFrom: owners });
    },
  };
}

const bound = new WeakMap<ReferenceWorld, Map<string, string>>();

/** What is released can be taken again by its former owner alone. */
function bindReleased(store: MetadataStore, world: ReferenceWorld): Partial<MetadataStore> {
  const former = bound.get(world) ?? new Map<string, string>();
  bound.set(world, former);
  return {
    release: async (claims) => {
      for (const claim of claims) former.set(claim.id, claim.owner);
      await store.release(claims);
    },
    claim: async (kind, request) => {
      const others = [...former].filter(([, owner]) => owner !== request.owner).map(([id]) => id);
      const left = { from: 'column', name: 'id' } as const;
      const where = { op: 'not', of: { op: 'in', left, values: others } } as const;
      const claimed = await store.claim(kind, {
        ...request,
        where: request.where === undefined ? where : { op: 'and', of: [where, request.where] },
      });
      for (const { record } of claimed) former.delete(record.id);
      return claimed;
    },
  };
}

export const brokenClaims: readonly BrokenStore[] = [
  {
    breaks: 'claims: take what matches, in the order asked for, up to the limit',
    how: 'the order is not looked at',
    wrap: claiming((request) => ({ ...request, orderBy: [] })),
  },
  {
    breaks: 'claims: what is held is not given to another',
    how: 'an owner gets again what it holds',
    wrap: claiming((request) => ({
      ...request,
      takeFrom: [...(request.takeFrom ?? []), request.owner],
    })),
  },
  {
    breaks: 'claims: each record goes to one caller only, however many call',
    how: 'what is free is looked for before it is taken',
    wrap: lookThenTake,
  },
  {
    breaks: "claims: expire by the store's clock",
    how: 'the time of expiry is that of another clock',
    wrap: proving((claimed) => ({ ...claimed, expiresAt: claimed.expiresAt + 1_000_000 })),
  },
  {
    breaks: 'claims: the fence rises with every claim',
    how: 'another owner gets the former fence',
    wrap: proving((claimed) =>
      claimed.owner === 'two' ? { ...claimed, fence: claimed.fence - 1 } : claimed,
    ),
  },
  {
    breaks: 'claims: renew extends those that are still held, and says which',
    how: 'renew extends nothing',
    wrap: (store, world) => ({
      renew: async (claims, leaseMs) => {
        const before = new Map(world.state.claims);
        const held = await store.renew(claims, leaseMs);
        for (const [key, claim] of before) world.state.claims.set(key, claim);
        return held;
      },
    }),
  },
  {
    breaks: 'claims: what has expired cannot be renewed',
    how: 'what ran out is renewed while nobody else has it',
    wrap: (store, world) => ({
      renew: async (claims, leaseMs) => {
        const held = await store.renew(claims, leaseMs);
        const revived = claims.filter((claim) => {
          const stored = world.state.claims.get(storedKey(claim));
          return (
            stored !== undefined && stored.owner === claim.owner && stored.fence === claim.fence
          );
        });
        return revived.length > held.length ? revived : held;
      },
    }),
  },
  {
    breaks: 'claims: what is released is free at once',
    how: 'what is released is kept for its owner',
    wrap: bindReleased,
  },
  {
    breaks: 'claims: release leaves alone what is not held',
    how: 'release does not look at the fence',
    wrap: (store, world) => ({
      release: async (claims) => {
        await store.release(claims);
        for (const claim of claims) {
          if (world.state.claims.get(storedKey(claim))?.owner === claim.owner) {
            world.state.claims.delete(storedKey(claim));
          }
        }
      },
    }),
  },
  {
    breaks: 'claims: set columns on what is taken, without a revision',
    how: 'setting columns raises the revision',
    wrap: (store, world) => ({
      claim: async (kind, request) => {
        const claimed = await store.claim(kind, request);
        for (const { record } of request.set === undefined ? [] : claimed) {
          const key = keyOf(record.workspace, kind, record.id);
          world.state.records.set(key, { ...record, revision: record.revision + 1 });
        }
        return claimed;
      },
    }),
  },
  {
    breaks: 'claims: are not announced',
    how: 'a renewal is announced',
    wrap: (store, world) => ({
      renew: async (claims, leaseMs) => {
        for (const { workspace, id } of claims) {
          world.state.events.push({
            id: `renewed ${id}`,
            type: 'job.renewed',
            subject: `job:${id}`,
            source: 'store',
            at: world.time,
            payload: {},
            schemaVersion: 1,
            correlationId: '',
            principal: '',
            workspace,
            subjectSequence: 1,
            cursor: String(world.state.events.length + 1),
          });
        }
        return await store.renew(claims, leaseMs);
      },
    }),
  },
  {
    breaks: 'claims: hold passes for who holds',
    how: 'a second commit under one claim is LOST',
    wrap: (store) => ({
      commit: async (commit) => {
        const holds = commit.changes.some(({ op }) => op === 'hold');
        if (
          holds &&
          commit.changes.some((change) => change.op === 'replace' && change.expect > 1)
        ) {
          throw new KeelsonError('LOST', 'The claim was used.');
        }
        return await store.commit(commit);
      },
    }),
  },
  {
    breaks: 'claims: hold of what nobody holds is LOST',
    how: 'what was never taken is held by everybody',
    wrap: omitting(['hold nothing'], (change) => change.op === 'hold' && change.id === 'never'),
  },
  {
    breaks: "claims: hold of another's claim is LOST",
    how: 'any owner holds',
    omits: ['hold owner'],
  },
  {
    breaks: 'claims: hold under a former fence is LOST',
    how: 'any fence holds',
    omits: ['hold fence'],
  },
  {
    breaks: 'claims: hold after the expiry is LOST',
    how: 'a claim holds for ever',
    omits: ['hold expiry'],
  },
  {
    breaks: 'claims: take from owners that are known to be dead',
    how: 'takeFrom is not looked at',
    wrap: claiming(({ takeFrom: _dead, ...request }) => request),
  },
  {
    breaks: 'claims: owners are those of unexpired claims',
    how: 'owners whose claims ran out are named, too',
    wrap: (store, world) => ({
      claimOwners: async (kind, workspace) => {
        await store.claimOwners(kind, workspace);
        const keys = [...world.state.claims].filter(
          ([key]) => workspace === undefined || JSON.parse(key)[0] === workspace,
        );
        return [...new Set(keys.map(([, { owner }]) => owner))];
      },
    }),
  },
  {
    breaks: 'claims: in all workspaces when none is named',
    how: 'without a workspace one is assumed',
    wrap: claiming((request) => ({ workspace: 'home', ...request })),
  },
  {
    breaks: 'claims: a kind that is not claimable is INVALID',
    how: 'every kind is claimable',
    omits: ['claimable'],
  },
  { breaks: 'claims: a limit is 1 to 100', how: 'any limit is taken', omits: ['claim limit'] },
];
