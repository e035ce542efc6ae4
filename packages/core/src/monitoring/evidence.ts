import { assertObject } from '../check-options.ts';
import type { Evidence, EvidenceQuery, EvidenceSource } from '../contracts/evidence-source.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';
import { type LabelledRequest, readLabelled } from './labels.ts';
import { readPredictions, type StoredPrediction } from './prediction-log.ts';

const dayMs = 86_400_000;

/** Answers the gates from stored predictions and labels. Figures: `paired_accuracy`, `error_counts`. */
export function createEvidenceSource(
  scope: Pick<Scope, 'series' | 'workspace'>,
  maxDelayMs: number,
): EvidenceSource {
  return {
    async ask(query) {
      assertObject(query, 'evidence.ask');
      const range = { from: query.from ?? 0, to: query.to ?? Number.MAX_SAFE_INTEGER - 1 };
      if (query.figure === 'paired_accuracy') {
        const labelled = await readLabelled(scope, query.deploymentId, range, maxDelayMs);
        return pairedEvidence(query, labelled, range);
      }
      if (query.figure === 'error_counts') {
        const predictions = await readPredictions(scope, query.deploymentId, range);
        return errorEvidence(query, predictions, range.to);
      }
      throw new KeelsonError(
        'UNSUPPORTED',
        `Monitoring has no figure ${query.figure}; it has paired_accuracy and error_counts.`,
      );
    },
  };
}

/**
 * Counts the labelled requests that both versions scored, by who was right. Only requests made at or
 * after `from`: before it the candidate had no say. A failed answer is a wrong one.
 */
function pairedEvidence(
  query: EvidenceQuery,
  labelled: readonly LabelledRequest[],
  range: { readonly from: number; readonly to: number },
): Evidence {
  const counts = { bothRight: 0, candidateOnly: 0, baselineOnly: 0, bothWrong: 0 };
  for (const { label, predictions } of labelled) {
    const candidate = answerOf(predictions, query.candidateVersionId, range.from);
    const baseline = answerOf(predictions, query.baselineVersionId, range.from);
    if (candidate === undefined || baseline === undefined) continue;
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
    figure: query.figure,
    samples,
    inputs: counts,
    at: range.to,
    ...(samples === 0 ? {} : { estimate: difference / samples }),
  };
}

/** Requests and errors of both versions as primaries, day by day. */
function errorEvidence(
  query: EvidenceQuery,
  predictions: readonly StoredPrediction[],
  at: number,
): Evidence {
  const days = Map.groupBy(
    predictions.filter((each) => each.role === 'primary'),
    (each) => Math.floor(each.at / dayMs),
  );
  const windows: JsonObject[] = [...days].map(([, rows]) => {
    const of = (versionId: string | undefined): readonly StoredPrediction[] =>
      rows.filter((row) => row.versionId === versionId);
    const bad = (all: readonly StoredPrediction[]): number =>
      all.filter((row) => row.error !== undefined).length;
    const canary = of(query.candidateVersionId);
    const baseline = of(query.baselineVersionId);
    return {
      canaryRequests: canary.length,
      canaryBad: bad(canary),
      baselineRequests: baseline.length,
      baselineBad: bad(baseline),
    };
  });
  const samples = windows.reduce((sum, window) => sum + Number(window['canaryRequests']), 0);
  return { figure: query.figure, samples, inputs: { windows }, at };
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
