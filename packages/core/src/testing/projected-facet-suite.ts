import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { Order, Predicate, Selector, SummaryFigure } from '../contracts/query.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import type { SeriesStore } from '../contracts/series-store.ts';
import { equal } from './assertions.ts';
import { and, asc, between, column, compare, desc, not, present } from './metadata/predicates.ts';
import { home, suiteKinds } from './metadata/scene.ts';
import { ascending, batchOf } from './series/scene.ts';
import type { Case, Suite } from './suite.ts';

/**
 * A metadata store and a series store that share one database. Disposing it closes both and removes what
 * they stored.
 */
export interface ProjectedFacetHarness extends AsyncDisposable {
  /** Opens both, new and empty. Called once. */
  open(kinds: readonly KindDeclaration[]): Promise<{
    readonly metadata: MetadataStore;
    readonly series: Pick<SeriesStore, 'appendPoints'>;
  }>;
}

/** What the cases do with the stores. */
interface Scene {
  readonly metadata: MetadataStore;
  /** Makes measured things. */
  create(...ids: readonly string[]): Promise<void>;
  /** Logs values of a metric of a thing, one a step. */
  log(id: string, key: string, ...values: readonly number[]): Promise<void>;
  /** The same in another workspace. */
  logIn(workspace: string, id: string, key: string, ...values: readonly number[]): Promise<void>;
  /** Holds when exactly these things match, ids joined by blanks. */
  matches(where: Predicate, expected: string): Promise<void>;
  /** Holds when the things come in this order. */
  sorts(orderBy: readonly Order[], expected: string): Promise<void>;
}

function metric(key: string, figure?: SummaryFigure): Selector {
  const selector = { from: 'facet', facet: 'metrics', key } as const;
  return figure === undefined ? selector : { ...selector, figure };
}

function promised(
  name: string,
  promise: string,
  run: (scene: Scene) => Promise<void>,
): Case<ProjectedFacetHarness> {
  return {
    name,
    promise,
    run: async (harness) => run(sceneOf(await harness.open(suiteKinds))),
  };
}

function sceneOf({ metadata, series }: Awaited<ReturnType<ProjectedFacetHarness['open']>>): Scene {
  let batches = 0;
  const found = async (query: {
    where?: Predicate;
    orderBy?: readonly Order[];
  }): Promise<string> => {
    const { records } = await metadata.query(home, 'measured', query);
    return records.map((record) => record.id).join(' ');
  };
  const logIn: Scene['logIn'] = async (workspace, owner, key, ...values) => {
    batches += 1;
    const at = { workspace, owner, key };
    const points = ascending(0, values.length, (step) => values[step] ?? 0);
    await series.appendPoints(
      batchOf(
        'suite',
        batches,
        points.map((point) => [at, ...point]),
      ),
    );
  };
  return {
    metadata,
    create: async (...ids) => {
      const changes = ids.map(
        (id) => ({ op: 'create', kind: 'measured', id, columns: {} }) as const,
      );
      await metadata.commit({ workspace: home, principal: 'tester', changes });
    },
    log: (id, key, ...values) => logIn(home, id, key, ...values),
    logIn,
    matches: async (where, expected) => {
      equal(await found({ where }), expected, `Which match ${JSON.stringify(where)}`);
    },
    sorts: async (orderBy, expected) => {
      equal(await found({ orderBy }), expected, `The order by ${JSON.stringify(orderBy)}`);
    },
  };
}

/**
 * What a MetadataStore promises of facets that are projected, where it shares a database with a
 * SeriesStore: the summaries of a run's metrics are a facet of the record of that id.
 */
