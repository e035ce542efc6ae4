import { assertObject } from '../check-options.ts';
import type { Evidence, EvidenceQuery, EvidenceSource } from '../contracts/evidence-source.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';
import { quantile, rateTest } from '../statistics/index.ts';
import { type Arms, armsByWindow, armsOfUnits, windowCounts } from './evidence-windows.ts';
import { outcomes } from './outcome-figure.ts';
import { type LabelledRequest, readLabelled } from './performance/labels.ts';
import { fairLabelled, fairSample } from './predictions/fair-sample.ts';
import { readPredictions, type StoredPrediction } from './predictions/stored-predictions.ts';
import { refusedCallers } from './refused-callers.ts';

interface Range {
  readonly from: number;
  readonly to: number;
}

/** What is asked, over which time, with the scope's rows at hand. */
interface Asked {
  readonly query: EvidenceQuery;
  readonly range: Range;
  readonly scope: Pick<Scope, 'metadata' | 'workspace'>;
  predictions(): Promise<readonly StoredPrediction[]>;
  labelled(): Promise<readonly LabelledRequest[]>;
}

type Figure = (asked: Asked) => Promise<Omit<Evidence, 'figure' | 'at'>>;

const figures: Readonly<Record<string, Figure>> = {
  paired_accuracy: pairedAccuracy,
  error_counts: errorCounts,
  latency_quantile: latencyQuantile,
  latency_counts: latencyCounts,
  accuracy_counts: accuracyCounts,
  prediction_counts: predictionCounts,
  agreement,
  refused_callers: ({ query, scope, predictions }) => refusedCallers(query, scope, predictions),
  outcomes: ({ query, scope, ...rows }) => outcomes(query, scope, rows),
};

/** Answers the gates from stored predictions and labels. UNSUPPORTED, naming what there is, for an unknown figure. */
export function createEvidenceSource(
  scope: Pick<Scope, 'series' | 'workspace' | 'metadata'>,
  maxDelayMs: number,
): EvidenceSource {
  return {
    async ask(query) {
      assertObject(query, 'evidence.ask');
      const { deploymentId } = query;
      const range = { from: query.from ?? 0, to: query.to ?? Number.MAX_SAFE_INTEGER - 1 };
      const figure = Object.hasOwn(figures, query.figure) ? figures[query.figure] : undefined;
      if (figure === undefined) {
        throw new KeelsonError(
          'UNSUPPORTED',
          `Monitoring has no figure ${query.figure}; it has ${Object.keys(figures).join(', ')}.`,
        );
      }
      const evidence = await figure({
        ...{ query, range, scope },
        // Tests take each request for as likely as any other.
        predictions: async () => fairSample(await readPredictions(scope, deploymentId, range)),
        labelled: async () =>
          fairLabelled(await readLabelled(scope, deploymentId, range, maxDelayMs)),
      });
      return { ...evidence, figure: query.figure, at: range.to };
    },
  };
}

/**
 * Counts the labelled requests that both versions scored, by who was right. Only requests made at or
 * after `from`: before it the candidate had no say. A failed answer is a wrong one. A user whose requests are dealt
 * out by a key counts once.
 */
async function pairedAccuracy({ query, range, labelled }: Asked): ReturnType<Figure> {
  const counts = { bothRight: 0, candidateOnly: 0, baselineOnly: 0, bothWrong: 0 };
  const seen = new Set<string>();
  for (const { label, predictions } of await labelled()) {
    const candidate = answerOf(predictions, query.candidateVersionId, range.from);
    const baseline = answerOf(predictions, query.baselineVersionId, range.from);
    if (candidate === undefined || baseline === undefined) continue;
    const { key } = candidate;
    if (key !== undefined && seen.has(key)) continue;
    if (key !== undefined) seen.add(key);
    const candidateRight = isRight(candidate, label);
    const baselineRight = isRight(baseline, label);
    if (candidateRight && baselineRight) counts.bothRight += 1;
    else if (candidateRight) counts.candidateOnly += 1;
    else if (baselineRight) counts.baselineOnly += 1;
    else counts.bothWrong += 1;
  }
  const samples = counts.bothRight + counts.candidateOnly + counts.baselineOnly + counts.bothWrong;
  const difference = counts.candidateOnly - counts.baselineOnly;
  return {
    samples,
    inputs: counts,
    ...(samples === 0 ? {} : { estimate: difference / samples }),
  };
}

/** Requests and errors of both versions, window by window. */
async function errorCounts({ query, predictions }: Asked): ReturnType<Figure> {
  const counts = windowCounts(query, await predictions(), (row) => row.error !== undefined);
  return { samples: samplesOf(counts.windows), inputs: counts };
}

