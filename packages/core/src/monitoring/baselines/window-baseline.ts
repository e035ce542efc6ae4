import type { Scope } from '../../contracts/scope.ts';
import { Reservoir } from '../../statistics/index.ts';
import { fairRows } from '../predictions/fair-sample.ts';
import { predictionStream } from '../predictions/prediction-stream.ts';
import { predictionReader } from '../predictions/stored-predictions.ts';
import { levels } from '../windows/counted-rollups.ts';
import { readSegments, readWindows } from '../windows/counted-windows.ts';
import { mergeWindows, type WindowCounts } from '../windows/window-counts.ts';
import { type Baseline, baselineOf, type FeatureBaseline, type FeatureCounts } from './baseline.ts';
import { type Season, slotOf } from './season.ts';
import { seasonsOf, seasonsOfRows, type TimedRow } from './seasonal-counts.ts';
import { largest, segmentCountsOf, segmentsOfRows } from './segment-counts.ts';
import type { StoredBaseline } from './stored-baseline.ts';

interface Range {
  readonly from: number;
  readonly to: number;
}

/** How a baseline is made of what was predicted. */
export interface WindowBaselineOptions {
  readonly seasons?: Season | undefined;
  readonly importances?: Readonly<Record<string, number>> | undefined;
  readonly sample: number;
  /** The feature that segments are told by. */
  readonly segmentBy?: string | undefined;
}

/** Fewer predictions make no baseline: the methods that compare with it need so many. */
export const minimumPredictions = 500;
/** More rows are sampled to so many, each with the same chance. */
const maxRows = 50_000;

/** The rows of a version that callers saw, in a while. */
export interface PredictedRows {
  /** How many of them were looked at. */
  readonly seen: number;
  readonly rows: readonly TimedRow[];
}

/** A while is looked at in so many parts, at the first rows of each, so that a large log need not be read whole. */
const [parts, scannedRows] = [20, 20_000];

/** The rows of a version in the prediction log that callers saw and that did not fail; a random sample of many. */
export async function predictedRows(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  versionId: string,
  { from, to }: Range,
): Promise<PredictedRows> {
  const kept = new Reservoir<TimedRow>(maxRows, versionId);
  let seen = 0;
  const stream = predictionStream(scope.workspace, deploymentId);
  const length = Math.max(1, Math.ceil((to - from) / parts));
  for (let begin = from; begin < to; begin += length) {
    let scanned = 0;
    const part = { from: begin, to: Math.min(to, begin + length) };
    const isFair = await fairRows(scope.series, stream, part);
    for await (const batch of scope.series.rows(stream, part)) {
      const read = predictionReader(batch);
      for (let i = 0; i < batch.at.length; i += 1) {
        const row = read(i);
        const isSeen = row.role === 'primary' && row.error === undefined;
        if (!isSeen || row.versionId !== versionId || !isFair(row)) continue;
        seen += 1;
        const { at, features, prediction, segment } = row;
        kept.add({ at, features, prediction, segment });
      }
      scanned += batch.at.length;
      if (scanned >= scannedRows) break;
    }
  }
  return { seen, rows: kept.values };
}

/** The column of answers beside the features; a name that no feature has. */
const answerName = 'prediction';

/** The baseline of rows that were predicted. */
export function baselineOfRows(
  { rows }: PredictedRows,
  { seasons, importances, sample, segmentBy }: WindowBaselineOptions,
): Baseline {
  const hasAnswers = rows.some(({ prediction }) => isComparable(prediction));
  const answer = rows.some(({ features }) => Object.hasOwn(features, answerName))
    ? `${answerName}()`
    : answerName;
  const table = hasAnswers
    ? rows.map(({ features, prediction }) => ({ ...features, [answer]: prediction }))
    : rows.map(({ features }) => features);
  const baseline = baselineOf(table, {
    sample,
    ...(hasAnswers ? { prediction: answer } : {}),
    ...(importances === undefined ? {} : { importances }),
  });
  return {
    ...baseline,
    ...(seasons === undefined ? {} : { seasons: seasonsOfRows(baseline, seasons, rows) }),
    ...(segmentBy === undefined ? {} : { segments: segmentsOfRows(baseline, segmentBy, rows) }),
  };
}

function isComparable(prediction: unknown): boolean {
  return ['number', 'string', 'boolean'].includes(typeof prediction);
}

/** What was counted in the bins of a baseline, as a baseline of its own in the same bins; undefined for nothing. */
export async function baselineOfCounts(
  scope: Pick<Scope, 'series' | 'workspace'>,
  stored: StoredBaseline,
  range: Range,
  { seasons, importances }: WindowBaselineOptions,
): Promise<Baseline | undefined> {
  const counts = await readWindows(scope, stored, range);
  if (counts === undefined) return undefined;
  const { baseline } = stored;
  const { seasons: _, segments: __, ...rest } = baseline;
  const given = importances ?? baseline.importances;
  const made: Baseline = {
    ...rest,
    rows: counts.requests,
    features: baseline.features.map((was, i) => inBinsOf(was, counts.features[i])),
    ...(baseline.prediction === undefined
      ? {}
      : { prediction: inBinsOf(baseline.prediction, counts.prediction) }),
    ...(given === undefined ? {} : { importances: given }),
  };
  const parts = await bySegment(scope, stored, range);
  const by = baseline.segments?.by ?? 'segment';
  return {
    ...made,
    ...(seasons === undefined
      ? {}
      : { seasons: seasonsOf(made, seasons, await bySlot(scope, stored, range, seasons)) }),
    ...(parts.length === 0 ? {} : { segments: segmentCountsOf(made, by, parts) }),
  };
}

/** What was counted of each segment, the largest ones. */
async function bySegment(
  scope: Pick<Scope, 'series' | 'workspace'>,
  stored: StoredBaseline,
  range: Range,
): Promise<readonly (readonly [string, WindowCounts])[]> {
  const found: [string, WindowCounts][] = [];
  for (const segment of largest(await readSegments(scope, stored, range))) {
    const counts = await readWindows(scope, stored, range, segment);
    if (counts !== undefined) found.push([segment, counts]);
  }
  return found;
}

/** The bins of one with the counts of the other; without values, which counts do not have. */
function inBinsOf(was: FeatureBaseline, is: FeatureCounts | undefined): FeatureBaseline {
  const { sample: _, ...bins } = was;
  if (is === undefined) return bins;
  const { outside: __, ...counts } = is;
  return { ...bins, ...counts };
}

/** Hour by hour, added up by slot. */
async function bySlot(
  scope: Pick<Scope, 'series' | 'workspace'>,
  stored: StoredBaseline,
  { from, to }: Range,
  season: Season,
): Promise<readonly (readonly [string, WindowCounts])[]> {
  const [, hourMs = 3_600_000] = levels;
  const found = new Map<string, WindowCounts[]>();
  for (let at = from; at < to; at = (Math.floor(at / hourMs) + 1) * hourMs) {
    const end = Math.min(to, (Math.floor(at / hourMs) + 1) * hourMs);
    const counts = await readWindows(scope, stored, { from: at, to: end });
    if (counts === undefined) continue;
    const slot = slotOf(season, at);
    found.set(slot, [...(found.get(slot) ?? []), counts]);
  }
  return [...found].map(([slot, all]) => [slot, mergeWindows(all) as WindowCounts] as const);
}
