import { assertList } from '../check-options.ts';
import type { Evidence } from '../contracts/evidence-source.ts';
import type { JsonObject } from '../json.ts';
import {
  meanOfE,
  pairedTest,
  type RateComparisonCounts,
  type RateComparisonVerdict,
  rateComparison,
  rateTest,
  rejects,
} from '../statistics/index.ts';
import type { Gate, GateVerdict } from './gate.ts';

type Of<K extends Gate['gate']> = Extract<Gate, { readonly gate: K }>;
type Decision = Pick<GateVerdict, 'outcome' | 'test'>;

/** Requests of both arms in one window. */
type Window = RateComparisonCounts;

export function decidePaired(gate: Of<'paired-accuracy'>, inputs: JsonObject): Decision {
  const { alpha, margin, minimumItems } = gate;
  const counts = inputs as unknown as Parameters<typeof pairedTest.update>[1];
  const state = pairedTest.update(pairedTest.init({ alpha, margin, minimumItems }), counts);
  const verdict = pairedTest.verdict(state);
  const passes =
    verdict.decision === 'better' || (gate.needs === 'no-worse' && verdict.decision === 'no-worse');
  const outcome = verdict.decision === 'worse' ? 'FAIL' : passes ? 'PASS' : 'INCONCLUSIVE';
  return { outcome, test: verdict as unknown as JsonObject };
}

export function decideComparison(gate: Of<'error-rate'>, inputs: JsonObject): Decision {
  const { alpha, worse, noWorse, minimumCanaryRequests, passes = 'shown' } = gate;
  if (passes === 'shown') {
    const verdict = compared({ alpha, worse, noWorse, minimumCanaryRequests }, windowsOf(inputs));
    const outcomes = { worse: 'FAIL', 'no-worse': 'PASS', inconclusive: 'INCONCLUSIVE' } as const;
    return { outcome: outcomes[verdict.decision], test: verdict as unknown as JsonObject };
  }
  // What is worse is so from the first request on that shows it; only going on takes so many.
  const verdict = compared({ alpha, worse, noWorse }, windowsOf(inputs));
  const enough = verdict.canary.requests >= Math.max(1, minimumCanaryRequests);
  const outcome = verdict.decision === 'worse' ? 'FAIL' : enough ? 'PASS' : 'INCONCLUSIVE';
  return { outcome, test: verdict as unknown as JsonObject };
}

export function decideLimit(gate: Of<'error-limit'>, inputs: JsonObject): Decision {
  const { requests, bad } = totalOf(windowsOf(inputs));
  const { goAt, backAbove, alpha, minimumRequests } = gate;
  const share = requests === 0 ? null : bad / requests;
  if (backAbove === 0) {
    const outcome = bad > 0 ? 'FAIL' : passed(requests >= minimumRequests && requests > 0);
    return { outcome, test: { requests, bad, share } };
  }
  const state = rateTest.update(rateTest.init({ limit: backAbove, alpha }), {
    successes: bad,
    trials: requests,
  });
  const verdict = rateTest.verdict(state);
  const goes = requests >= Math.max(1, minimumRequests) && (share ?? 1) <= goAt;
  const outcome = rejects(verdict.above, alpha) ? 'FAIL' : passed(goes);
  return { outcome, test: { ...(verdict as unknown as JsonObject), share } };
}