/** The baseline's latency at a quantile, of answers that did not fail. */
async function latencyQuantile({ query, predictions }: Asked): ReturnType<Figure> {
  const { quantile: share = 0.95, baselineVersionId } = query;
  const latencies = (await predictions())
    .filter((row) => row.role === 'primary' && row.versionId === baselineVersionId)
    .filter((row) => row.error === undefined && Number.isFinite(row.latencyMs))
    .map((row) => row.latencyMs)
    .sort((a, b) => a - b);
  const samples = latencies.length;
  const estimate = samples === 0 ? {} : { estimate: quantile(latencies, share) };
  return { samples, inputs: { quantile: share }, ...estimate };
}

/** For each limit: answers of both versions, and those that took longer, window by window. */
async function latencyCounts({ query, predictions }: Asked): ReturnType<Figure> {
  const answered = (await predictions()).filter((row) => row.error === undefined);
  const limits = (query.limits ?? []).map((limit) =>
    windowCounts(query, answered, (row) => row.latencyMs > limit),
  );
  const inputs = {
    limits: limits.map(({ windows }) => windows),
    ...(limits[0]?.units === undefined ? {} : { units: limits.map(({ units = [] }) => units) }),
  };
  return { samples: samplesOf(inputs.limits[0] ?? []), inputs };
}

/** Labelled requests that each version answered, and those that it answered wrongly, window by window. */
async function accuracyCounts({ query, range, labelled }: Asked): ReturnType<Figure> {
  const labels = new Map<string, Json>();
  const rows = (await labelled()).flatMap(({ requestId, label, predictions }) => {
    labels.set(requestId, label);
    return predictions.filter((row) => row.at >= range.from);
  });
  rows.sort((a, b) => a.at - b.at);
  const counts = windowCounts(
    query,
    rows,
    (row) => !isRight(row, labels.get(row.requestId) ?? null),
  );
  return { samples: samplesOf(counts.windows), inputs: counts };
}

/** How often each version answered each class, or a number of that size, window by window. */
async function predictionCounts({ query, predictions }: Asked): ReturnType<Figure> {
  const answered = (await predictions()).filter((row) => row.error === undefined);
  const counted = ({ candidate, baseline }: Arms): ClassWindow => ({
    ...{ candidate: classCounts(candidate), baseline: classCounts(baseline) },
  });
  const windows = armsByWindow(query, answered).map(counted);
  const units = armsOfUnits(query, answered)?.map((stage) => stage.map(counted));
  const samples = windows.reduce(
    (sum, { candidate }) => sum + Object.values(candidate).reduce((a, b) => a + b, 0),
    0,
  );
  return { samples, inputs: { windows, ...(units === undefined ? {} : { units }) } };
}

type ClassWindow = Readonly<Record<'candidate' | 'baseline', Readonly<Record<string, number>>>>;

/** The share of requests to which both versions gave the same answer. */
async function agreement({ query, predictions }: Asked): ReturnType<Figure> {
  const answers = new Map<string, Json>();
  const rows = await predictions();
  for (const row of rows) {
    if (row.versionId === query.baselineVersionId && row.error === undefined)
      answers.set(row.requestId, row.prediction);
  }
  let [samples, equal] = [0, 0];
  for (const row of rows) {
    if (row.versionId !== query.candidateVersionId || row.error !== undefined) continue;
    const other = answers.get(row.requestId);
    if (other === undefined) continue;
    samples += 1;
    if (JSON.stringify(other) === JSON.stringify(row.prediction)) equal += 1;
  }
  if (samples === 0) return { samples, inputs: { equal } };
  const state = rateTest.update(rateTest.init({ limit: 0.5 }), {
    successes: equal,
    trials: samples,
  });
  const { low, high } = rateTest.verdict(state).interval;
  return { samples, inputs: { equal }, estimate: equal / samples, low, high };
}

function samplesOf(windows: readonly JsonObject[]): number {
  return windows.reduce((sum, window) => sum + Number(window['canaryRequests']), 0);
}

function classCounts(rows: readonly StoredPrediction[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { prediction } of rows) {
    const name = className(prediction);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** Numbers by their size (one digit that counts), so that regressions have classes too. */
function className(prediction: Json): string {
  if (
    typeof prediction === 'number' &&
    !(Number.isInteger(prediction) && Math.abs(prediction) < 20)
  )
    return prediction.toPrecision(1);
  return typeof prediction === 'string' ? prediction : JSON.stringify(prediction);
}

function answerOf(
  predictions: readonly StoredPrediction[],
  versionId: string | undefined,
  from: number,
): StoredPrediction | undefined {
  return predictions.find((each) => each.versionId === versionId && each.at >= from);
}

function isRight(prediction: StoredPrediction, label: Json): boolean {
  return prediction.error === undefined && prediction.prediction === label;
}
