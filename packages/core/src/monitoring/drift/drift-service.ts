import { z } from 'zod';
import { assertObject, checkOptions } from '../../check-options.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { draftEvent } from '../../events/draft-event.ts';
import { asJson, assertText, type JsonObject } from '../../json.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { columnIs } from '../../operations/every-record.ts';
import { learnDelay } from '../performance/label-delay.ts';
import { readLabels } from '../performance/labels.ts';
import type { PerformanceTask } from '../performance/measured-rows.ts';
import { rowOf } from '../performance/performance.ts';
import { fairSample } from '../predictions/fair-sample.ts';
import { readPredictions } from '../predictions/stored-predictions.ts';
import {
  beginConcept,
  type ConceptRow,
  type ConceptState,
  conceptAnalysis,
  continueConcept,
} from './concept-analysis.ts';
import { type AnalysisType, analysisFromRecord, type KeptAnalysis } from './kept-analysis.ts';
import { analyseMultivariate, type MultivariateQuery } from './multivariate-analysis.ts';

/** Analyses of how deployments drift, which are kept. */
export interface DriftService {
  /**
   * Analyses a deployment as of `at` and keeps the answer; one that was made for that time or a later one is answered as
   * it is.
   *
   * `CONCEPT`: losses of labelled answers, in the order of their requests, go through the detectors from where the last
   * analysis left them, up to those that are old enough for their labels to be there. Where they are found to have risen,
   * `performance.degraded` says so, once. Labels that come later than that are not looked at any more. Where none has come
   * since the last analysis, that one is answered.
   *
   * `MULTIVARIATE`: whether the features of the requests from `from` on and before `at` vary together as those of the
   * reference, by what principal components lose of them. The reference is given once, and kept. NOT_FOUND before that.
   */
  analyseDrift(deploymentId: string, options: AnalyseDriftOptions): Promise<KeptAnalysis>;
  /** Newest first. */
  listDriftAnalyses(
    deploymentId: string,
    options?: { readonly type?: AnalysisType; readonly limit?: number },
  ): Promise<readonly KeptAnalysis[]>;
}

/** What is analysed, and as of when. */
export interface AnalyseDriftOptions {
  readonly type: AnalysisType;
  readonly at: number;
  /**
   * From when on: of the first analysis of `CONCEPT`, 30 days before `at` when left out; of `MULTIVARIATE`, a day before.
   */
  readonly from?: number;
  /** The answers of this version, shadows too; what callers got when left out. */
  readonly versionId?: string;
  /** Of `MULTIVARIATE`: rows or columns of features, or the period whose requests are meant; what was given before when left out. */
  readonly reference?: MultivariateQuery['reference'];
  /** Whether answers are classes or numbers; by the rows of the first analysis when left out. */
  readonly task?: PerformanceTask;
  /** Answers that are younger are left for the next analysis; learnt from the delays of labels when left out. */
  readonly labelLagMs?: number;
}

/** What drift needs besides a scope. */
export interface DriftParts {
  /** Makes what this process has recorded readable. */
  flush(): Promise<void>;
  /** Labels later than this after their request are not joined. */
  readonly maxDelayMs: number;
}

const dayMs = 86_400_000;

const optionsShape = z.strictObject({
  type: z.enum(['CONCEPT', 'MULTIVARIATE']),
  at: z.number(),
  from: z.number().optional(),
  versionId: z.string().min(1).optional(),
  reference: z
    .custom<AnalyseDriftOptions['reference']>(
      (value) => typeof value === 'object' && value !== null,
      'must be rows, columns or { from, to }',
    )
    .optional(),
  task: z.enum(['classification', 'regression']).optional(),
  labelLagMs: z.number().min(0).optional(),
} satisfies Record<keyof AnalyseDriftOptions, z.ZodType>);