/** Of the windows, the counts above the first limit let go on, those above the second turn back. */
export function decideLatency(gate: Of<'latency'>, inputs: JsonObject): Decision {
  const { quantile, alpha, minimumRequests } = gate;
  const allowed = 1 - quantile;
  const [slower = [], slow = []] = (inputs['limits'] ?? []) as unknown as readonly Window[][];
  const { requests, bad } = totalOf(slower);
  const share = requests === 0 ? null : bad / requests;
  const back = totalOf(slow);
  const absolute = rateTest.verdict(
    rateTest.update(rateTest.init({ limit: allowed, alpha }), {
      successes: back.bad,
      trials: back.requests,
    }),
  );
  const comparison = compared({ alpha, worse: {}, noWorse: {} }, slow);
  const fails =
    rejects(absolute.above, alpha) && (gate.alone === true || comparison.decision === 'worse');
  // Where the baseline itself is slower than it was, it is as much that counts.
  const ofBaseline = baselineShare(slower);
  const most = Math.max(allowed, ofBaseline ?? 0);
  // Two standard errors: of few requests a share is above its chance half of the time.
  const goesAt = most + 2 * Math.sqrt((most * (1 - most)) / Math.max(1, requests));
  const goes = requests >= Math.max(1, minimumRequests) && (share ?? 1) <= goesAt;
  const test = {
    share,
    baselineShare: ofBaseline,
    allowed,
    absolute,
    comparison,
  } as unknown as JsonObject;
  return { outcome: fails ? 'FAIL' : passed(goes), test };
}

export function decideAccuracy(gate: Of<'accuracy'>, inputs: JsonObject): Decision {
  const { goMargin, backMargin, alpha, minimumLabels } = gate;
  const worse = { ratio: 1, margin: backMargin };
  const verdict = compared({ alpha, worse, noWorse: {} }, windowsOf(inputs));
  const { canary, baseline } = verdict;
  const enough = Math.min(canary.requests, baseline.requests) >= Math.max(1, minimumLabels);
  const difference =
    canary.rate === null || baseline.rate === null ? null : baseline.rate - canary.rate;
  const goes = enough && difference !== null && -difference <= goMargin;
  const test = { ...(verdict as unknown as JsonObject), accuracyDifference: difference };
  return { outcome: verdict.decision === 'worse' ? 'FAIL' : passed(goes), test };
}

export function decideAccuracyLimit(gate: Of<'accuracy-limit'>, inputs: JsonObject): Decision {
  const { goAt, backBelow, alpha, minimumLabels } = gate;
  const { requests, bad } = totalOf(windowsOf(inputs));
  const state = rateTest.update(rateTest.init({ limit: 1 - backBelow, alpha }), {
    successes: bad,
    trials: requests,
  });
  const verdict = rateTest.verdict(state);
  const share = requests === 0 ? null : 1 - bad / requests;
  const goes = requests >= Math.max(1, minimumLabels) && (share ?? 0) >= goAt;
  const outcome = rejects(verdict.above, alpha) ? 'FAIL' : passed(goes);
  return { outcome, test: { ...(verdict as unknown as JsonObject), share } };
}

/** How many classes are told apart: the further ones count as one. */
const mostClasses = 20;

/**
 * One comparison in each direction for each class: the mean of their e-values is one, whatever their dependence
 * (those of classes that never come are 1).
 */
export function decideDrift(gate: Of<'drift'>, inputs: JsonObject): Decision {
  const { tolerance, alpha, minimumItems } = gate;
  const windows = (inputs['windows'] ?? []) as unknown as readonly {
    readonly candidate: Readonly<Record<string, number>>;
    readonly baseline: Readonly<Record<string, number>>;
  }[];
  const classes = classesOf(assertList(windows, 'The windows of evidence'));
  const sum = (counts: Readonly<Record<string, number>>): number =>
    Object.values(counts).reduce((total, each) => total + each, 0);
  const evidence = classes.flatMap((name) =>
    [false, true].map((inverse) => {
      const bad = (counts: Readonly<Record<string, number>>): number => {
        const of = classCount(counts, name, classes);
        return inverse ? sum(counts) - of : of;
      };
      const counts = windows.map(({ candidate, baseline }) => ({
        canaryRequests: sum(candidate),
        canaryBad: bad(candidate),
        baselineRequests: sum(baseline),
        baselineBad: bad(baseline),
      }));
      const worse = { ratio: 1, margin: tolerance };
      return compared({ alpha, worse, noWorse: {} }, counts).worse;
    }),
  );
  const rest = Array.from({ length: 2 * mostClasses - evidence.length }, () => ({ logE: 0 }));
  const combined = meanOfE([...evidence, ...rest]);
  const items = windows.reduce((total, { candidate }) => total + sum(candidate), 0);
  const outcome = rejects(combined, alpha) ? 'FAIL' : passed(items >= Math.max(1, minimumItems));
  return { outcome, test: { ...combined, items, classes: [...classes] } };
}

