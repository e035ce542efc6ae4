import { assertObject } from '../check-options.ts';
import type { Evidence, EvidenceQuery } from '../contracts/evidence-source.ts';
import { KeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import {
  decideAccuracy,
  decideAccuracyLimit,
  decideComparison,
  decideDrift,
  decideLatency,
  decideLimit,
  decideMetric,
  decidePaired,
  decideReady,
} from './gate-decisions.ts';

/** A line of comparison: ratio × baseline rate + margin. */
interface Line {
  readonly ratio: number;
  readonly margin: number;
}

/** Bounds of a figure. */
export interface FigureBounds {
  readonly min?: number;
  readonly max?: number;
}

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
      readonly worse: Line;
      readonly noWorse: Line;
      readonly minimumCanaryRequests: number;
      /**
       * What lets the rollout go on: that it is shown to be no worse (the default), or that after
       * `minimumCanaryRequests` it is not shown to be worse.
       */
      readonly passes?: 'shown' | 'not-worse';
    }
  /** The share of the candidate's requests that fail, whatever the baseline does. */
  | {
      readonly gate: 'error-limit';
      /** Goes on at this share or below. */
      readonly goAt: number;
      /** Rolled back once it is shown that more fail; 0: by the first that fails. */
      readonly backAbove: number;
      readonly alpha: number;
      readonly minimumRequests: number;
    }
  /**
   * A quantile of the latency against the baseline's, frozen before the candidate got any traffic. Rolled back once
   * it is shown that more of the candidate's answers take longer than `backRatio` times that than the quantile allows,
   * and more than of the baseline's at the same time.
   */
  | {
      readonly gate: 'latency';
      /** Such as 0.95. */
      readonly quantile: number;
      /** Goes on while the candidate's quantile is at most so many times the frozen one. */
      readonly goRatio: number;
      readonly backRatio: number;
      readonly alpha: number;
      readonly minimumRequests: number;
      /** By the frozen latency alone: nobody else answers meanwhile. */
      readonly alone?: true;
    }
  /** The share of labelled requests that each of the two answered rightly. */
  | {
      readonly gate: 'accuracy';
      /** Goes on while the candidate's share is at most so much lower. */
      readonly goMargin: number;
      /** Rolled back once it is shown to be lower by more. */
      readonly backMargin: number;
      readonly alpha: number;
      readonly minimumLabels: number;
    }
  /** The share of labelled requests that the candidate answered rightly, whatever another does. */
  | {
      readonly gate: 'accuracy-limit';
      /** Goes on at this share or above. */
      readonly goAt: number;
      /** Rolled back once it is shown to be lower. */
      readonly backBelow: number;
      readonly alpha: number;
      readonly minimumLabels: number;
    }
  /** Whether the candidate answers other classes (or other ranges of numbers) than the baseline does meanwhile. */
  | {
      readonly gate: 'drift';
      /** By how much the share of a class may differ. */
      readonly tolerance: number;
      readonly alpha: number;
      readonly minimumItems: number;
    }
  /** A figure of an evidence source: goes on within `go`, rolled back once its interval lies outside `back`. */
  | {
      readonly gate: 'metric';
      readonly figure: string;
      readonly go: FigureBounds;
      readonly back?: FigureBounds;
      readonly minimumSamples: number;
    }
  /** Processes that serve the deployment say that the candidate is loaded. */
  | {
      readonly gate: 'ready';
      /** Rolled back when more of its replicas fail, in percent. */
      readonly failingPercent: number;
    };

/** What is frozen before a rollout: the baseline's latency at a quantile. */
export interface FrozenLatency {
  readonly valueMs: number;
  readonly samples: number;
  /** Requests from here on are held against it. */
  readonly at: number;
}

/** The figure of an EvidenceSource that a gate is decided from. */
export function figureOf(gate: Gate): string {
  switch (gate.gate) {
    case 'paired-accuracy':
      return 'paired_accuracy';
    case 'error-rate':
    case 'error-limit':
      return 'error_counts';
    case 'latency':
      return 'latency_counts';
    case 'accuracy':
    case 'accuracy-limit':
      return 'accuracy_counts';
    case 'drift':
      return 'prediction_counts';
    case 'metric':
      return gate.figure;
    case 'ready':
      return 'ready';
  }
}

/** What a gate asks beside its figure; undefined where it cannot be asked yet. */
export function limitsOf(
  gate: Gate,
  frozen: FrozenLatency | undefined,
): Pick<EvidenceQuery, 'limits' | 'from'> | undefined {
  if (gate.gate !== 'latency') return {};
  if (frozen === undefined) return undefined;
  const limits = [frozen.valueMs * gate.goRatio, frozen.valueMs * gate.backRatio];
  return { limits, from: frozen.at };
}

/** What a gate says of the evidence; no data is INCONCLUSIVE, never PASS. */
export interface GateVerdict {
  readonly gate: Gate;
  readonly outcome: 'PASS' | 'FAIL' | 'INCONCLUSIVE';
  /** The test's verdict in full: estimate, bounds, e-values. */
  readonly test: JsonObject;
  /** The counts it was computed from: with `gate`, enough to compute it again. */
  readonly inputs: JsonObject;
  /** Why there is no evidence, where there is none. */
  readonly problem?: string;
}

/**
 * Decides a gate from stored counts. The tests are valid at every look (e-processes), so a rollout may
 * be evaluated as often as wanted.
 */
export function decideGate(
  gate: Gate,
  inputs: Evidence['inputs'],
  figures: Pick<Evidence, 'estimate' | 'low' | 'high' | 'samples'> = { samples: 0 },
): GateVerdict {
  assertObject(gate, 'The gate of decideGate');
  assertObject(inputs, 'The evidence of decideGate');
  const { outcome, test } = decisionOf(gate, inputs, figures);
  return { gate, outcome, test, inputs };
}

/** A gate that cannot be decided now, and why. */
export function undecided(gate: Gate, problem: string): GateVerdict {
  return { gate, outcome: 'INCONCLUSIVE', test: {}, inputs: {}, problem };
}

function decisionOf(
  gate: Gate,
  inputs: JsonObject,
  figures: Pick<Evidence, 'estimate' | 'low' | 'high' | 'samples'>,
): Pick<GateVerdict, 'outcome' | 'test'> {
  switch (gate.gate) {
    case 'paired-accuracy':
      return decidePaired(gate, inputs);
    case 'error-rate':
      return decideComparison(gate, inputs);
    case 'error-limit':
      return decideLimit(gate, inputs);
    case 'latency':
      return decideLatency(gate, inputs);
    case 'accuracy':
      return decideAccuracy(gate, inputs);
    case 'accuracy-limit':
      return decideAccuracyLimit(gate, inputs);
    case 'drift':
      return decideDrift(gate, inputs);
    case 'metric':
      return decideMetric(gate, figures);
    case 'ready':
      return decideReady(gate, inputs);
    default:
      // What callers without types hand over.
      throw new KeelsonError(
        'INVALID',
        `There is no gate ${JSON.stringify(String((gate as Partial<Gate>).gate))}.`,
      );
  }
}
