import { type Interval, shareFigure } from '../../statistics/index.ts';
import type { StoredPrediction } from '../predictions/stored-predictions.ts';
import type { LabelDelay } from './label-delay.ts';
import type { LabelHistory } from './labels.ts';
import { weightsOf } from './measured-rows.ts';

/** How much of the truth is known, and how late it comes. Plain JSON. */
export type LabelCoverage = {
  /** As of when. */
  readonly at: number;
  /** Requests of the period whose answer callers saw, of those that the log has. */
  readonly requests: number;
  readonly labelled: number;
  /** Of requests, by weight where the log is a sample; null without any. */
  readonly share: number | null;
  /** Of a plain sample of all requests that could be labelled. */
  readonly interval: Interval | null;
  /** Requests that were told more than one label, and more than one that differ. */
  readonly repeated: number;
  readonly contradicted: number;
  /** Learnt from the labels of the last 30 days; missing where there are fewer than 20. */
  readonly delay?: LabelDelay;
  /** Requests younger than this are held: their labels are not all there yet. Missing where that is not known. */
  readonly labelLagMs?: number;
  /** Requests from this time on are held, so many of them with labels. */
  readonly heldFrom?: number;
  readonly held: number;
  readonly heldLabelled: number;
  /** Of the requests that are old enough. */
  readonly maturedShare: number | null;
};

/** The coverage of requests that callers saw the answer of. */
export function coverageOf(
  requests: readonly StoredPrediction[],
  labels: ReadonlyMap<string, LabelHistory>,
  {
    at,
    delay,
    labelLagMs,
  }: {
    readonly at: number;
    readonly delay: LabelDelay | undefined;
    readonly labelLagMs: number | undefined;
  },
): LabelCoverage {
  const lag = labelLagMs ?? delay?.p95Ms;
  const heldFrom = lag === undefined || lag === 0 ? undefined : at - lag;
  const known = requests.filter(({ requestId }) => labels.has(requestId));
  const held = heldFrom === undefined ? [] : requests.filter((each) => each.at >= heldFrom);
  const told = known.flatMap(({ requestId }) => labels.get(requestId) ?? []);
  const all = shareOf(requests, labels);
  const matured = shareOf(
    heldFrom === undefined ? requests : requests.filter((each) => each.at < heldFrom),
    labels,
  );
  return {
    at,
    requests: requests.length,
    labelled: known.length,
    share: all.value,
    interval: all.interval,
    repeated: told.filter((each) => each.told > 1).length,
    contradicted: told.filter((each) => each.isContradicted).length,
    ...(delay === undefined ? {} : { delay }),
    ...(lag === undefined ? {} : { labelLagMs: lag }),
    ...(heldFrom === undefined ? {} : { heldFrom }),
    held: held.length,
    heldLabelled: held.filter(({ requestId }) => labels.has(requestId)).length,
    maturedShare: matured.value,
  };
}

function shareOf(
  requests: readonly StoredPrediction[],
  labels: ReadonlyMap<string, LabelHistory>,
): ReturnType<typeof shareFigure> {
  const part = (isLabelled: boolean) =>
    weightsOf(
      requests
        .filter(({ requestId }) => labels.has(requestId) === isLabelled)
        .map(({ inclusionProbability: p }) => (p === undefined ? {} : { weight: 1 / p })),
    );
  return shareFigure(part(true), part(false), 0.05);
}
