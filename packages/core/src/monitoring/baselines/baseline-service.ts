import { z } from 'zod';
import { assertObject, checkOptions } from '../../check-options.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { assertText } from '../../json.ts';
import { assertAllowed } from '../../operations/decide-and-commit.ts';
import { columnNames, type DataTable } from '../data-columns.ts';
import { watchedName } from '../watching/watched-id.ts';
import { type Baseline, type BaselineOptions, baselineOf } from './baseline.ts';
import type { Baselines, NewBaseline } from './baselines.ts';
import { type DatasetRows, rowsOfArtifact, trainingRows } from './dataset-rows.ts';
import { type Season, seasons } from './season.ts';
import { seasonsOfRows } from './seasonal-counts.ts';
import { segmentsOfRows } from './segment-counts.ts';
import type { BaselineSource, StoredBaseline } from './stored-baseline.ts';
import {
  baselineOfCounts,
  baselineOfRows,
  minimumPredictions,
  predictedRows,
} from './window-baseline.ts';

/** What a version's data is compared with from now on. */
export interface SetBaselineOptions extends BaselineOptions {
  readonly deployment: { readonly id: string; readonly name: string };
  readonly versionId: string;
  /**
   * Rows or columns, such as the training data; a baseline that was made elsewhere; an artifact with a table; or
   * `training`: the training data of the version, by its lineage.
   */
  readonly reference: DataTable | Baseline | { readonly artifactId: string } | 'training';
  /** Counts apart for times that come again, by the column `time` of the reference (epoch ms, `Date` or ISO text). */
  readonly seasons?: { readonly by: Season; readonly time: string };
  /** Counts apart for the most frequent values of a column, as `monitoring.setUp` has it by `segmentBy`. */
  readonly segment?: string;
  readonly reason?: string;
}

/** A baseline out of what was predicted. */
export interface UpdateBaselineOptions {
  /** Epoch ms; whole minutes. */
  readonly from: number;
  readonly to: number;
  readonly reason: string;
  /** The version that most requests go to when left out. */
  readonly versionId?: string;
  /** Counts apart for times that come again; as the baseline before when left out. */
  readonly seasons?: Season;
  /** As the baseline before when left out. */
  readonly importances?: Readonly<Record<string, number>>;
  /**
   * `kept` (the default where there is a baseline): all predictions, in the bins of the baseline before. `new`: bins of
   * their own, of the rows in the prediction log.
   */
  readonly bins?: 'kept' | 'new';
}

/** What data was like, to compare with. */
export interface BaselineService {
  /**
   * What a version's features and answers are compared with from now on; its predictions are counted in the bins of it,
   * within about ten seconds in every process that serves it. INVALID where nothing in it can be watched, or too much;
   * NOT_FOUND for an artifact that is not there, and a version whose training data is unknown.
   */
  setBaseline(options: SetBaselineOptions): Promise<StoredBaseline>;
  /**
   * A new baseline out of what was predicted in a while. INVALID for fewer than 500 predictions. The one before stays
   * readable, with what was counted in its bins.
   */
  updateBaseline(deploymentId: string, options: UpdateBaselineOptions): Promise<StoredBaseline>;
  /**
   * The one in force: of a version; when left out of the one that most requests go to, else of the one whose baseline was
   * set last. NOT_FOUND where there is none.
   */
  getBaseline(
    deploymentId: string,
    options?: { readonly versionId?: string },
  ): Promise<StoredBaseline>;
  /** Newest first, those that are no longer in force too; 100 at most. */
  listBaselines(deploymentId: string): Promise<readonly StoredBaseline[]>;
}

/** What is stored has a smaller sample than a baseline that is used at once. */
export const storedSample = 200;

const setShape = z.looseObject({
  deployment: z.looseObject({ id: z.string().min(1), name: z.string().min(1) }),
  versionId: z.string().min(1),
  seasons: z.strictObject({ by: z.enum(seasons), time: z.string().min(1) }).optional(),
  segment: z.string().min(1).optional(),
  reason: z.string().optional(),
});
const updateShape = z.strictObject({
  from: z.number(),
  to: z.number(),
  reason: z.string().min(1),
  versionId: z.string().min(1).optional(),
  seasons: z.enum(seasons).optional(),
  importances: z.record(z.string(), z.number().min(0)).optional(),
  bins: z.enum(['kept', 'new']).optional(),
} satisfies Record<keyof UpdateBaselineOptions, z.ZodType>);

