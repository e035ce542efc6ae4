import { type Interval, wilsonInterval } from '../statistics/index.ts';
import type { LabelledRequest } from './labels.ts';

/** How right the versions were over a period, of those requests whose label is known. */
export interface Performance {
  readonly labels: number;
  /** What always answering the period's most frequent class would have reached: known afterwards only. */
  readonly majority: { readonly label: string; readonly share: number } | undefined;
  /** The answers that callers saw, whichever version gave them. */
  readonly served: Accuracy | undefined;
  /** Each version over all the requests it scored, as primary or shadow. */
  readonly versions: readonly (Accuracy & { readonly versionId: string })[];
  /** How often each class was the label. */
  readonly classes: Readonly<Record<string, number>>;
}

/** A share of right answers, with its 95 % Wilson interval. */
export interface Accuracy {
  readonly right: number;
  readonly total: number;
  readonly accuracy: number;
  readonly interval: Interval;
}

/** Performance over requests made with from ≤ at < to. */
export function performanceOf(
  labelled: readonly LabelledRequest[],
  range: { readonly from: number; readonly to: number },
): Performance {
  const inRange = labelled.flatMap((request) => {
    const predictions = request.predictions.filter((p) => p.at >= range.from && p.at < range.to);
    return predictions.length === 0 ? [] : [{ ...request, predictions }];
  });
  const classes = new Map<string, number>();
  const served = { right: 0, total: 0 };
  const versions = new Map<string, { right: number; total: number }>();
  for (const { label, predictions } of inRange) {
    classes.set(String(label), (classes.get(String(label)) ?? 0) + 1);
    for (const { versionId, role, prediction, error } of predictions) {
      const right = error === undefined && prediction === label ? 1 : 0;
      const tally = versions.get(versionId) ?? { right: 0, total: 0 };
      tally.right += right;
      tally.total += 1;
      versions.set(versionId, tally);
      if (role !== 'primary') continue;
      served.right += right;
      served.total += 1;
    }
  }
  const sorted = [...classes].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const [top] = sorted;
  return {
    labels: inRange.length,
    majority: top && { label: top[0], share: top[1] / inRange.length },
    served: served.total === 0 ? undefined : accuracy(served),
    versions: [...versions].map(([versionId, tally]) => ({ versionId, ...accuracy(tally) })),
    classes: Object.fromEntries(sorted),
  };
}

function accuracy({ right, total }: { readonly right: number; readonly total: number }): Accuracy {
  const interval = wilsonInterval({ successes: right, trials: total }, 0.05);
  return { right, total, accuracy: right / total, interval };
}