export const projectedFacetSuite: Suite<ProjectedFacetHarness> = {
  contract: 'projected facets of MetadataStore',
  cases: [
    promised(
      'projected: the facet holds the last value of each metric',
      'A projected facet that is asked for maps each metric to its last value, NaN and −0 included.',
      async ({ metadata, create, log }) => {
        await create('a', 'b');
        await log('a', 'loss', 3, 2, 0.1);
        await log('a', 'odd', 1, Number.NaN);
        await log('a', '__proto__', -0);
        const facets = ['metrics'];
        const expected = Object.fromEntries([
          ['loss', 0.1],
          ['odd', Number.NaN],
          ['__proto__', -0],
        ]);
        const record = await metadata.find(home, 'measured', 'a', { facets });
        equal(record?.facets['metrics'], expected, 'By find');
        const { records } = await metadata.query(home, 'measured', { facets });
        equal(
          records.map((one) => one.facets['metrics']),
          [expected, {}],
          'By query',
        );
      },
    ),
    promised(
      'projected: a metric compares by its last value',
      'Without a figure, and with `last`, a metric is compared by its last value.',
      async ({ create, log, matches }) => {
        await create('a', 'b', 'c');
        await log('a', 'loss', 9, 1);
        await log('b', 'loss', 1, 9);
        for (const left of [metric('loss'), metric('loss', 'last')]) {
          await matches(compare(left, '<', 5), 'a');
          await matches(compare(left, '=', 9), 'b');
          await matches(between(left, 1, 9), 'a b');
          await matches(and(compare(left, '>', 0), compare(column('id'), '!=', 'a')), 'b');
        }
      },
    ),
    promised(
      'projected: figures of a metric compare',
      'min, max, mean, first and count are figures of all points of a metric.',
      async ({ create, log, matches }) => {
        await create('a', 'b');
        await log('a', 'loss', 4, 1, 7);
        await log('b', 'loss', 2);
        const figures = { min: 1, max: 7, mean: 4, first: 4, count: 3, last: 7 } as const;
        for (const [figure, value] of Object.entries(figures)) {
          await matches(compare(metric('loss', figure as SummaryFigure), '=', value), 'a');
        }
        await matches(compare(metric('loss', 'count'), '<', 2), 'b');
      },
    ),
    promised(
      'projected: a search sees every point that was appended before',
      'Points count from the moment at which their append resolved.',
      async ({ metadata, create, log, matches }) => {
        await create('a');
        for (let value = 1; value <= 5; value += 1) {
          await log('a', `m${value}`, value);
          await matches(compare(metric(`m${value}`), '=', value), 'a');
          const exact = { exact: true };
          const where = compare(metric(`m${value}`, 'count'), '=', 1);
          equal((await metadata.count(home, 'measured', where, exact)).count, 1, 'And is counted');
        }
      },
    ),
    promised(
      'projected: a metric that was not logged is missing',
      'Without points there is no value and no figure; min and max are missing where all points are NaN.',
      async ({ create, log, matches }) => {
        await create('a', 'b');
        await log('a', 'loss', Number.NaN, Number.NaN);
        await matches(present(metric('loss')), 'a');
        await matches(not(present(metric('loss'))), 'b');
        await matches(present(metric('loss', 'count')), 'a');
        for (const figure of ['min', 'max', 'mean'] as const) {
          await matches(present(metric('loss', figure)), '');
        }
        await matches(compare(metric('loss', 'count'), '=', 0), '');
        await matches(not(compare(metric('loss', 'count'), '=', 2)), 'b');
        await matches(compare(metric('else'), '!=', 1), '');
      },
    ),
    promised(
      'projected: NaN and infinities compare as elsewhere',
      'A last value of NaN equals nothing; infinities are ordered.',
      async ({ create, log, matches }) => {
        await create('a', 'b', 'c', 'd');
        await log('a', 'loss', 1, Number.NaN);
        await log('b', 'loss', Number.POSITIVE_INFINITY);
        await log('c', 'loss', Number.NEGATIVE_INFINITY);
        await log('d', 'loss', -0);
        const loss = metric('loss');
        await matches(compare(loss, '>', 1e308), 'b');
        await matches(compare(loss, '=', Number.POSITIVE_INFINITY), 'b');
        await matches(compare(loss, '<', 0), 'c');
        await matches(compare(loss, '=', 0), 'd');
        await matches(compare(loss, '!=', 7), 'b c d');
        await matches(not(compare(loss, '<=', Number.POSITIVE_INFINITY)), 'a');
        await matches(compare(metric('loss', 'max'), '=', 1), 'a');
      },
    ),
    promised(
      'projected: records sort by metrics and their figures',
      'Missing values and NaN come last in both directions, then ids ascend; pages follow.',
      async ({ metadata, create, log, sorts }) => {
        await create('a', 'b', 'c', 'd', 'e', 'f');
        await log('a', 'loss', 9, 3);
        await log('b', 'loss', 1);
        await log('c', 'loss', 0, Number.NaN);
        await log('d', 'loss', 8, 1);
        await log('f', 'loss', Number.NEGATIVE_INFINITY);
        await sorts([asc(metric('loss'))], 'f b d a c e');
        await sorts([desc(metric('loss'))], 'a b d f c e');
        await sorts([desc(metric('loss', 'first'))], 'a d b c f e');
        await sorts([asc(metric('loss', 'max')), desc(column('id'))], 'f c b d a e');
        const orderBy = [desc(metric('loss'))];
        const paged: string[] = [];
        let cursor: string | undefined;
        do {
          const query = { orderBy, limit: 2, ...(cursor === undefined ? {} : { cursor }) };
          const page: Awaited<ReturnType<MetadataStore['query']>> = await metadata.query(
            home,
            'measured',
            query,
          );
          paged.push(...page.records.map((record) => record.id));
          cursor = page.cursor;
        } while (cursor !== undefined && paged.length < 20);
        equal(paged.join(' '), 'a b d f c e', 'In pages of two');
      },
    ),
    promised(
      "projected: another workspace's points are not seen",
      'Points of the same id in another workspace belong to another record.',
      async ({ metadata, create, logIn, matches }) => {
        await create('a');
        await logIn('away', 'a', 'loss', 1);
        await matches(present(metric('loss')), '');
        const record = await metadata.find(home, 'measured', 'a', { facets: ['metrics'] });
        equal(record?.facets['metrics'], {}, 'Nor come along');
      },
    ),
    promised(
      'projected: points may come before their record',
      'Points of an id without a record are no error, and are there when the record is.',
      async ({ create, log, matches }) => {
        await log('late', 'loss', 1);
        await matches(present(metric('loss')), '');
        await create('late');
        await matches(present(metric('loss')), 'late');
      },
    ),
  ],
};
