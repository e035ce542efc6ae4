import type { MetadataStore, Reach } from '../../contracts/metadata-store.ts';
import { equal, ok } from '../assertions.ts';
import type { Case } from '../suite.ts';
import { edge, home, type MetadataStoreHarness, promised, write } from './scene.ts';

interface Options {
  readonly direction?: 'forward' | 'backward';
  readonly depth?: number;
  readonly limit?: number;
  readonly roles?: readonly string[];
}

function reach(
  store: MetadataStore,
  ids: readonly string[],
  options: Options = {},
): Promise<Reach> {
  return store.reach(home, ids, { direction: 'forward', depth: 10, limit: 1_000, ...options });
}

const nodes = (found: Reach): string =>
  found.nodes.map(({ id, depth }) => `${id}${depth}`).join(' ');
const edges = (found: Reach): string =>
  found.edges
    .map(({ from, role, to }) => `${from}-${role}-${to}`)
    .toSorted()
    .join(' ');

/** A data set, two runs, two models, and who used what. */
async function family(store: MetadataStore): Promise<void> {
  await write(
    store,
    edge('data', 'run1', 'used'),
    edge('data', 'run2', 'used'),
    edge('run1', 'model1'),
    edge('run2', 'model2'),
    edge('model1', 'run2', 'started'),
    edge('model2', 'app', 'served'),
    edge('else', 'where'),
  );
}

/** What can be reached over edges. */
export const edgeCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'edges: are followed forward, breadth first',
    'reach gives the start at depth 0, then each node at its least distance, by distance, then id.',
    async ({ store }) => {
      await family(store);
      const found = await reach(store, ['data']);
      equal(nodes(found), 'data0 run11 run21 model12 model22 app3', 'The nodes');
      equal(found.truncated, false, 'Nothing was cut off');
      equal(nodes(await reach(store, ['app'])), 'app0', 'Nothing behind the app');
      equal(nodes(await reach(store, ['unknown'])), 'unknown0', 'The start is there, known or not');
    },
  ),
  promised(
    'edges: are followed backward',
    'Backward, reach follows to → from.',
    async ({ store }) => {
      await family(store);
      const found = await reach(store, ['model2'], { direction: 'backward' });
      equal(nodes(found), 'model20 run21 data2 model12 run13', 'What led to model2');
    },
  ),
  promised(
    'edges: those that were followed come along',
    'The edges are those of every node nearer than the depth.',
    async ({ store }) => {
      await family(store);
      equal(
        edges(await reach(store, ['data'])),
        'data-used-run1 data-used-run2 model1-started-run2 model2-served-app run1-made-model1 run2-made-model2',
        'All that lead on from data',
      );
      equal(
        edges(await reach(store, ['data'], { depth: 1 })),
        'data-used-run1 data-used-run2',
        'Those of data',
      );
      const back = await reach(store, ['run2'], { direction: 'backward', depth: 1 });
      equal(edges(back), 'data-used-run2 model1-started-run2', 'Those that lead to run2');
    },
  ),
  promised(
    'edges: are followed no deeper than the depth',
    'Nodes farther than the depth are left out.',
    async ({ store }) => {
      await family(store);
      equal(
        nodes(await reach(store, ['data'], { depth: 2 })),
        'data0 run11 run21 model12 model22',
        'Two steps',
      );
      equal(nodes(await reach(store, ['data'], { depth: 0 })), 'data0', 'No step');
    },
  ),
  promised(
    'edges: more nodes than the limit are cut off, and it says so',
    'The nodes nearest come, up to the limit; truncated is true.',
    async ({ store }) => {
      await write(
        store,
        ...Array.from({ length: 20 }, (_, i) => edge('hub', `n${String(i).padStart(2, '0')}`)),
      );
      const cut = await reach(store, ['hub'], { limit: 5 });
      equal([cut.nodes.length, cut.truncated], [5, true], 'Five of 21');
      equal(cut.nodes[0], { id: 'hub', depth: 0 }, 'The start first');
      const all = await reach(store, ['hub'], { limit: 21 });
      equal([all.nodes.length, all.truncated], [21, false], 'All 21');
    },
  ),
  promised(
    'edges: of the roles asked for alone are followed',
    'With roles, other edges are as if they were not there.',
    async ({ store }) => {
      await family(store);
      const found = await reach(store, ['data'], { roles: ['used', 'made'] });
      equal(nodes(found), 'data0 run11 run21 model12 model22', 'Neither started nor served');
      equal(nodes(await reach(store, ['data'], { roles: [] })), 'data0', 'No role at all');
    },
  ),
  promised(
    'edges: cycles come to an end',
    'A node is given once, at its least distance, also in cycles.',
    async ({ store }) => {
      await write(
        store,
        edge('a', 'b'),
        edge('b', 'c'),
        edge('c', 'a'),
        edge('a', 'a'),
        edge('a', 'c', 'too'),
      );
      const found = await reach(store, ['a'], { depth: 50 });
      equal(nodes(found), 'a0 b1 c1', 'Each once');
      ok(found.edges.length === 5, 'Every edge once');
    },
  ),
  promised(
    'edges: are followed from several starts',
    'Several starts are all at depth 0, by id; distances are those to the nearest of them.',
    async ({ store }) => {
      await family(store);
      const found = await reach(store, ['run2', 'data']);
      equal(nodes(found), 'data0 run20 model21 run11 app2 model12', 'From both');
    },
  ),
];
