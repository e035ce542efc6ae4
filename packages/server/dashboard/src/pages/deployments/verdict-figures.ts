import type { GateVerdict, Rollout } from '@keelson/core';
import { showNumber, showShare } from '../../parts/format.ts';

/** A share of one version with its interval. */
export interface ArmShare {
  readonly name: string;
  readonly share: number;
  readonly low?: number;
  readonly high?: number;
  /** How many it was counted of. */
  readonly of?: number;
}

/** An e-value, and from which on it decides. */
export interface Evidence {
  readonly claim: string;
  readonly logE: number;
  readonly alpha: number;
  readonly turnsBack: boolean;
}

/** What a verdict can be drawn from. */
export interface VerdictFigures {
  /** What the shares are of. */
  readonly about: string;
  readonly arms: readonly ArmShare[];
  /** A line that the shares are held against. */
  readonly limit?: number;
  readonly evidence: readonly Evidence[];
  /** Class → share of each version. */
  readonly classes: readonly (readonly [name: string, candidate: number, baseline: number])[];
  /** Requests and bad ones of both, window by window. */
  readonly windows: readonly Window[];
  readonly facts: readonly (readonly [string, string])[];
}

/** Counts of both versions in one window. */
export interface Window {
  readonly canaryRequests: number;
  readonly canaryBad: number;
  readonly baselineRequests: number;
  readonly baselineBad: number;
}

interface Rate {
  readonly requests: number;
  readonly rate: number | null;
  readonly interval: { readonly low: number; readonly high: number };
}

interface EValue {
  readonly logE: number;
}

type Test = Readonly<Record<string, unknown>>;

const abouts: Readonly<Record<string, string>> = {
  'paired-accuracy': 'right answers to the same requests',
  'error-rate': 'requests that failed',
  'error-limit': 'requests that failed',
  latency: 'answers slower than may be',
  accuracy: 'wrong answers',
  'accuracy-limit': 'wrong answers',
  drift: 'answers by class',
};

