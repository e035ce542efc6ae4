import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { baselineOf } from '../baselines/baseline.ts';
import { storedSample } from '../baselines/baseline-service.ts';
import type { Baselines, NewBaseline } from '../baselines/baselines.ts';
import { trainingRows, versionInputs } from '../baselines/dataset-rows.ts';
import { segmentsOfRows } from '../baselines/segment-counts.ts';
import { baselineOfRows, predictedRows } from '../baselines/window-baseline.ts';
import type { EndpointMetrics } from '../metrics/metrics.ts';
import type { SetUpOptions, VersionSetUp } from './set-up-record.ts';

/** The version of a deployment that is to have a baseline. */
export interface NewVersion {
  readonly deployment: { readonly id: string; readonly name: string };
  readonly versionId: string;
  /** The version that most requests went to before. */
  readonly formerId: string | undefined;
  readonly options: SetUpOptions;
  /** Since when it is set up, epoch ms. */
  readonly since: number;
}

interface Parts {
  readonly baselines: Baselines;
  readonly metrics: EndpointMetrics['metrics'];
}

const [hourMs, dayMs] = [3_600_000, 86_400_000];
const usualPredictions = 1000;

/** The baseline that a version gets by itself, from its training data or the version before; what became of it. */
export async function firstBaseline(
  scope: Scope,
  parts: Parts,
  version: NewVersion,
): Promise<VersionSetUp> {
  const { deployment, versionId, options, since } = version;
  if (await parts.baselines.find(deployment.id, versionId)) return { baseline: 'given', since };
  if (options.baseline === false) return { baseline: 'none', since };
  if (options.baseline === 'first-window') return { baseline: 'waiting', since };
  let problem: string | undefined;
  try {
    if (await ofTraining(scope, parts, version)) return { baseline: 'training', since };
  } catch (error) {
    // What lies there is no table, or cannot be watched: waiting will not mend it.
    if (!isKeelsonError(error, 'INVALID', 'NOT_FOUND', 'CORRUPT')) throw error;
    problem = error.message;
  }
  const isOfFormer = await ofFormer(scope, parts, version);
  return {
    ...{ baseline: isOfFormer ? 'version' : 'waiting', since },
    ...(problem === undefined ? {} : { problem }),
  };
}

/** The first window of a version that waits for it, once it is full. */
export async function firstWindow(
  scope: Scope,
  { baselines, metrics }: Parts,
  { deployment, versionId, options, since }: NewVersion,
): Promise<boolean> {
  const { predictions = usualPredictions, ms = hourMs } = options.firstWindow ?? {};
  const now = scope.clock.now();
  const [counted] = await metrics(deployment.id, {
    ...{ names: ['requests'], windowMs: hourMs, dimensions: { version: versionId } },
    // Rows carry the callers' time.
    ...{ from: since - dayMs, to: now + dayMs },
  });
  const points = counted?.points ?? [];
  const total = points.reduce((sum, { value = 0 }) => sum + value, 0);
  const [first] = points;
  if (first === undefined || total < predictions) return false;
  const range = { from: first.at, to: Math.max(now, (points.at(-1)?.at ?? 0) + hourMs) };
  const found = await predictedRows(scope, deployment.id, versionId, range);
  const times = found.rows.map(({ at }) => at);
  if (found.seen < Math.min(predictions, usualPredictions)) return false;
  if (now - times.reduce((least, at) => Math.min(least, at), now) < ms) return false;
  await baselines.put({
    ...{ deployment, versionId, keep: 'any', provisional: true },
    baseline: baselineOfRows(found, { sample: storedSample, segmentBy: options.segmentBy }),
    source: { kind: 'window', ...range, of: 'rows' },
    reason: 'the first window: nothing is known of the training data',
  });
  return true;
}

async function ofTraining(
  scope: Scope,
  { baselines }: Parts,
  { deployment, versionId, options: { segmentBy } }: NewVersion,
): Promise<boolean> {
  const found = await trainingRows(scope, versionId);
  if (found === undefined) return false;
  const { rows, features, artifactId } = found;
  const baseline = baselineOf(rows, {
    sample: storedSample,
    ...(features === undefined ? {} : { columns: features }),
  });
  const segmented = rows.map((row) => ({ features: row }));
  const segments =
    segmentBy === undefined ? {} : { segments: segmentsOfRows(baseline, segmentBy, segmented) };
  const made: NewBaseline = {
    ...{ deployment, versionId, baseline: { ...baseline, ...segments }, keep: 'any' },
    source: { kind: 'training', artifactId },
    reason: 'the training data of the version',
  };
  await baselines.put(made);
  return true;
}

/** What the version before was compared with, where the new one takes the same features. */
async function ofFormer(
  scope: Scope,
  { baselines }: Parts,
  { deployment, versionId, formerId }: NewVersion,
): Promise<boolean> {
  if (formerId === undefined || formerId === versionId) return false;
  const former = await baselines.find(deployment.id, formerId);
  if (former === undefined) return false;
  const inputs = await versionInputs(scope, versionId);
  const { features, setAside } = former.baseline;
  const known = [...features, ...setAside].map(({ feature }) => feature);
  const takesAll = features.every(({ feature }) => inputs.includes(feature));
  if (!takesAll || !inputs.every((input) => known.includes(input))) return false;
  // What the other answered says nothing of this one.
  const { prediction: _, ...baseline } = former.baseline;
  await baselines.put({
    ...{ deployment, versionId, baseline, keep: 'any', provisional: true },
    source: { kind: 'version', versionId: formerId },
    reason: 'that of the version before',
  });
  return true;
}
