import type { RunSearch } from '@keelson/core';

/** Joins of what a run has, each under its own name. */
export interface RunJoins {
  metric(key: string): string;
  param(key: string): string;
}

/** A search, and the same in plain SQL over the same tables. */
export interface RunQuery {
  readonly name: string;
  readonly search: RunSearch;
  /** What joins `rec_run r`, what must hold, and the order; `id` breaks ties. */
  readonly sql: (bare: RunJoins) => {
    readonly joins: string;
    readonly where: string;
    readonly orderBy: string;
  };
}

const orders = {
  'by the filtered metric': { text: 'metrics.accuracy DESC', sql: 'accuracy.last DESC' },
  'by another metric': { text: 'metrics.loss ASC', sql: 'loss.last ASC' },
  'by start time': { text: 'start_time DESC', sql: 'r."c_startedAt" DESC' },
} as const;

/**
 * What people search for: runs better than so much under one setting (50, 10, 1 and 0.1 % of all), by the
 * metric itself, by another one, and newest first.
 */
export const realisticQueries: readonly RunQuery[] = [0.5, 0.1, 0.01, 0.001].flatMap((share) =>
  Object.entries(orders).map(([name, order]): RunQuery => {
    // Four runs in five have the setting.
    const least = 1 - share / 0.8;
    return {
      name: `${100 * share} % match, ${name}`,
      search: {
        filter: `metrics.accuracy > ${least} AND params.optimizer = 'adam'`,
        orderBy: [order.text],
      },
      sql: (bare) => ({
        joins: [
          bare.metric('accuracy'),
          bare.param('optimizer'),
          order.sql.startsWith('loss') ? bare.metric('loss') : '',
        ].join(' '),
        where: `accuracy.last > ${least} AND "optimizer".str = 'adam'`,
        orderBy: order.sql,
      }),
    };
  }),
);

/** Three wide conditions that hardly any run fulfils together: no index helps by itself. */
export const adversarialQueries: readonly RunQuery[] = [
  { text: 'start_time DESC', sql: 'r."c_startedAt" DESC', name: 'by start time' },
  { text: 'metrics.a DESC', sql: 'a.last DESC', name: 'by one of the three' },
  { text: 'metrics.loss ASC', sql: 'loss.last ASC', name: 'by another metric' },
].map(({ text, sql, name }) => ({
  name: `three wide, nearly disjoint, ${name}`,
  search: {
    filter: 'metrics.a > 0.6 AND metrics.b > 0.6 AND metrics.c > 0.6',
    orderBy: [text],
  },
  sql: (bare) => ({
    joins: ['a', 'b', 'c', 'loss'].map((key) => bare.metric(key)).join(' '),
    where: 'a.last > 0.6 AND b.last > 0.6 AND c.last > 0.6',
    orderBy: sql,
  }),
}));

const newest = { orderBy: ['start_time DESC'] } as const;
const byStart = 'r."c_startedAt" DESC';

/** Other shapes: text patterns, alternatives, negation, figures that have no index. */
export const otherQueries: readonly RunQuery[] = [
  {
    name: 'newest of the largest experiment',
    search: { experiment: 'experiment-0', ...newest },
    sql: () => ({
      joins: '',
      where: `r."c_experimentId" = '00000000-0000-7000-8000-000000000000'`,
      orderBy: byStart,
    }),
  },
  {
    name: 'pattern in a param, no match',
    search: { filter: `params.p7 LIKE '%none%'`, ...newest },
    sql: (bare) => ({ joins: bare.param('p7'), where: `p7.str GLOB '*none*'`, orderBy: byStart }),
  },
  {
    name: 'pattern in the name',
    search: { filter: `attributes.run_name LIKE '%-77'`, ...newest },
    sql: () => ({ joins: '', where: `r."c_name" GLOB '*-77'`, orderBy: byStart }),
  },
  {
    name: 'either of two wide',
    search: { filter: 'metrics.accuracy > 0.5 OR metrics.loss < 0.5', ...newest },
    sql: (bare) => ({
      joins: bare.metric('accuracy') + bare.metric('loss'),
      where: 'accuracy.last > 0.5 OR loss.last < 0.5',
      orderBy: byStart,
    }),
  },
  {
    name: 'either of two narrow',
    search: { filter: 'metrics.accuracy > 0.999 OR metrics.loss < -0.2', ...newest },
    sql: (bare) => ({
      joins: bare.metric('accuracy') + bare.metric('loss'),
      where: 'accuracy.last > 0.999 OR loss.last < -0.2',
      orderBy: byStart,
    }),
  },
  {
    name: 'negation that leaves nothing',
    search: { filter: 'NOT metrics.accuracy >= 0', ...newest },
    sql: (bare) => ({
      joins: '',
      where: `NOT EXISTS (SELECT 1 ${bare.metric('accuracy').replace('JOIN', 'FROM').replace(' ON ', ' WHERE ')} AND accuracy.last >= 0)`,
      orderBy: byStart,
    }),
  },
  {
    name: 'least value so far, filter and order',
    search: { filter: 'metrics.loss.min < 0.2', orderBy: ['metrics.loss.min ASC'] },
    sql: (bare) => ({
      joins: bare.metric('loss'),
      where: 'loss.min < 0.2',
      orderBy: 'loss.min ASC',
    }),
  },
];