/** {@link DriftService} of a scope. */
export function createDrift(scope: Scope, parts: DriftParts): DriftService {
  const { metadata, workspace } = scope;

  async function latest(
    deploymentId: string,
    type: AnalysisType,
    versionId: string | undefined,
    limit = 1,
  ): Promise<readonly KeptAnalysis[]> {
    const { records } = await metadata.query(workspace, 'drift_analysis', {
      where: columnIs('seriesKey', seriesKey(deploymentId, type, versionId)),
      orderBy: [{ by: { from: 'column', name: 'at' }, direction: 'desc' }],
      limit,
    });
    return records.map(analysisFromRecord);
  }

  async function analyseConcept(
    deploymentId: string,
    options: AnalyseDriftOptions,
  ): Promise<KeptAnalysis> {
    const { at, versionId } = options;
    return decideAndCommit(scope, async () => {
      const [last] = await latest(deploymentId, 'CONCEPT', versionId);
      const made = await madeFor(last, at);
      if (made !== undefined) return { changes: [], result: made };
      const id = watchId(deploymentId, versionId);
      const record = await metadata.find(workspace, 'loss_watch', id);
      const from = record === undefined ? (options.from ?? at - 30 * dayMs) : throughOf(record);
      const lagMs = options.labelLagMs ?? (await learnDelay(scope, deploymentId, at))?.p95Ms ?? 0;
      const to = Math.max(from, at - lagMs);
      const before = record === undefined ? beginConcept() : stateOf(record);
      const rows = await labelledRows(deploymentId, versionId, { from, to, at });
      // Nothing new is known: what is asked for every quarter of an hour must not fill the store.
      if (rows.length === 0 && last !== undefined) {
        // Another process may have been first, between the two reads.
        const [newest = last] = await latest(deploymentId, 'CONCEPT', versionId);
        return { changes: [], result: (await madeFor(newest, at)) ?? newest };
      }
      const state = continueConcept(before, rows, options.task);
      const found = conceptAnalysis(state);
      const analysis: KeptAnalysis = {
        id: scope.ids.next(),
        ...{ deploymentId, type: 'CONCEPT', at, from, to },
        ...(versionId === undefined ? {} : { versionId }),
        ...found,
      };
      const isNew = found.detected && last?.detected !== true;
      const told = isNew ? [await degraded(analysis, state)] : [];
      return {
        changes: [...keepState(record, id, analysis, state), ...keep(analysis), ...told],
        result: analysis,
      };
    });
  }

  async function analyseTogether(
    deploymentId: string,
    options: AnalyseDriftOptions,
  ): Promise<KeptAnalysis> {
    const { at, versionId, from = at - dayMs, reference } = options;
    return decideAndCommit(scope, async () => {
      const [last] = await latest(deploymentId, 'MULTIVARIATE', versionId);
      const made = await madeFor(last, at);
      if (made !== undefined) return { changes: [], result: made };
      const query = { deploymentId, versionId, from, to: at, reference };
      const { found, changes } = await analyseMultivariate(scope, query);
      const analysis: KeptAnalysis = {
        id: scope.ids.next(),
        ...{ deploymentId, type: 'MULTIVARIATE', at, from, to: at },
        ...found,
      };
      return { changes: [...changes, ...keep(analysis)], result: analysis };
    });
  }

  /** The analysis of that time, or the first one later; undefined where there is none yet. */
  async function madeFor(
    last: KeptAnalysis | undefined,
    at: number,
  ): Promise<KeptAnalysis | undefined> {
    if (last === undefined || at > last.at) return undefined;
    if (last.at === at) return last;
    const all = await latest(last.deploymentId, last.type, last.versionId, 1000);
    return all.findLast((each) => each.at >= at) ?? last;
  }

  async function labelledRows(
    deploymentId: string,
    versionId: string | undefined,
    range: { readonly from: number; readonly to: number; readonly at: number },
  ): Promise<readonly ConceptRow[]> {
    const { from, to, at } = range;
    if (to <= from) return [];
    const labels = await readLabels(scope, deploymentId, { from, to: at + 1 });
    // Of most deployments nobody knows the truth, and their rows are many.
    if (labels.size === 0) return [];
    const predictions = await readPredictions(scope, deploymentId, { from, to });
    // Errors that are always kept would look like a loss that is higher than it is. Of the sample each is as likely.
    const chance = predictions.reduce((least, { rate = 1 }) => Math.min(least, rate), 1);
    return fairSample(predictions).flatMap((prediction): ConceptRow[] => {
      const { role, requestId } = prediction;
      const isWanted =
        versionId === undefined ? role === 'primary' : prediction.versionId === versionId;
      const told = isWanted ? labels.get(requestId) : undefined;
      if (told === undefined || told.observedAt > prediction.at + parts.maxDelayMs) return [];
      const row = { ...rowOf(prediction, told.value), weight: 1 / chance };
      return [{ at: prediction.at, requestId, row }];
    });
  }

  async function degraded(analysis: KeptAnalysis, { task }: ConceptState): Promise<Change> {
    const { deploymentId, severity, versionId, driftKind, since, id, details } = analysis;
    const deployment = await metadata.find(workspace, 'deployment', deploymentId);
    const name = (deployment?.columns['name'] as string | undefined) ?? deploymentId;
    const mean = (of: string): number => Number((details[of] as JsonObject | null)?.['mean'] ?? 0);
    const event = draftEvent(scope, {
      type: 'performance.degraded',
      subject: `deployment:${name}`,
      source: 'monitoring',
      payload: {
        ...{ deployment: name, deploymentId, analysisId: id },
        metric: task === 'regression' ? 'mean_absolute_error' : 'error_rate',
        currentValue: mean('current'),
        baselineValue: mean('reference'),
        severity: severity === 'HIGH' || severity === 'CRITICAL' ? 'CRITICAL' : 'WARNING',
        ...(versionId === undefined ? {} : { versionId }),
        ...(driftKind === undefined ? {} : { driftKind }),
        ...(since === undefined ? {} : { since }),
      },
    });
    return { op: 'emit', event };
  }

  return {
    async analyseDrift(deploymentId, options) {
      assertText(deploymentId, 'A deployment id');
      checkOptions(optionsShape, options, 'monitoring.analyseDrift');
      await parts.flush();
      const analyse = () =>
        options.type === 'CONCEPT'
          ? analyseConcept(deploymentId, options)
          : analyseTogether(deploymentId, options);
      try {
        return await analyse();
      } catch (error) {
        if (!isKeelsonError(error, 'CONFLICT')) throw error;
        // Another process was first: now there is something to go on from.
        return analyse();
      }
    },

    async listDriftAnalyses(deploymentId, options = {}) {
      assertText(deploymentId, 'A deployment id');
      const { type, limit = 100 } = assertObject(options, 'monitoring.listDriftAnalyses');
      const { records } = await metadata.query(workspace, 'drift_analysis', {
        where: {
          op: 'and',
          of: [
            columnIs('deploymentId', deploymentId),
            ...(type === undefined ? [] : [columnIs('type', type)]),
          ],
        },
        orderBy: [{ by: { from: 'column', name: 'at' }, direction: 'desc' }],
        limit: Math.min(1000, limit),
      });
      return records.map(analysisFromRecord);
    },
  };
}

