import type { MetadataStore, Order, Predicate, Selector } from '@keelson/core';
import { runFilter, runOrder } from '../../core/test/run-language.ts';

/** Where the many runs are. */
export const workspace = 'default';

const column = (name: string): Selector => ({ from: 'column', name });

export function runId(n: number): string {
  return `01990000-0000-7000-8000-${String(n).padStart(12, '0')}`;
}

function experimentId(n: number): string {
  return `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
}

function searchOf(asked: {
  readonly where?: Predicate;
  readonly orderBy?: readonly Order[];
}): (store: MetadataStore) => Promise<unknown> {
  return async (store) => {
    const page = { ...asked, limit: 20, facets: ['params', 'tags'] };
    const { cursor } = await store.query(workspace, 'run', page);
    if (cursor !== undefined) await store.query(workspace, 'run', { ...page, cursor });
  };
}

/** A search of live runs as the filter language has it, its second page, and its total. */
function search(filter: string, orderBy: string): (store: MetadataStore) => Promise<unknown> {
  const live: Predicate = { op: 'compare', left: column('lifecycle'), cmp: '=', value: 'active' };
  const asked = runFilter(filter);
  const where: Predicate = { op: 'and', of: asked === undefined ? [live] : [live, asked] };
  return async (store) => {
    await searchOf({ where, orderBy: [runOrder(orderBy)] })(store);
    await store.count(workspace, 'run', where);
  };
}

/** Searches of runs, as they are stored by `storeManyRuns`, that are to be answered through indexes. */
export const searchActs: Readonly<Record<string, (store: MetadataStore) => Promise<unknown>>> = {
  'find by id': (store) => store.findMany(workspace, 'run', [runId(1), runId(77), 'none']),
  'search by a metric': search('metrics.accuracy > 0.5', 'metrics.accuracy DESC'),
  'search by a metric and a param': search(
    `metrics.accuracy > 0.99 AND params.optimizer = 'adam'`,
    'metrics.loss ASC',
  ),
  'search of few': search('metrics.accuracy > 0.9995', 'start_time DESC'),
  'search of none': search('metrics.accuracy > 2', 'start_time DESC'),
  'three wide, nearly disjoint': search(
    'metrics.a > 0.6 AND metrics.b > 0.6 AND metrics.c > 0.6',
    'start_time DESC',
  ),
  'three wide, by another metric': search(
    'metrics.a > 0.6 AND metrics.b > 0.6 AND metrics.c > 0.6',
    'metrics.loss ASC',
  ),
  'by a figure that has no index of its own': search(
    'metrics.loss.min < 0.2',
    'metrics.loss.min ASC',
  ),
  'either of two': search('metrics.accuracy > 0.999 OR metrics.loss < -0.1', 'start_time DESC'),
  'a number among params': search('params.layers >= 7', 'params.layers DESC'),
  'a text among params': search(`params.p3 = 'value-7'`, 'start_time DESC'),
  'a tag of all experiments': search(
    `tags.tag-1 = 'value-3'`.replace('tag-1', '"tag-1"'),
    'start_time DESC',
  ),
  'an experiment, newest first': searchOf({
    where: { op: 'compare', left: column('experimentId'), cmp: '=', value: experimentId(3) },
    orderBy: [{ by: column('startedAt'), direction: 'desc' }],
  }),
  'children of a run': searchOf({
    where: { op: 'compare', left: column('parentRunId'), cmp: '=', value: runId(3) },
  }),
  'failed runs, newest first': searchOf({
    where: { op: 'compare', left: column('status'), cmp: '=', value: 'FAILED' },
    orderBy: [{ by: column('startedAt'), direction: 'desc' }],
  }),
  'all, by id': searchOf({}),
  'the least of a metric': search('metrics.accuracy <= 0.01', 'metrics.accuracy ASC'),
  'a metric of one experiment': search('metrics."own-3" > 0.9', 'metrics."own-3" DESC'),
  'a metric and a tag, by a param': search(
    `metrics.loss < 0.5 AND tags."tag-1" = 'value-3'`,
    'params.layers ASC',
  ),
  'by figures of two metrics': search(
    'metrics.loss.max > 0.9 AND metrics.accuracy.min < 0.1',
    'metrics.accuracy.max DESC',
  ),
  'without a metric, or with little of it': search(
    'NOT metrics.accuracy > 0.01',
    'metrics.val_loss DESC',
  ),
};
