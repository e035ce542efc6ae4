import type { Change, Commit, MetadataStore, Reach } from '../../src/contracts/metadata-store.ts';
import type { StoredRecord } from '../../src/contracts/record.ts';
import { KeelsonError } from '../../src/errors.ts';
import { keyOf, type ReferenceWorld } from '../../src/testing/model/reference-world.ts';
import { type BrokenStore, claiming } from './broken-store.ts';

type ReachOptions = Parameters<MetadataStore['reach']>[2];

/** Answers `reach` in another way. */
const reaching =
  (
    answer: (found: Reach, ids: readonly string[], options: ReachOptions) => Reach,
    ask: (options: ReachOptions) => ReachOptions = (options) => options,
  ): NonNullable<BrokenStore['wrap']> =>
  (store) => ({
    reach: async (workspace, ids, options) =>
      answer(await store.reach(workspace, ids, ask(options)), ids, options),
  });

const as = (found: Reach): Reach => found;

export const brokenEdges: readonly BrokenStore[] = [
  {
    breaks: 'edges: are followed forward, breadth first',
    how: 'a start without edges is left out',
    wrap: reaching((found) =>
      found.nodes.length === 1 && found.nodes[0]?.id === 'unknown'
        ? { ...found, nodes: [] }
        : found,
    ),
  },
  {
    breaks: 'edges: are followed backward',
    how: 'deep walks go forward always',
    wrap: reaching(as, (options) =>
      options.depth === 10 ? { ...options, direction: 'forward' } : options,
    ),
  },
  {
    breaks: 'edges: those that were followed come along',
    how: 'edges to nodes that were known already are left out',
    wrap: reaching((found) => ({
      ...found,
      edges: found.edges.filter(({ role }) => role !== 'started'),
    })),
  },
  {
    breaks: 'edges: are followed no deeper than the depth',
    how: 'one step is taken always',
    wrap: reaching(as, (options) => ({ ...options, depth: Math.max(1, options.depth) })),
  },
  {
    breaks: 'edges: more nodes than the limit are cut off, and it says so',
    how: 'it does not say so',
    wrap: reaching((found) => ({ ...found, truncated: false })),
  },
  {
    breaks: 'edges: of the roles asked for alone are followed',
    how: 'no role is every role',
    wrap: reaching(as, ({ roles, ...options }) =>
      roles === undefined || roles.length === 0 ? options : { ...options, roles },
    ),
  },
  {
    breaks: 'edges: cycles come to an end',
    how: 'a node that leads to itself comes again',
    wrap: reaching((found, ids) => {
      const back = found.edges.some(({ from, to }) => from === to);
      return back ? { ...found, nodes: [...found.nodes, { id: ids[0] ?? '', depth: 3 }] } : found;
    }),
  },
  {
    breaks: 'edges: are followed from several starts',
    how: 'starts come in the order given',
    wrap: reaching((found, ids) => ({
      ...found,
      nodes: [...ids.map((id) => ({ id, depth: 0 })), ...found.nodes.slice(ids.length)],
    })),
  },
];

/** The records of the other workspaces, too, as if they were of this one. */
function merged(world: ReferenceWorld, workspace: string): ReferenceWorld['state'] {
  const records = new Map<string, StoredRecord>();
  for (const [key, record] of world.state.records) records.set(key, { ...record, workspace });
  return { ...world.state, records };
}

function elsewhere(
  world: ReferenceWorld,
  commit: Commit,
  change: Change,
): StoredRecord | undefined {
  if (change.op === 'emit' || change.op === 'restore') return undefined;
  return [...world.state.records.values()].find(
    ({ workspace, kind, id }) =>
      workspace !== commit.workspace && kind === change.kind && id === change.id,
  );
}

