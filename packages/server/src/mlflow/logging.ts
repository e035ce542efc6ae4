import type { Services } from '@keelson/core';
import { type Call, type CallContext, call } from './call.ts';
import { double, int64, list, message, needed, pair, set, text } from './encoding.ts';
import { invalid } from './errors.ts';
import { checkBatch, checkKey } from './names.ts';
import { paramText } from './run-wire.ts';
import { ofRun, runOf, setTags } from './runs.ts';

type Pair = Readonly<Record<'key' | 'value', string>>;

interface ModelPoint extends Point {
  readonly model_id: string | undefined;
  readonly dataset_name: string | undefined;
  readonly dataset_digest: string | undefined;
}

interface Point {
  readonly key: string;
  readonly value: number;
  readonly timestamp: number;
  readonly step: number | undefined;
}

const point = message({
  key: needed(text),
  value: needed(double),
  timestamp: needed(int64),
  step: int64,
  ...{ model_id: text, dataset_name: text, dataset_digest: text },
});

/** Logs points; resolves when they are durable. */
async function logPoints(
  { services, runs }: CallContext,
  runId: string,
  points: readonly Point[],
): Promise<void> {
  if (points.length === 0) return;
  const run = await runs.get(services, runId);
  for (const { key, value, timestamp, step = 0 } of points) {
    run.logMetric(key, value, { step, timestamp });
  }
  await run.flush();
}

/** Refuses points of logged models that are not there, before anything is logged. */
async function checkModels({ tracking }: Services, points: readonly ModelPoint[]): Promise<void> {
  const ids = new Set(points.map((each) => each.model_id ?? ''));
  ids.delete('');
  for (const id of ids) await tracking.getLoggedModel(id);
}

/** What a point says of a logged model is said of that too. */
async function logOfModels(
  { tracking }: Services,
  runId: string,
  points: readonly ModelPoint[],
): Promise<void> {
  const named = points.filter((each) => (each.model_id ?? '') !== '');
  for (const [modelId = '', of] of Map.groupBy(named, (each) => each.model_id)) {
    await tracking.updateLoggedModel(modelId, {
      metrics: of.map(({ key, value, timestamp, step = 0, ...dataset }) => ({
        ...{ key, value, timestamp, step, runId },
        ...set({ datasetName: dataset.dataset_name, datasetDigest: dataset.dataset_digest }),
      })),
    });
  }
}

function checkPoint({ key, timestamp }: Point, path: string): void {
  checkKey(key, `${path}${path === '' ? 'key' : '.name'}`);
  if (timestamp >= 0) return;
  const where = path === '' ? 'timestamp' : `${path}.timestamp`;
  throw invalid(
    `Invalid value ${timestamp} for parameter '${where}' supplied: Timestamp must be a nonnegative long (64-bit integer)`,
  );
}

/** Logs params. MLflow's are set once: the same again is fine, another value is not. */
async function logParams(
  { services, runs }: CallContext,
  runId: string,
  params: readonly Pair[],
): Promise<void> {
  if (params.length === 0) return;
  const fresh = await freshParams(services, runId, params);
  if (fresh.length === 0) return;
  const run = await runs.get(services, runId);
  await run.logParams(Object.fromEntries(fresh.map(({ key, value }) => [key, value])));
}

async function freshParams(
  services: Services,
  runId: string,
  params: readonly Pair[],
): Promise<readonly Pair[]> {
  const { params: there } = await runOf(services, runId);
  const before = (key: string): string | undefined =>
    Object.hasOwn(there, key) ? paramText(there[key] ?? null) : undefined;
  const changed = params.filter(({ key, value }) => (before(key) ?? value) !== value);
  if (changed.length > 0) {
    const told = changed.map(
      ({ key, value }) =>
        `{'key': '${key}', 'old_value': '${before(key)}', 'new_value': '${value}'}`,
    );
    throw invalid(
      `Changing param values is not allowed. Params were already logged='[${told.join(', ').slice(0, 2_000)}]' for run ID='${runId}'.`,
    );
  }
  return params.filter(({ key }) => before(key) === undefined);
}

function checkParams(params: readonly Pair[]): void {
  params.forEach(({ key }, i) => {
    checkKey(key, `params[${i}].key`);
  });
  const values = new Map<string, string>();
  for (const { key, value } of params) {
    if (values.has(key)) {
      throw invalid(
        `Duplicate parameter keys have been submitted: ['${key}']. Please ensure the request contains only one param value per param key.`,
      );
    }
    values.set(key, value);
  }
}

/** The calls that log to runs. */
export const loggingCalls: readonly Call[] = [
  call(
    'POST',
    'runs/log-metric',
    ofRun(
      message({
        ...{ run_id: text, run_uuid: text, key: needed(text), value: needed(double) },
        ...{ timestamp: needed(int64), step: int64, model_id: text },
        ...{ dataset_name: text, dataset_digest: text },
      }),
    ),
    async (asked, context) => {
      const { run_id: id, key, value, timestamp, step } = asked;
      checkPoint({ key, value, timestamp, step }, '');
      await checkModels(context.services, [asked]);
      await logPoints(context, id, [{ key, value, timestamp, step }]);
      await logOfModels(context.services, id, [asked]);
      return {};
    },
  ),
  call(
    'POST',
    'runs/log-parameter',
    ofRun(message({ run_id: text, run_uuid: text, key: needed(text), value: text })),
    async ({ run_id: id, key, value = '' }, context) => {
      checkKey(key, 'key');
      await context.runs.get(context.services, id);
      await logParams(context, id, [{ key, value }]);
      return {};
    },
  ),
  call(
    'POST',
    'runs/log-batch',
    ofRun(
      message({
        ...{ run_id: text, run_uuid: text },
        ...{ metrics: list(point), params: list(pair), tags: list(pair) },
      }),
    ),
    async ({ run_id: id, metrics = [], params = [], tags = [] }, context) => {
      checkBatch({ metrics: metrics.length, params: params.length, tags: tags.length });
      metrics.forEach((each, i) => {
        checkPoint(each, `metrics[${i}]`);
      });
      checkParams(params);
      tags.forEach(({ key }, i) => {
        checkKey(key, `tags[${i}].key`);
      });
      await context.runs.get(context.services, id);
      await checkModels(context.services, metrics);
      await logParams(context, id, params);
      await logPoints(context, id, metrics);
      await logOfModels(context.services, id, metrics);
      if (tags.length > 0) await setTags(context.services, id, tags);
      return {};
    },
  ),
];