function seriesKey(
  deploymentId: string,
  type: AnalysisType,
  versionId: string | undefined,
): string {
  return `${deploymentId}:${type}:${versionId ?? ''}`;
}

function watchId(deploymentId: string, versionId: string | undefined): string {
  return versionId === undefined ? deploymentId : `${deploymentId}:${versionId}`;
}

function throughOf({ columns }: StoredRecord): number {
  return columns['through'] as number;
}

function stateOf({ body }: StoredRecord): ConceptState {
  return (body as unknown as { readonly state: ConceptState }).state;
}

function keep(analysis: KeptAnalysis): readonly Change[] {
  const { id, deploymentId, type, at, versionId, detected, severity, ...rest } = analysis;
  return [
    {
      op: 'create',
      kind: 'drift_analysis',
      id,
      columns: {
        ...{ deploymentId, type, at, detected },
        seriesKey: seriesKey(deploymentId, type, versionId),
      },
      body: asJson({
        ...rest,
        ...(versionId === undefined ? {} : { versionId }),
        detected,
        severity,
      }) as JsonObject,
    },
  ];
}

function keepState(
  record: StoredRecord | undefined,
  id: string,
  { deploymentId, to }: KeptAnalysis,
  state: ConceptState,
): readonly Change[] {
  const body = asJson({ state }) as JsonObject;
  if (record === undefined) {
    const columns = { deploymentId, through: to };
    return [{ op: 'create', kind: 'loss_watch', id, columns, body }];
  }
  const expect = record.revision;
  return [{ op: 'replace', kind: 'loss_watch', id, expect, columns: { through: to }, body }];
}