/** {@link BaselineService} of a scope; `flush` stores what this process has predicted. */
export function createBaselineService(
  scope: Scope,
  baselines: Baselines,
  flush: () => Promise<void>,
): BaselineService & {
  /** As `setBaseline`, but that one which is equal and in force stays. */
  keepBaseline(options: SetBaselineOptions): Promise<StoredBaseline>;
} {
  async function made(given: SetBaselineOptions): Promise<NewBaseline> {
    const { deployment, versionId, reference, reason, seasons: seasonal, ...rest } = checked(given);
    const { segment, ...how } = rest;
    await assertAllowed(scope, 'monitor.manage', `deployment:${deployment.name}`);
    const of = { deployment, versionId, reason };
    if (isBaseline(reference)) {
      return { ...of, baseline: reference, source: { kind: 'rows' } };
    }
    const { rows, features, source } = await rowsOf(scope, reference, versionId);
    const columns = how.columns ?? features;
    const { time } = seasonal ?? {};
    const except = [...(how.except ?? []), ...(time === undefined ? [] : [time])];
    const baseline = baselineOf(rows, {
      ...{ sample: storedSample, ...how, except },
      ...(columns === undefined ? {} : { columns }),
    });
    const timed =
      seasonal === undefined ? baseline : withSeasons(baseline, rows, seasonal, how.prediction);
    const whole =
      segment === undefined ? timed : withSegments(timed, rows, segment, how.prediction);
    return { ...of, baseline: whole, source };
  }

  async function updateBaseline(
    deploymentId: string,
    options: UpdateBaselineOptions,
  ): Promise<StoredBaseline> {
    assertText(deploymentId, 'A deployment id');
    checkOptions(updateShape, options, 'monitoring.updateBaseline');
    const { from, to, reason } = options;
    await flush();
    const before = await baselines.find(deploymentId, options.versionId);
    const name = before?.deployment ?? (await nameOf(deploymentId));
    const versionId = options.versionId ?? before?.versionId;
    if (versionId === undefined) {
      throw new KeelsonError(
        'INVALID',
        `Deployment ${deploymentId} has no baseline yet; name the version (versionId) whose predictions are to be one.`,
      );
    }
    const deployment = { id: deploymentId, name };
    await assertAllowed(scope, 'monitor.manage', `deployment:${deployment.name}`);
    const how = {
      sample: storedSample,
      seasons: options.seasons ?? before?.baseline.seasons?.by,
      importances: options.importances ?? before?.baseline.importances,
    };
    const of = { deployment, versionId, reason };
    if (before !== undefined && options.bins !== 'new') {
      const baseline = await baselineOfCounts(scope, before, { from, to }, how);
      if (baseline !== undefined && baseline.rows >= minimumPredictions)
        return baselines.put({
          ...of,
          baseline,
          source: { kind: 'window', from, to, of: 'counts' },
        });
      if (options.bins === 'kept') throw tooFew(deployment.name, baseline?.rows ?? 0, 'counted');
    }
    const found = await predictedRows(scope, deploymentId, versionId, { from, to });
    if (found.seen < minimumPredictions) throw tooFew(deployment.name, found.seen, 'logged');
    const baseline = baselineOfRows(found, how);
    return baselines.put({ ...of, baseline, source: { kind: 'window', from, to, of: 'rows' } });
  }

  async function nameOf(deploymentId: string): Promise<string> {
    const watched = watchedName(deploymentId);
    if (watched !== undefined) return watched;
    const record = await scope.metadata.find(scope.workspace, 'deployment', deploymentId);
    if (record !== undefined) return String(record.columns['name']);
    throw new KeelsonError('NOT_FOUND', `There is no deployment ${deploymentId}.`);
  }

  return {
    setBaseline: async (options) => baselines.put(await made(options)),
    keepBaseline: async (options) => baselines.put({ ...(await made(options)), keep: 'same' }),
    updateBaseline,

    async getBaseline(deploymentId, options = {}) {
      assertText(deploymentId, 'A deployment id');
      const { versionId } = assertObject(options, 'monitoring.getBaseline');
      const found = await baselines.find(deploymentId, versionId);
      if (found !== undefined) return found;
      const which = versionId === undefined ? '' : ` for version ${versionId}`;
      throw new KeelsonError(
        'NOT_FOUND',
        `Deployment ${deploymentId} has no baseline${which}; give it one with monitoring.setBaseline.`,
      );
    },

    async listBaselines(deploymentId) {
      assertText(deploymentId, 'A deployment id');
      return baselines.list(deploymentId);
    },
  };
}