/** Reads the stored evidence of a gate into what is drawn. What it does not know is shown as it is stored. */
export function figuresOf(
  { gate, test, inputs }: GateVerdict,
  { candidate, baseline }: Pick<Rollout, 'candidate' | 'baseline'>,
): VerdictFigures {
  const about = abouts[gate.gate] ?? gate.gate;
  const alpha = numberOf(test['alpha']) ?? numberOf((gate as unknown as Test)['alpha']) ?? 0.05;
  const none = { about, arms: [], evidence: [], classes: [], windows: [], facts: [] };
  const evidence = (
    of: Test,
    claims: readonly (readonly [string, string, boolean])[],
  ): Evidence[] =>
    claims.flatMap(([key, claim, turnsBack]) => {
      const logE = numberOf((of[key] as EValue | undefined)?.logE);
      return logE === undefined
        ? []
        : [{ claim, logE, alpha: numberOf(of['alpha']) ?? alpha, turnsBack }];
    });
  const armsOf = (of: Test): ArmShare[] =>
    (
      [
        ['canary', candidate],
        ['baseline', baseline],
      ] as const
    ).flatMap(([key, name]) => {
      const rate = of[key] as Rate | undefined;
      return rate === undefined || rate.rate === null
        ? []
        : [{ name, share: rate.rate, ...rate.interval, of: rate.requests }];
    });
  const windows = (inputs['windows'] ?? []) as unknown as readonly Window[];
  switch (gate.gate) {
    case 'error-rate':
    case 'accuracy': {
      const goes =
        gate.gate === 'accuracy'
          ? `at most ${showShare(gate.goMargin)} fewer right answers, of ${gate.minimumLabels} labels`
          : `${gate.minimumCanaryRequests} requests`;
      return {
        ...{ about, classes: [], windows, arms: armsOf(test) },
        evidence: evidence(test, [
          ['worse', 'the candidate is worse', true],
          ['noWorse', 'it is no worse', false],
        ]),
        facts: [['Goes on with', goes]],
      };
    }
    case 'error-limit':
    case 'accuracy-limit': {
      const rate = numberOf(test['rate']);
      const interval = test['interval'] as Rate['interval'] | undefined;
      const limit = gate.gate === 'error-limit' ? gate.backAbove : 1 - gate.backBelow;
      const counted = numberOf(test['trials']) ?? numberOf(test['requests']);
      const share = rate ?? numberOf(test['share']);
      const of = counted === undefined ? {} : { of: counted };
      return {
        ...{ about, classes: [], windows, limit },
        arms: share === undefined ? [] : [{ name: candidate, share, ...interval, ...of }],
        evidence: evidence(test, [['above', `it is above ${showShare(limit)}`, true]]),
        facts: [
          [
            'Goes on with',
            gate.gate === 'error-limit'
              ? `${showShare(gate.goAt)} at most, of ${gate.minimumRequests} requests`
              : `${showShare(gate.goAt)} right at least, of ${gate.minimumLabels} labels`,
          ],
        ],
      };
    }
    case 'paired-accuracy': {
      const shareOf = (key: string, name: string): ArmShare[] => {
        const share = numberOf(test[key]);
        return share === undefined ? [] : [{ name, share }];
      };
      const { low, high } = (test['interval'] ?? {}) as Partial<Rate['interval']>;
      return {
        ...{ about, classes: [], windows: [] },
        arms: [
          ...shareOf('candidateAccuracy', candidate),
          ...shareOf('baselineAccuracy', baseline),
        ],
        evidence: evidence(test, [
          ['worse', 'the candidate is worse', true],
          ['noWorse', `it is worse by ${showShare(gate.margin)} at most`, false],
          ['better', 'it is better', false],
        ]),
        facts: [
          ['Difference', `${points(test['difference'])} (${points(low)} … ${points(high)})`],
          ['Both right', showNumber(numberOf(inputs['bothRight']))],
          ['Candidate alone', showNumber(numberOf(inputs['candidateOnly']))],
          ['Baseline alone', showNumber(numberOf(inputs['baselineOnly']))],
          ['Neither', showNumber(numberOf(inputs['bothWrong']))],
        ],
      };
    }
    case 'latency': {
      const absolute = (test['absolute'] ?? {}) as Test;
      const comparison = (test['comparison'] ?? {}) as Test;
      const [slower = []] = (inputs['limits'] ?? []) as unknown as readonly Window[][];
      const allowed = numberOf(test['allowed']);
      return {
        ...{ about, classes: [], windows: slower },
        ...(allowed === undefined ? {} : { limit: allowed }),
        arms: [
          ...armOf(candidate, numberOf(test['share'])),
          ...armOf(baseline, numberOf(test['baselineShare'])),
        ],
        evidence: [
          ...evidence(absolute, [['above', 'it is slower than may be', true]]),
          ...evidence(comparison, [['worse', 'it is slower than the baseline', true]]),
        ],
        facts: [['Quantile', `p${showNumber(gate.quantile * 100)}`]],
      };
    }
    case 'drift':
      return {
        ...{ about, arms: [], windows: [], classes: classesOf(inputs['windows']) },
        evidence: evidence({ whole: test }, [
          ['whole', `a class differs by more than ${showShare(gate.tolerance)}`, true],
        ]),
        facts: [['Answers', showNumber(numberOf(test['items']))]],
      };
    case 'ready':
      return {
        ...none,
        facts: [
          [
            'Replicas that answer',
            `${showNumber(numberOf(test['live']))} of ${showNumber(numberOf(test['replicas']))}`,
          ],
        ],
      };
    default:
      return {
        ...none,
        facts: Object.entries(test).map(([key, value]) => [key, JSON.stringify(value)]),
      };
  }
}

function armOf(name: string, share: number | undefined): ArmShare[] {
  return share === undefined ? [] : [{ name, share }];
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function points(value: unknown): string {
  return typeof value === 'number' ? `${showNumber(value * 100)} points` : '–';
}

function classesOf(windows: unknown): VerdictFigures['classes'] {
  const sums: Record<'candidate' | 'baseline', Map<string, number>> = {
    candidate: new Map(),
    baseline: new Map(),
  };
  for (const window of (windows ?? []) as readonly Readonly<
    Record<'candidate' | 'baseline', Readonly<Record<string, number>>>
  >[]) {
    for (const arm of ['candidate', 'baseline'] as const) {
      for (const [name, count] of Object.entries(window[arm]))
        sums[arm].set(name, (sums[arm].get(name) ?? 0) + count);
    }
  }
  const total = (arm: 'candidate' | 'baseline'): number =>
    Math.max(
      1,
      [...sums[arm].values()].reduce((sum, each) => sum + each, 0),
    );
  const names = [...new Set([...sums.candidate.keys(), ...sums.baseline.keys()])].sort();
  return names.map((name) => [
    name,
    (sums.candidate.get(name) ?? 0) / total('candidate'),
    (sums.baseline.get(name) ?? 0) / total('baseline'),
  ]);
}
