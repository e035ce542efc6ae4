import type {
  FilterAttribute,
  FilterScope,
  FilterVocabulary,
  ValueType,
} from '../language/filter-vocabulary.ts';
import { datasetFacet, datasetKeys } from './dataset-filter.ts';

const text = (name: string): FilterAttribute => column(name, 'text');
const time = (name: string): FilterAttribute => column(name, 'time');
const number = (name: string): FilterAttribute => column(name, 'number');

const status: FilterAttribute = { ...text('status'), aliases: { FINISHED: 'COMPLETED' } };
const artifactUri: FilterAttribute = {
  selector: { from: 'body', path: ['artifactUri'] },
  holds: 'text',
};

// Resolved by the search before a store sees it.
const datasets: FilterScope = {
  in: 'facet',
  facet: datasetFacet,
  holds: 'text',
  keys: datasetKeys,
};

/**
 * What the words of a run search mean: MLflow's names, its aliases included, and our own. `duration` is
 * in milliseconds and missing while a run is running.
 */
export const runVocabulary: FilterVocabulary = {
  scopes: {
    metrics: { in: 'facet', facet: 'metrics', holds: 'number', figures: true },
    metric: { in: 'facet', facet: 'metrics', holds: 'number', figures: true },
    params: { in: 'facet', facet: 'params', holds: 'any' },
    param: { in: 'facet', facet: 'params', holds: 'any' },
    parameters: { in: 'facet', facet: 'params', holds: 'any' },
    parameter: { in: 'facet', facet: 'params', holds: 'any' },
    tags: { in: 'facet', facet: 'tags', holds: 'any' },
    tag: { in: 'facet', facet: 'tags', holds: 'any' },
    datasets,
    dataset: datasets,
    attributes: { in: 'attributes' },
    attribute: { in: 'attributes' },
    attr: { in: 'attributes' },
    run: { in: 'attributes' },
  },
  attributes: {
    status,
    id: text('id'),
    run_id: text('id'),
    'run id': text('id'),
    name: text('name'),
    run_name: text('name'),
    'run name': text('name'),
    'Run name': text('name'),
    'Run Name': text('name'),
    experiment_id: text('experimentId'),
    parent_run_id: text('parentRunId'),
    start_time: time('startedAt'),
    created: time('startedAt'),
    Created: time('startedAt'),
    end_time: time('endedAt'),
    duration: number('durationMs'),
    duration_ms: number('durationMs'),
    user_id: text('userId'),
    source_type: text('sourceType'),
    source_name: text('sourceName'),
    source_version: text('sourceVersion'),
    lifecycle: text('lifecycle'),
    lifecycle_stage: text('lifecycle'),
    artifact_uri: artifactUri,
  },
};

function column(name: string, holds: ValueType): FilterAttribute {
  return { selector: { from: 'column', name }, holds };
}
