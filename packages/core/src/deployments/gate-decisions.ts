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
    const verdict = comparedByUnits(alpha, { worse, noWorse, minimumCanaryRequests }, inputs);
    const outcomes = { worse: 'FAIL', 'no-worse': 'PASS', inconclusive: 'INCONCLUSIVE' } as const;
    return { outcome: outcomes[verdict.decision], test: verdict as unknown as JsonObject };
  }
  // What is worse is so from the first request on that shows it; only going on takes so many.
  const verdict = comparedByUnits(alpha, { worse, noWorse }, inputs);
  const { requests } = totalOf(windowsOf(inputs));
  const enough = requests >= Math.max(1, minimumCanaryRequests);
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
  const { isAbove, verdict } = aboveByUnits(backAbove, alpha, inputs);
  const goes = requests >= Math.max(1, minimumRequests) && (share ?? 1) <= goAt;
  return {
    outcome: isAbove ? 'FAIL' : passed(goes),
    test: { ...(verdict as unknown as JsonObject), share },
  };
}

/** Of the windows, the counts above the first limit let go on, those above the second turn back. */
export function decideLatency(gate: Of<'latency'>, inputs: JsonObject): Decision {
  const { quantile, alpha, minimumRequests } = gate;
  const allowed = 1 - quantile;
  const [slower = [], slow = []] = (inputs['limits'] ?? []) as unknown as readonly Window[][];
  const { requests, bad } = totalOf(slower);
  const share = requests === 0 ? null : bad / requests;
  const units = inputs['units'] as unknown as
    | readonly (readonly (readonly Window[])[])[]
    | undefined;
  const [ofGoing, ofBack] = units ?? [];
  const back = { windows: slow, ...(ofBack === undefined ? {} : { units: ofBack }) };
  const { isAbove, verdict: absolute } = aboveByUnits(allowed, alpha, asInputs(back));
  const comparison = comparedByUnits(alpha, { worse: {}, noWorse: {} }, asInputs(back));
  const fails = isAbove && (gate.alone === true || comparison.decision === 'worse');
  // Where the baseline itself is slower than it was, it is as much that counts.
  const ofBaseline = baselineShare(slower);
  const most = Math.max(allowed, ofBaseline ?? 0);
  // Two standard errors: of few requests a share is above its chance half of the time, of few users too.
  const users = (ofGoing ?? []).map((stage) => totalOf(stage).requests);
  const independent = ofGoing === undefined ? requests : Math.max(...users);
  const goesAt = most + 2 * Math.sqrt((most * (1 - most)) / Math.max(1, independent));
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
  const verdict = comparedByUnits(alpha, { worse, noWorse: {} }, inputs);
  const windows = windowsOf(inputs);
  const canary = totalOf(windows);
  const baseline = totalOf(windows.map(mirrored));
  const enough = Math.min(canary.requests, baseline.requests) >= Math.max(1, minimumLabels);
  const known = canary.requests > 0 && baseline.requests > 0;
  const difference = known ? baseline.bad / baseline.requests - canary.bad / canary.requests : null;
  const goes = enough && difference !== null && -difference <= goMargin;
  const test = { ...(verdict as unknown as JsonObject), accuracyDifference: difference };
  return { outcome: verdict.decision === 'worse' ? 'FAIL' : passed(goes), test };
}

export function decideAccuracyLimit(gate: Of<'accuracy-limit'>, inputs: JsonObject): Decision {
  const { goAt, backBelow, alpha, minimumLabels } = gate;
  const { requests, bad } = totalOf(windowsOf(inputs));
  const { isAbove, verdict } = aboveByUnits(1 - backBelow, alpha, inputs);
  const share = requests === 0 ? null : 1 - bad / requests;
  const goes = requests >= Math.max(1, minimumLabels) && (share ?? 0) >= goAt;
  return {
    outcome: isAbove ? 'FAIL' : passed(goes),
    test: { ...(verdict as unknown as JsonObject), share },
  };
}

/** How many classes are told apart: the further ones count as one. */
const mostClasses = 20;

/**
 * One comparison in each direction for each class: the mean of their e-values is one, whatever their dependence
 * (those of classes that never come are 1).
 */
