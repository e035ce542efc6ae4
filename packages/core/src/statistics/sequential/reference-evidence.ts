import { clopperPearsonInterval, type Rate } from '../intervals/rate-interval.ts';

/**
 * How much a sample speaks against rates outside an interval: at least e^`logE`, while rates inside the
 * interval before it have less. Plain JSON.
 */
export type EvidenceStep = { readonly logE: number; readonly low: number; readonly high: number };

/**
 * Which chances of being outside an interval the evidence pays for, and the weight of each; `alpha` is the
 * level for which it is made. The weights were tuned for the least detectable change over samples from
 * a tenth to 25 times as large as the stream; together with the third of the capital that the stream's
 * evidence always keeps, the step at 0.088 alpha is just enough.
 */
function payments(alpha: number): readonly { readonly chance: number; readonly weight: number }[] {
  const last = 0.088 * alpha;
  return [
    { chance: 0.3, weight: 0.1 },
    { chance: Math.sqrt(0.3 * alpha), weight: 0.06 },
    { chance: alpha, weight: 0.06 },
    { chance: 0.4 * alpha, weight: 0.18 },
    { chance: last, weight: 0.22 },
    ...Array.from({ length: furtherSteps }, (_, index) => ({
      chance: last * 10 ** -(index + 1),
      weight: 0.12 / furtherSteps,
    })),
  ];
}

/** The weight that pays always; all weights sum to 1. */
const unconditional = 0.26;

/** Further payments, each for a chance ten times smaller than the one before. */
const furtherSteps = 15;

/**
 * The evidence of one finished sample against every possible rate, as nested intervals: the rates of a step
 * lie in its interval and not in those before, and the evidence against them is e^`logE`. The last interval is
 * [0, 1]. For every rate the expected evidence is at most 1: each payment of weight/chance falls due with
 * at most that chance (the rate is outside the Clopper–Pearson interval of level 1 − chance). It is sharpest
 * for tests of level `alpha` (at most 0.3).
 */
export function referenceEvidence(sample: Rate, alpha: number): readonly EvidenceStep[] {
  const steps: EvidenceStep[] = [];
  let gained = unconditional;
  for (const { chance, weight } of payments(Math.min(0.3, alpha))) {
    steps.push({ logE: Math.log(gained), ...clopperPearsonInterval(sample, chance) });
    gained += weight / chance;
  }
  return [...steps, { logE: Math.log(gained), low: 0, high: 1 }];
}
