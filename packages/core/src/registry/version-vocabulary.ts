import type {
  FilterAttribute,
  FilterScope,
  FilterVocabulary,
  ValueType,
} from '../language/filter-vocabulary.ts';
import { versionKey } from '../language/version-order.ts';
import { lineageFacet, lineageKeys } from './lineage-filter.ts';

const text = (name: string): FilterAttribute => column(name, 'text');
const time = (name: string): FilterAttribute => column(name, 'time');
const number = (name: string): FilterAttribute => column(name, 'number');

const facet = (name: string, holds: ValueType): FilterScope => ({
  in: 'facet',
  facet: name,
  holds,
});
const attributes: FilterScope = { in: 'attributes' };

const version: FilterAttribute = {
  ...text('version'),
  order: {
    selector: { from: 'column', name: 'versionKey' },
    key: versionKey,
    expected: "a semantic version, such as '1.4.0'",
  },
};

const alias: FilterAttribute = {
  selector: { from: 'facet', facet: 'aliases', key: '' },
  holds: 'text',
  keysOf: 'aliases',
};

/**
 * What the words of a search of versions mean, MLflow's among them. `version` is ordered as semantic versions
 * are; `alias = 'champion'` is the same as `aliases.champion = true`; `cause.…` are the free facts of the
 * lineage.
 */
export const versionVocabulary: FilterVocabulary = {
  scopes: {
    metrics: facet('metrics', 'number'),
    metric: facet('metrics', 'number'),
    tags: facet('tags', 'any'),
    tag: facet('tags', 'any'),
    aliases: facet('aliases', 'any'),
    card: facet('card', 'any'),
    validations: facet('validations', 'any'),
    validation: facet('validations', 'any'),
    // Resolved by the search before a store sees it.
    lineage: { ...facet(lineageFacet, 'text'), keys: lineageKeys } as FilterScope,
    cause: { in: 'body', path: ['lineage', 'cause'] },
    attributes,
    attribute: attributes,
    attr: attributes,
  },
  attributes: {
    version,
    alias,
    id: text('id'),
    version_id: text('id'),
    model: text('modelName'),
    name: text('modelName'),
    model_id: text('modelId'),
    number: number('number'),
    version_number: number('number'),
    stage: text('stage'),
    status: text('status'),
    format: text('format'),
    sha256: text('sha256'),
    size_bytes: number('sizeBytes'),
    description: text('description'),
    failure: text('failure'),
    run_id: text('sourceRunId'),
    source_run_id: text('sourceRunId'),
    created_by: text('createdBy'),
    created: time('createdAt'),
    updated: time('updatedAt'),
    deprecated_at: time('deprecatedAt'),
    deprecation: text('deprecation'),
    replacement_id: text('replacementId'),
    deleted_at: time('deletedAt'),
    purged_at: time('purgedAt'),
  },
};

/** What the words of a search of models mean. `versions` is how many were ever registered. */
export const modelVocabulary: FilterVocabulary = {
  scopes: {
    tags: facet('tags', 'any'),
    tag: facet('tags', 'any'),
    // Alias → the id of the version that it points to.
    aliases: { in: 'body', path: ['aliases'] },
    attributes,
    attribute: attributes,
    attr: attributes,
  },
  attributes: {
    id: text('id'),
    model_id: text('id'),
    name: text('name'),
    description: { selector: { from: 'body', path: ['description'] }, holds: 'text' },
    source: text('source'),
    versions: number('lastNumber'),
    latest_version_id: text('latestVersionId'),
    production_version_id: text('productionVersionId'),
    created_by: text('createdBy'),
    created: time('createdAt'),
    updated: time('updatedAt'),
    deleted_at: time('deletedAt'),
  },
};

function column(name: string, holds: ValueType): FilterAttribute {
  return { selector: { from: 'column', name }, holds };
}
