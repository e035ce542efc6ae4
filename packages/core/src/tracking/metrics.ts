import { assertList, assertObject } from '../check-options.ts';
import type { Scope } from '../contracts/scope.ts';
import type { PointColumns, SeriesBucket, SeriesSummary } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import type { RunRecords } from './run-records.ts';

/** Reads metrics: what was durable when the call began. NOT_FOUND for a run that does not exist. */
export interface Metrics {
  /** All points of one metric, columns of equal length, by step, then time, then arrival. */
  getMetricHistory(
    runId: string,
    key: string,
    range?: { readonly fromStep?: number; readonly toStep?: number },
  ): Promise<PointColumns>;
  /** The last value of each metric at exactly this step. */
  getMetricsAt(runId: string, step: number): Promise<Readonly<Record<string, number>>>;
  getMetricSummaries(runId: string): Promise<readonly SeriesSummary[]>;
  /** Those of several runs at once, by their ids; none for a run that has logged none. At most 1,000. */
  getMetricSummariesOf(
    runIds: readonly string[],
  ): Promise<ReadonlyMap<string, readonly SeriesSummary[]>>;
  /** At most `buckets` buckets with exact extremes: what a chart draws. */
  downsampleMetric(
    runId: string,
    key: string,
    options: { readonly buckets: number; readonly fromStep?: number; readonly toStep?: number },
  ): Promise<readonly SeriesBucket[]>;
}

const pagePoints = 1_000_000;
const mostRuns = 1_000;

/** Metrics of runs, bound to a scope. */
export function createMetrics(scope: Scope, records: Pick<RunRecords, 'get'>): Metrics {
  const { series, workspace } = scope;

  /** Nothing found may mean that there is no such run; that is looked up only then. */
  async function orNoRun<T>(runId: string, found: T, size: number): Promise<T> {
    if (size === 0) await records.get(runId);
    return found;
  }

  async function history(
    runId: string,
    key: string,
    range: { readonly fromStep?: number; readonly toStep?: number } = {},
  ): Promise<PointColumns> {
    assertObject(range, 'The range of a history');
    const address = {
      workspace,
      owner: assertText(runId, 'A run id'),
      key: assertText(key, 'A metric key'),
    };
    const pages: PointColumns[] = [];
    for (let offset = 0; ; offset += pagePoints) {
      const page = await series.points(address, { ...range, offset, limit: pagePoints });
      pages.push(page);
      if (page.steps.length < pagePoints) break;
    }
    const all = pages.length === 1 ? (pages[0] as PointColumns) : joined(pages);
    return orNoRun(runId, all, all.steps.length);
  }

  return {
    getMetricHistory: history,

    async getMetricsAt(runId, step) {
      assertStep(step);
      const at: [string, number][] = [];
      const summaries = await series.summaries(workspace, assertText(runId, 'A run id'));
      for (const { key } of summaries) {
        const range = { fromStep: step, toStep: step };
        const { values } = await series.points({ workspace, owner: runId, key }, range);
        const value = values.at(-1);
        if (value !== undefined) at.push([key, value]);
      }
      return orNoRun(runId, Object.fromEntries(at), summaries.length);
    },

    async getMetricSummaries(runId) {
      const summaries = await series.summaries(workspace, assertText(runId, 'A run id'));
      return orNoRun(runId, summaries, summaries.length);
    },

    async getMetricSummariesOf(runIds) {
      const ids = assertList(runIds, 'The runs of summaries').map((id) =>
        assertText(id, 'A run id'),
      );
      if (ids.length > mostRuns) {
        const message = `Summaries are read of ${mostRuns} runs at once, not of ${ids.length}; ask in turns.`;
        throw new KeelsonError('INVALID', message);
      }
      const found = await series.summariesOf(workspace, ids);
      return new Map([...found].map(([id, byKey]) => [id, [...byKey.values()]]));
    },

    async downsampleMetric(runId, key, options) {
      assertObject(options, 'downsampleMetric');
      assertText(key, 'A metric key');
      const address = { workspace, owner: assertText(runId, 'A run id'), key };
      const buckets = await series.downsample(address, options);
      return orNoRun(runId, buckets, buckets.length);
    },
  };
}

function assertStep(step: unknown): void {
  if (Number.isSafeInteger(step)) return;
  const given = typeof step === 'number' ? String(step) : `a ${typeof step}`;
  throw new KeelsonError('INVALID', `A step is a safe integer, not ${given}.`);
}

function joined(pages: readonly PointColumns[]): PointColumns {
  const length = pages.reduce((sum, page) => sum + page.steps.length, 0);
  const all = {
    steps: new Float64Array(length),
    timestamps: new Float64Array(length),
    values: new Float64Array(length),
  };
  let at = 0;
  for (const page of pages) {
    all.steps.set(page.steps, at);
    all.timestamps.set(page.timestamps, at);
    all.values.set(page.values, at);
    at += page.steps.length;
  }
  return all;
}