export function decideMetric(
  gate: Of<'metric'>,
  figures: Pick<Evidence, 'estimate' | 'low' | 'high' | 'samples'>,
): Decision {
  const { estimate, low = estimate, high = estimate, samples } = figures;
  const { go, back = {}, minimumSamples } = gate;
  const test = { estimate: estimate ?? null, low: low ?? null, high: high ?? null, samples };
  if (estimate === undefined || low === undefined || high === undefined)
    return { outcome: 'INCONCLUSIVE', test };
  const below = back.min !== undefined && high < back.min;
  const above = back.max !== undefined && low > back.max;
  const inside = estimate >= (go.min ?? -Infinity) && estimate <= (go.max ?? Infinity);
  const goes = inside && samples >= Math.max(1, minimumSamples);
  return { outcome: below || above ? 'FAIL' : passed(goes), test };
}

export function decideReady(gate: Of<'ready'>, inputs: JsonObject): Decision {
  const { live = 0, replicas = 0 } = inputs as {
    readonly live?: number;
    readonly replicas?: number;
  };
  const failing = replicas === 0 ? 0 : ((replicas - live) / replicas) * 100;
  const outcome = failing > gate.failingPercent ? 'FAIL' : passed(live > 0);
  return { outcome, test: { live, replicas, failingPercent: failing } };
}

function passed(goes: boolean): 'PASS' | 'INCONCLUSIVE' {
  return goes ? 'PASS' : 'INCONCLUSIVE';
}

function compared(
  options: Parameters<typeof rateComparison.init>[0],
  windows: readonly Window[],
): RateComparisonVerdict {
  let state = rateComparison.init(options);
  for (const window of windows) state = rateComparison.update(state, window);
  return rateComparison.verdict(state);
}

function windowsOf(inputs: JsonObject): readonly Window[] {
  return assertList((inputs['windows'] ?? []) as unknown as Window[], 'The windows of evidence');
}

function totalOf(windows: readonly Window[]): { readonly requests: number; readonly bad: number } {
  return windows.reduce(
    (total, { canaryRequests, canaryBad }) => ({
      requests: total.requests + canaryRequests,
      bad: total.bad + canaryBad,
    }),
    { requests: 0, bad: 0 },
  );
}

function baselineShare(windows: readonly Window[]): number | null {
  const requests = windows.reduce((sum, each) => sum + each.baselineRequests, 0);
  const bad = windows.reduce((sum, each) => sum + each.baselineBad, 0);
  return requests === 0 ? null : bad / requests;
}

/** Stands for the further classes; no answer is written so. */
const others = '\uFFFFothers';

/** The classes that are told apart, in the order of their names. */
function classesOf(
  windows: readonly {
    readonly candidate: Readonly<Record<string, number>>;
    readonly baseline: Readonly<Record<string, number>>;
  }[],
): readonly string[] {
  const names = new Set(
    windows.flatMap(({ candidate, baseline }) => [
      ...Object.keys(candidate),
      ...Object.keys(baseline),
    ]),
  );
  const sorted = [...names].toSorted();
  if (sorted.length <= mostClasses) return sorted;
  return [...sorted.slice(0, mostClasses - 1), others];
}

function classCount(
  counts: Readonly<Record<string, number>>,
  name: string,
  classes: readonly string[],
): number {
  if (name !== others) return counts[name] ?? 0;
  const told = new Set(classes);
  return Object.entries(counts).reduce(
    (total, [each, count]) => (told.has(each) ? total : total + count),
    0,
  );
}
