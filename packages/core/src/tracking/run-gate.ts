import type { JsonObject } from '../json.ts';
import { ThresholdWatch, thresholdsFromJson } from './threshold.ts';

/** What a run takes of this process: one for all handles that the process has of the run. */
export interface RunGate {
  /** The run has ended, as far as this process knows. */
  closed: boolean;
  /** It takes params, metrics and artifacts all the same. */
  readonly lateLogging: boolean;
  /** The run's history tells that this process has logged metrics after the end. */
  lateTold: boolean;
  /** The metrics that have bounds; undefined where none has. */
  readonly watches: ReadonlyMap<string, ThresholdWatch> | undefined;
}

/** The gate of a run, by what its record says. */
export function gateOf(
  body: JsonObject,
  state: { readonly closed: boolean; readonly lateLogging: boolean },
): RunGate {
  const thresholds = thresholdsFromJson(body['thresholds']);
  const byMetric = Map.groupBy(thresholds, (threshold) => threshold.metric);
  const watches =
    thresholds.length === 0
      ? undefined
      : new Map([...byMetric].map(([key, of]) => [key, new ThresholdWatch(key, of)]));
  return { ...state, lateTold: false, watches };
}