export const brokenIsolation: readonly BrokenStore[] = [
  {
    breaks: "isolation: another workspace's records are not read",
    how: 'count counts those of all workspaces',
    wrap: (store, world) => ({
      count: async (workspace, ...rest) => {
        const before = world.state;
        world.state = merged(world, workspace);
        const counted = store.count(workspace, ...rest);
        world.state = before;
        return await counted;
      },
    }),
  },
  {
    breaks: "isolation: another workspace's history is not read",
    how: 'what has no history here is looked for elsewhere',
    wrap: (store) => ({
      history: async (workspace, kind, id, options) => {
        const entries = await store.history(workspace, kind, id, options);
        return entries.length > 0 ? entries : await store.history('away', kind, id, options);
      },
    }),
  },
  {
    breaks: "isolation: another workspace's records are not changed",
    how: 'adjust goes by the id alone',
    wrap: (store, world) => ({
      commit: (commit) => {
        const [change] = commit.changes;
        const other = change?.op === 'adjust' ? elsewhere(world, commit, change) : undefined;
        return store.commit(
          other === undefined ? commit : { ...commit, workspace: other.workspace },
        );
      },
    }),
  },
  {
    breaks: 'isolation: one id in two workspaces is two records',
    how: 'an id is taken in all workspaces',
    wrap: (store, world) => ({
      commit: async (commit) => {
        const taken = commit.changes.find(
          (change) =>
            change.op === 'create' &&
            change.kind === 'item' &&
            elsewhere(world, commit, change) !== undefined,
        );
        if (taken !== undefined) throw new KeelsonError('CONFLICT', 'The id is taken.');
        return await store.commit(commit);
      },
    }),
  },
  {
    breaks: 'isolation: unique keys are those of a workspace',
    how: 'a key is taken in all workspaces',
    wrap: (store, world) => ({
      commit: async (commit) => {
        const codes = [...world.state.records.values()]
          .filter((record) => record.workspace !== commit.workspace)
          .map((record) => record.columns['code']);
        for (const change of commit.changes) {
          const code = change.op === 'create' ? change.columns['code'] : undefined;
          if (code !== undefined && codes.includes(code))
            throw new KeelsonError('CONFLICT', 'The key is taken.');
        }
        return await store.commit(commit);
      },
    }),
  },
  {
    breaks: "isolation: another workspace's events are not read",
    how: 'readEvents does not look at the workspace',
    wrap: (store) => ({
      readEvents: ({ workspace: _any, ...request }) => store.readEvents(request),
    }),
  },
  {
    breaks: 'isolation: subjects are those of a workspace',
    how: 'a subject is numbered through all workspaces',
    wrap: (store) => ({
      readEvents: async (request) => {
        const page = await store.readEvents(request);
        const number = (event: (typeof page.events)[number]) =>
          event.workspace === 'away' ? event.subjectSequence + 1 : event.subjectSequence;
        return {
          ...page,
          events: page.events.map((one) => ({ ...one, subjectSequence: number(one) })),
        };
      },
    }),
  },
  {
    breaks: 'isolation: ids of events are those of a workspace',
    how: 'an event is known in all workspaces',
    wrap: (store, world) => ({
      commit: async (commit) => {
        const ids = world.state.events.map(({ id }) => id);
        for (const change of commit.changes) {
          if (change.op !== 'emit' || !ids.includes(change.event.id)) continue;
          throw new KeelsonError('CONFLICT', `The event ${change.event.id} was emitted before.`);
        }
        return await store.commit(commit);
      },
    }),
  },
  {
    breaks: "isolation: another workspace's records are not claimed",
    how: 'claim of many does not look at the workspace',
    wrap: claiming(({ workspace, ...request }) =>
      workspace === undefined || request.limit === 10 ? request : { ...request, workspace },
    ),
  },
  {
    breaks: 'isolation: one id in two workspaces is two claims',
    how: 'release goes by the id alone',
    wrap: (store, world) => ({
      release: async (claims) => {
        await store.release(claims);
        for (const { kind, id, owner } of claims) {
          const key = keyOf('away', kind, id);
          if (world.state.claims.get(key)?.owner === owner) world.state.claims.delete(key);
        }
      },
    }),
  },
  {
    breaks: "isolation: another workspace's owners of claims are not named",
    how: 'claimOwners does not look at the workspace',
    wrap: (store) => ({ claimOwners: (kind) => store.claimOwners(kind) }),
  },
  {
    breaks: "isolation: another workspace's edges are not followed",
    how: 'edges are those of all workspaces',
    wrap: (store, world) => ({
      reach: async (workspace, ids, options) => {
        const before = world.state;
        world.state = merged(world, workspace);
        const found = store.reach(workspace, ids, options);
        world.state = before;
        return await found;
      },
    }),
  },
];

const opened = new WeakMap<ReferenceWorld, MetadataStore[]>();

export const brokenLifecycles: readonly BrokenStore[] = [
  {
    breaks: 'lifecycle: after close every method is CLOSED',
    how: 'the clock goes on after close',
    wrap: (_store, world) => ({ now: async () => world.time }),
  },
  {
    breaks: 'lifecycle: close may be called again',
    how: 'a second close is an error',
    wrap: (store) => {
      let closed = false;
      return {
        close: async () => {
          if (closed) throw new KeelsonError('CLOSED', 'The store is closed.');
          closed = true;
          await store.close();
        },
      };
    },
  },
  {
    breaks: 'lifecycle: disposing closes',
    how: 'disposing does nothing',
    wrap: () => ({ [Symbol.asyncDispose]: async () => undefined }),
  },
  {
    breaks: 'lifecycle: close ends the waiting for events',
    how: 'a waiter waits on',
    wrap: (store) => ({
      waitForEvents: async (after, options) => {
        const startedAt = performance.now();
        try {
          return await store.waitForEvents(after, options);
        } catch (error) {
          const left = startedAt + options.timeoutMs - performance.now();
          if (options.signal === undefined && left > 1_000) {
            await new Promise((resolve) => setTimeout(resolve, left));
          }
          throw error;
        }
      },
    }),
  },
  {
    breaks: 'lifecycle: closing one handle leaves the other open',
    how: 'handles close together',
    wrap: (store, world) => {
      const handles = opened.get(world) ?? [];
      opened.set(world, handles);
      handles.push(store);
      return {
        close: async () => void (await Promise.all(handles.map((handle) => handle.close()))),
      };
    },
  },
  {
    breaks: 'lifecycle: the clock is in epoch milliseconds and goes forward',
    how: 'the clock is coarse',
    wrap: (store) => {
      let last = 0;
      return {
        now: async () => {
          const now = await store.now();
          if (now - last !== 10) last = now;
          return last;
        },
      };
    },
  },
  {
    breaks: 'lifecycle: ping answers',
    how: 'ping gives something back',
    wrap: (store) => ({ ping: () => store.ping().then(() => 'pong' as never) }),
  },
];
