import type { AnswerChecksConfig, ModelSignature, Tensor, UsualInput } from '@keelson/core';
import { probabilitiesOutput } from '../hosting/prediction-rows.ts';
import { refusal } from '../protocol/refusal.ts';
import type { Finding, FindingName } from './finding.ts';
import { compileInputCheck } from './input-check.ts';
import { compileOutputCheck } from './output-check.ts';

/** Looks at the answers of one version; compiled once. */
export interface AnswerChecks {
  /** What there is to say of a request and its answer; undefined where there is nothing. */
  look(
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
    rowCount: number,
  ): readonly Finding[] | undefined;
  /**
   * Rejects with FAILED (500) what is no answer at all, and what contradicts its signature, where that is enforced; with
   * FAILED (422) an answer that is not confident enough, where that is refused.
   */
  enforce(findings: readonly Finding[]): void;
  /** Whether the fallback version is to answer instead. */
  wantsFallback(findings: readonly Finding[]): boolean;
}

const contradictions: readonly FindingName[] = ['datatype', 'shape', 'not_finite', 'out_of_range'];

/** Compiles the checks of a version: what is configured, and the version's own baseline where the configuration has none. */
export function compileAnswerChecks(
  signature: ModelSignature,
  config: AnswerChecksConfig = {},
  baseline: Readonly<Record<string, UsualInput>> = {},
): AnswerChecks {
  const { enforce = false, ranges = {}, minimumConfidence, below = 'flag' } = config;
  const checkOutputs = compileOutputCheck(signature.outputs, ranges);
  const checkInputs = compileInputCheck(signature.inputs, { ...baseline, ...config.inputs });
  const checkConfidence =
    minimumConfidence === undefined ? undefined : compileConfidence(signature, minimumConfidence);
  return {
    look(inputs, outputs, rowCount) {
      const found: Finding[] = [];
      checkOutputs(outputs, rowCount, found);
      if (found.length === 0) checkConfidence?.(outputs, found);
      checkInputs?.(inputs, rowCount, found);
      return found.length === 0 ? undefined : found;
    },
    enforce(findings) {
      for (const { name, message, isBroken } of findings) {
        if (isBroken === true || (enforce && contradictions.includes(name)))
          throw refusal(500, 'FAILED', `${message}; the answer is withheld.`);
        if (below === 'refuse' && name === 'low_confidence')
          throw refusal(422, 'FAILED', `${message}; the answer is withheld.`);
      }
    },
    wantsFallback: (findings) =>
      below === 'fallback' && findings.some(({ name }) => name === 'low_confidence'),
  };
}

/** The greatest probability of a row is the confidence in its answer. */
function compileConfidence(
  { outputs: specs }: ModelSignature,
  least: number,
): ((outputs: readonly Tensor[], found: Finding[]) => void) | undefined {
  const isProbabilities = ({ name, shape, datatype }: ModelSignature['outputs'][number]): boolean =>
    name === probabilitiesOutput && shape.length === 2 && /^FP(32|64)$/.test(datatype);
  if (!specs.some(isProbabilities)) return undefined;
  return (outputs, found) => {
    const tensor = outputs.find(({ name }) => name === probabilitiesOutput) as Tensor;
    const data = tensor.data as Float64Array;
    const width = tensor.shape[1] ?? 0;
    const rows: number[] = [];
    let worst = 1;
    for (let from = 0; from + width <= data.length && width > 0; from += width) {
      let confidence = 0;
      for (let i = from; i < from + width; i += 1)
        if ((data[i] as number) > confidence) confidence = data[i] as number;
      if (confidence >= least) continue;
      rows.push(from / width);
      if (confidence < worst) worst = confidence;
    }
    if (rows.length === 0) return;
    const message = `The model is confident by ${Number(worst.toPrecision(3))} at the least, in row ${rows[0]}; ${least} is asked for`;
    found.push({ name: 'low_confidence', of: probabilitiesOutput, rows, message });
  };
}