function tooFew(name: string, count: number, how: string): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `${count} predictions of ${name} were ${how} in that time, and a baseline needs ${minimumPredictions}; name a longer one.`,
  );
}

async function rowsOf(
  scope: Scope,
  reference: Exclude<SetBaselineOptions['reference'], Baseline>,
  versionId: string,
): Promise<{
  readonly rows: DataTable;
  readonly features?: readonly string[] | undefined;
  readonly source: BaselineSource;
}> {
  if (reference === 'training') {
    const found: DatasetRows | undefined = await trainingRows(scope, versionId);
    if (found === undefined) {
      throw new KeelsonError(
        'NOT_FOUND',
        `The training data of version ${versionId} is unknown: log it as an artifact of type DATASET of its run, or give the rows.`,
      );
    }
    const { rows, features, artifactId } = found;
    return { rows, features, source: { kind: 'training', artifactId } };
  }
  const { artifactId } = reference as { readonly artifactId?: unknown };
  if (Array.isArray(reference) || typeof artifactId !== 'string')
    return { rows: reference as DataTable, source: { kind: 'rows' } };
  const rows = await rowsOfArtifact(scope, artifactId);
  return { rows, source: { kind: 'artifact', artifactId } };
}

function withSeasons(
  baseline: Baseline,
  table: DataTable,
  { by, time }: { readonly by: Season; readonly time: string },
  prediction: string | undefined,
): Baseline {
  const rows = rowsWith(table, time, prediction).map((row) => ({
    ...row,
    at: timeOf(row.features[time]),
  }));
  const timed = rows.filter(({ at }) => Number.isFinite(at));
  return { ...baseline, seasons: seasonsOfRows(baseline, by, timed) };
}

function withSegments(
  baseline: Baseline,
  table: DataTable,
  by: string,
  prediction: string | undefined,
): Baseline {
  const rows = rowsWith(table, by, prediction);
  return { ...baseline, segments: segmentsOfRows(baseline, by, rows) };
}

/** INVALID where there is no such column. */
function rowsWith(table: DataTable, column: string, prediction: string | undefined) {
  if (!columnNames(table).includes(column)) {
    throw new KeelsonError('INVALID', `The reference has no column ${JSON.stringify(column)}.`);
  }
  return rowsIn(table).map((features) => ({
    features,
    prediction: prediction === undefined ? undefined : features[prediction],
  }));
}

function rowsIn(table: DataTable): readonly Readonly<Record<string, unknown>>[] {
  if (Array.isArray(table)) return table;
  const columns = Object.entries(table as Readonly<Record<string, ArrayLike<unknown>>>);
  const count = columns[0]?.[1].length ?? 0;
  return Array.from({ length: count }, (_, i) =>
    Object.fromEntries(columns.map(([name, values]) => [name, values[i]])),
  );
}

function timeOf(value: unknown): number {
  if (typeof value === 'number') return value;
  if (value instanceof Date) return value.getTime();
  return typeof value === 'string' ? Date.parse(value) : Number.NaN;
}

function checked(given: SetBaselineOptions): SetBaselineOptions {
  checkOptions(setShape, given, 'monitoring.setBaseline');
  assertText(given.deployment.id, 'The id of a deployment');
  assertText(given.deployment.name, 'The name of a deployment');
  assertText(given.versionId, 'A version id');
  return given;
}

function isBaseline(reference: SetBaselineOptions['reference']): reference is Baseline {
  return (
    typeof reference === 'object' &&
    !Array.isArray(reference) &&
    (reference as Partial<Baseline> | null)?.format === 1
  );
}