export function decideDrift(gate: Of<'drift'>, inputs: JsonObject): Decision {
  const { tolerance, alpha, minimumItems } = gate;
  const windows = (inputs['windows'] ?? []) as unknown as readonly ClassWindow[];
  const classes = classesOf(assertList(windows, 'The windows of evidence'));
  const stages = (inputs['units'] ?? [windows]) as unknown as readonly (readonly ClassWindow[])[];
  const found = stages.map((stage) => differing(stage, classes, tolerance, alpha));
  const levels = levelsOf(alpha, inputs['units'] === undefined ? undefined : stages.length);
  const at = found.findIndex((each, i) => rejects(each, levels[i] ?? 0));
  const combined = found.at(at);
  const items = windows.reduce((total, { candidate }) => total + sumOf(candidate), 0);
  const outcome = at >= 0 ? 'FAIL' : passed(items >= Math.max(1, minimumItems));
  return { outcome, test: { ...combined, items, classes: [...classes] } };
}

type ClassWindow = Readonly<Record<'candidate' | 'baseline', Readonly<Record<string, number>>>>;

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, each) => total + each, 0);
}

/** That some class is answered more often, or more rarely, by more than the tolerance. */
function differing(
  windows: readonly ClassWindow[],
  classes: readonly string[],
  tolerance: number,
  alpha: number,
): ReturnType<typeof meanOfE> {
  const evidence = classes.flatMap((name) =>
    [false, true].map((inverse) => {
      const bad = (counts: Readonly<Record<string, number>>): number => {
        const of = classCount(counts, name, classes);
        return inverse ? sumOf(counts) - of : of;
      };
      const counts = windows.map(({ candidate, baseline }) => ({
        canaryRequests: sumOf(candidate),
        canaryBad: bad(candidate),
        baselineRequests: sumOf(baseline),
        baselineBad: bad(baseline),
      }));
      const worse = { ratio: 1, margin: tolerance };
      return compared({ alpha, worse, noWorse: {} }, counts).worse;
    }),
  );
  const rest = Array.from({ length: 2 * mostClasses - evidence.length }, () => ({ logE: 0 }));
  return meanOfE([...evidence, ...rest]);
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

/**
 * The levels of the stages' tests, together no more than `alpha`. In each stage the users that the candidate has are
 * drawn from all of them; what they did in the stage before is no news, so each stage has a test of its own.
 */
function levelsOf(alpha: number, stages: number | undefined): readonly number[] {
  if (stages === undefined) return [alpha];
  return Array.from({ length: stages }, (_, i) => alpha / 2 ** (i + 1));
}

/** What tests count, stage by stage: users where they are known, else all requests in one. */
function stagesOf(inputs: JsonObject): readonly (readonly Window[])[] {
  const units = inputs['units'] as unknown as readonly (readonly Window[])[] | undefined;
  return units ?? [windowsOf(inputs)];
}

function asInputs(of: {
  readonly windows: readonly Window[];
  readonly units?: readonly (readonly Window[])[];
}): JsonObject {
  return of as unknown as JsonObject;
}

/** The comparison of the stage that shows something, or else of the last. */
function comparedByUnits(
  alpha: number,
  options: Parameters<typeof rateComparison.init>[0],
  inputs: JsonObject,
): RateComparisonVerdict {
  const stages = stagesOf(inputs);
  const levels = levelsOf(alpha, inputs['units'] === undefined ? undefined : stages.length);
  const verdicts = levels.map((level, i) =>
    compared({ ...options, alpha: level }, stages[i] ?? []),
  );
  return (
    verdicts.find(({ decision }) => decision === 'worse') ??
    verdicts.find(({ decision }) => decision === 'no-worse') ??
    (verdicts.at(-1) as RateComparisonVerdict)
  );
}

/** Whether the candidate's share is shown to be above a limit, in some stage. */
function aboveByUnits(
  limit: number,
  alpha: number,
  inputs: JsonObject,
): { readonly isAbove: boolean; readonly verdict: ReturnType<typeof rateTest.verdict> } {
  const stages = stagesOf(inputs);
  const levels = levelsOf(alpha, inputs['units'] === undefined ? undefined : stages.length);
  const found = levels.map((level, i) => {
    const { requests: trials, bad: successes } = totalOf(stages[i] ?? []);
    const state = rateTest.init({ limit, alpha: level });
    return rateTest.verdict(rateTest.update(state, { successes, trials }));
  });
  const at = found.findIndex(({ above }, i) => rejects(above, levels[i] ?? 0));
  const verdict = found.at(at) as (typeof found)[number];
  return { isAbove: at >= 0, verdict };
}

function mirrored(window: Window): Window {
  const { canaryRequests, canaryBad, baselineRequests, baselineBad } = window;
  return {
    ...{ canaryRequests: baselineRequests, canaryBad: baselineBad },
    ...{ baselineRequests: canaryRequests, baselineBad: canaryBad },
  };
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
