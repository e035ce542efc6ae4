import { describe, expect, test } from 'vitest';
import { runKind } from '../contracts/kinds/tracking-kinds.ts';
import { checkPredicate } from '../language/check-predicate.ts';
import { evaluatePredicate } from '../language/evaluate-predicate.ts';
import { parseFilter, parseOrder } from '../language/parse-filter.ts';
import { runVocabulary } from './run-vocabulary.ts';

const record = {
  id: '0198c1f0-0000-7000-8000-000000000001',
  columns: {
    experimentId: 'e1',
    name: "it's a run",
    status: 'COMPLETED',
    startedAt: Date.UTC(2026, 10, 20, 12),
    endedAt: Date.UTC(2026, 10, 20, 12, 30),
    durationMs: 1_800_000,
    sourceType: 'SCRIPT',
    userId: 'ada',
    lifecycle: 'active',
  },
  body: {},
  facets: {
    metrics: { val_accuracy: 0.93, loss: 0.2, 'val/f1': 0.8, 'cross-entropy': 0.7, min: 5 },
    params: { 'optimizer.learning_rate': 0.01, 'model.type': 'mlp', epochs: '10', 'a b': 'x' },
    tags: { team: 'vision', 'mlflow.runName': 'r' },
  },
  figures: { metrics: { loss: { min: 0.1, max: 2, mean: 0.5, first: 2, count: 100 } } },
};

function holds(filter: string): boolean {
  const predicate = parseFilter(filter, runVocabulary);
  if (predicate === undefined) return true;
  checkPredicate(runKind, predicate);
  return evaluatePredicate(predicate, record);
}

describe('runVocabulary', () => {
  test.each([
    // The filter of the specification, as written.
    "metrics.val_accuracy > 0.9 AND params.optimizer.learning_rate BETWEEN 0.001 AND 0.1 AND (tags.team = 'vision' OR attributes.status IN ('COMPLETED','FAILED')) AND NOT params.model.type LIKE 'cnn%' AND attributes.duration < 3600000",
    "status = 'FINISHED' AND duration_ms < 3600000",
    // As MLflow's users write them.
    "attributes.status = 'FINISHED' and attr.run_name = \"it's a run\"",
    "run.status IN ('FINISHED', 'RUNNING')",
    'metrics.`cross-entropy` < 0.8 and metrics.cross-entropy < 0.8',
    'metric."val/f1" >= 0.8 AND metrics.val/f1 >= 0.8',
    "params.epochs = '10' AND param.epochs >= '9' AND parameters.epochs = 10",
    "parameter.`a b` = 'x' AND tag.mlflow.runName ILIKE 'R'",
    "attributes.start_time > 1700000000000 AND start_time >= '2026-11-20' AND end_time < '2026-11-20T12:30:01Z'",
    "run_id = '0198c1f0-0000-7000-8000-000000000001' AND run_id IN ('0198c1f0-0000-7000-8000-000000000001')",
    "attributes.\"Run Name\" LIKE 'it''s%' AND `run name` LIKE '%run'",
    'tags.nothing IS NULL AND params.epochs IS NOT NULL',
    "user_id != 'bob' AND tags.team NOT IN ('nlp') AND tags.team NOT LIKE 'n%'",
    'metrics.loss.min < 0.2 AND metrics.loss.max = 2 AND metrics.loss.count > 99 AND metrics.loss.last = 0.2',
    'metrics.min = 5 AND metrics.loss.first = 2',
    "NOT tags.nothing = 'x'",
    'artifact_uri IS NULL',
    '',
    '  \n ',
  ])('%s', (filter) => {
    expect(holds(filter)).toBe(true);
  });

  test.each([
    "status != 'FINISHED'",
    "status NOT IN ('FINISHED')",
    "tags.nothing != 'x'",
    "tags.nothing NOT IN ('x')",
    "tags.nothing NOT LIKE 'x'",
    'metrics.nothing NOT BETWEEN 1 AND 2',
    'params.model.type > 5',
    "start_time < '2026-11-20T11:59:59.999+00:00'",
    "parent_run_id = ''",
  ])('not: %s', (filter) => {
    expect(holds(filter)).toBe(false);
  });

  // What MLflow's pages show, as they are written there.
  test.each([
    'metrics.accuracy > 0.72',
    'metrics."cross-entropy-loss" <= 0.5',
    'metrics.`model type` = 1 AND metrics.`loss` IS NULL',
    'params."model" = "LogisticRegression" and params.lambda = "0.001" and metrics.error <= 0.05',
    'params.batch_size = "2" AND params.model LIKE "GPT%" AND params.model ILIKE "gPt%"',
    'tags."environment" = "notebook" AND tags.task ILIKE "reg%"',
    'tags.`mlflow.parentRunId` = "a1b2" and tags."mlflow.source.type" != "JOB"',
    'datasets.name LIKE "custom" and dataset.digest = "s8ds293b" and datasets.context = "train"',
    'attributes.status = "ACTIVE" AND attributes.user_id = "user1"',
    'attributes.run_name = "my-run" and attributes.run_id NOT IN ("a1b2c3d4", "e5f6g7h8")',
    'attributes.start_time > 1664067852747 AND attributes.end_time <= 1664067852747',
    "attributes.artifact_uri LIKE '%models%' AND attribute.lifecycle_stage = 'active'",
    'created > 1664067852747 AND run_name != ""',
  ])('is read: %s', (filter) => {
    expect(parseFilter(filter, runVocabulary)).toBeDefined();
  });

  test('a metric compares with numbers only', () => {
    expect(holds("metrics.loss = '0.2'")).toBe(true);
    expect(() => holds("metrics.loss = 'low'")).toThrow('a number is expected, not "\'"');
  });

  test('orders', () => {
    expect(parseOrder('metrics.loss DESC', runVocabulary)).toEqual({
      by: { from: 'facet', facet: 'metrics', key: 'loss' },
      direction: 'desc',
    });
    expect(parseOrder('attributes.start_time', runVocabulary)).toEqual({
      by: { from: 'column', name: 'startedAt' },
      direction: 'asc',
    });
    expect(parseOrder(' metrics.`a b`.max asc ', runVocabulary)).toEqual({
      by: { from: 'facet', facet: 'metrics', key: 'a b', figure: 'max' },
      direction: 'asc',
    });
  });

  test('an unknown attribute names those that there are', () => {
    expect(() => holds("statuss = 'x'")).toThrow('one of the attributes (status, id, run_id');
    expect(() => holds('metrcs.loss > 1')).toThrow('metrics., metric., params.');
  });

  test('every attribute is a place that runs have', () => {
    for (const [name, { selector }] of Object.entries(runVocabulary.attributes)) {
      expect(() => checkPredicate(runKind, { op: 'present', left: selector }), name).not.toThrow();
    }
  });
});
