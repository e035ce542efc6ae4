import { assertList, assertObject } from '../check-options.ts';
import type { Evidence } from '../contracts/evidence-source.ts';
import type { JsonObject } from '../json.ts';
import { pairedTest, rateComparison } from '../statistics/index.ts';

/** What a step of a rollout must show before the next one. */
export type Gate =
  /** Both versions scored the same labelled requests (the candidate as a shadow): McNemar's pairs. */
  | {
      readonly gate: 'paired-accuracy';
      /** What the candidate must be shown to be. */
      readonly needs: 'better' | 'no-worse';
      /** By how much it may be worse, as a share of requests. */
      readonly margin: number;
      readonly alpha: number;
      readonly minimumItems: number;
    }
  /** Failed requests of the candidate against those of the baseline in the same windows. */
  | {
      readonly gate: 'error-rate';
      readonly alpha: number;
      /** Rolled back once it is shown that candidate rate > ratio × baseline rate + margin. */
      readonly worse: { readonly ratio: number; readonly margin: number };
      readonly noWorse: { readonly ratio: number; readonly margin: number };
      readonly minimumCanaryRequests: number;
    };

/** The figure of an EvidenceSource that a gate is decided from. */
export function figureOf(gate: Gate): string {
  return gate.gate === 'paired-accuracy' ? 'paired_accuracy' : 'error_counts';
}

/** What a gate says of the evidence; no data is INCONCLUSIVE, never PASS. */
export interface GateVerdict {
  readonly gate: Gate;
  readonly outcome: 'PASS' | 'FAIL' | 'INCONCLUSIVE';
  /** The test's verdict in full: estimate, bounds, e-values. */
  readonly test: JsonObject;
  /** The counts it was computed from: with `gate`, enough to compute it again. */
  readonly inputs: JsonObject;
}

/**
 * Decides a gate from stored counts. The tests are valid at every look (e-processes), so a rollout may
 * be evaluated as often as wanted.
 */
export function decideGate(gate: Gate, inputs: Evidence['inputs']): GateVerdict {
  assertObject(gate, 'The gate of decideGate');
  assertObject(inputs, 'The evidence of decideGate');
  if (gate.gate === 'paired-accuracy') return decidePaired(gate, inputs);
  return decideErrors(gate, inputs);
}

function decidePaired(
  gate: Extract<Gate, { readonly gate: 'paired-accuracy' }>,
  inputs: JsonObject,
): GateVerdict {
  const { alpha, margin, minimumItems } = gate;
  const counts = inputs as unknown as Parameters<typeof pairedTest.update>[1];
  const state = pairedTest.update(pairedTest.init({ alpha, margin, minimumItems }), counts);
  const verdict = pairedTest.verdict(state);
  const passes =
    verdict.decision === 'better' || (gate.needs === 'no-worse' && verdict.decision === 'no-worse');
  const outcome = verdict.decision === 'worse' ? 'FAIL' : passes ? 'PASS' : 'INCONCLUSIVE';
  return { gate, outcome, test: verdict as unknown as JsonObject, inputs };
}

function decideErrors(
  gate: Extract<Gate, { readonly gate: 'error-rate' }>,
  inputs: JsonObject,
): GateVerdict {
  const { alpha, worse, noWorse, minimumCanaryRequests } = gate;
  let state = rateComparison.init({ alpha, worse, noWorse, minimumCanaryRequests });
  const windows = (inputs['windows'] ?? []) as unknown as readonly Parameters<
    typeof rateComparison.update
  >[1][];
  for (const window of assertList(windows, 'The windows of evidence'))
    state = rateComparison.update(state, window);
  const verdict = rateComparison.verdict(state);
  const outcomes = { worse: 'FAIL', 'no-worse': 'PASS', inconclusive: 'INCONCLUSIVE' } as const;
  return {
    gate,
    outcome: outcomes[verdict.decision],
    test: verdict as unknown as JsonObject,
    inputs,
  };
}
