import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SeededRandom, seededRandom } from '../random/seeded-random.ts';
import { type BinnedMethod, binnedDrift } from './binned-drift.ts';
import { categoryBins, countCategories } from './category-bins.ts';
import { contingencyDrift } from './contingency-drift.ts';
import { datasetDrift } from './dataset-drift.ts';
import { minimumCounts } from './drift-result.ts';
import { categoricalDrift, numericDrift, shareDrift } from './feature-drift.ts';
import { countInBins, nextUp, quantileBins, valueBins } from './numeric-bins.ts';
import { type SampleMethod, sampleDrift } from './sample-drift.ts';
import { type DriftMethod, severityBands, severityOf } from './severity.ts';
import { sharesOf } from './shares.ts';

const sampleMethods: readonly SampleMethod[] = [
  'kolmogorov-smirnov',
  'wasserstein',
  'welch',
  'mann-whitney',
];
const binnedMethods: readonly BinnedMethod[] = [
  'psi',
  'jensen-shannon',
  'kullback-leibler',
  'hellinger',
  'total-variation',
  'largest-difference',
  'chi-squared',
];

function normals(random: SeededRandom, count: number, mean = 0, deviation = 1): Float64Array {
  return Float64Array.from({ length: count }, () => mean + deviation * random.normal()).sort();
}

describe('chance thresholds', () => {
  // Without drift, p ≤ 0.05 and score > threshold must each happen in about 5 % of windows.
  const runs = 600;

  function shareBeyondChance(
    n: number,
    m: number,
    law: (random: SeededRandom, count: number) => Float64Array,
  ) {
    const byP = new Map<DriftMethod, number>();
    const byThreshold = new Map<DriftMethod, number>();
    for (let run = 0; run < runs; run += 1) {
      const random = seededRandom(`chance/${n}/${m}/${run}`);
      const [reference, current] = [law(random, n), law(random, m)];
      const bins = quantileBins(reference);
      const counts = [countInBins(bins, reference), countInBins(bins, current)] as const;
      const options = { minimum: 1, effectThreshold: 0 };
      for (const method of [...sampleMethods, ...binnedMethods]) {
        const result = (sampleMethods as readonly string[]).includes(method)
          ? sampleDrift(method as SampleMethod, reference, current, options)
          : binnedDrift(method as BinnedMethod, ...counts, options);
        if ((result.pValue as number) <= 0.05) byP.set(method, (byP.get(method) ?? 0) + 1);
        if ((result.score as number) > (result.chanceThreshold as number))
          byThreshold.set(method, (byThreshold.get(method) ?? 0) + 1);
      }
    }
    return { byP, byThreshold };
  }

  it.each([
    ['normal', 300, 300, (random: SeededRandom, count: number) => normals(random, count)],
    [
      'skewed',
      1000,
      250,
      (random: SeededRandom, count: number) => normals(random, count).map((x) => Math.exp(1.2 * x)),
    ],
  ] as const)('%s values, %d against %d: every method keeps 5 %%', (_, n, m, law) => {
    const { byP, byThreshold } = shareBeyondChance(n, m, law);
    const highest = 0.05 + 4 * Math.sqrt((0.05 * 0.95) / runs);
    for (const method of [...sampleMethods, ...binnedMethods]) {
      for (const beyond of [byP, byThreshold]) {
        expect((beyond.get(method) ?? 0) / runs, method).toBeLessThanOrEqual(highest);
      }
      expect((byP.get(method) ?? 0) / runs, method).toBeGreaterThan(0.015);
    }
  });

  it('a fixed PSI threshold of 0.1 alone would cry wolf on small samples', () => {
    let alarms = 0;
    for (let run = 0; run < 200; run += 1) {
      const random = seededRandom(`fixed/${run}`);
      const [reference, current] = [normals(random, 100), normals(random, 100)];
      const bins = quantileBins(reference);
      const result = binnedDrift('psi', countInBins(bins, reference), countInBins(bins, current), {
        minimum: 1,
        emptyBins: 'evidently',
      });
      if ((result.score as number) >= 0.1) alarms += 1;
      if (result.detected) expect(result.score as number).toBeGreaterThan(0.25);
    }
    expect(alarms).toBeGreaterThan(140);
  });
});

describe('severity', () => {
  it('N(0,1) against N(0.5,1) with 1,000 values is MEDIUM by the default method', () => {
    const random = seededRandom('medium');
    let medium = 0;
    for (let run = 0; run < 40; run += 1) {
      const { values } = numericDrift(normals(random, 1000), normals(random, 1000, 0.5));
      expect(values.method).toBe('kolmogorov-smirnov');
      expect(values.detected).toBe(true);
      if (values.severity === 'MEDIUM') medium += 1;
    }
    expect(medium).toBeGreaterThan(25);
    const psi = numericDrift(normals(random, 1000), normals(random, 1000, 0.5), {
      method: 'psi',
    }).values;
    expect(psi.score).toBeGreaterThan(0.17);
    expect(psi.score).toBeLessThan(0.33);
  });

  it('every method has the same severity for the same shift of a normal distribution', () => {
    const random = seededRandom('bands');
    const n = 40_000;
    for (const [shift, severity] of [
      [0.2, 'NONE'],
      [0.36, 'LOW'],
      [0.62, 'MEDIUM'],
      [0.79, 'HIGH'],
      [1.1, 'CRITICAL'],
    ] as const) {
      const [reference, current] = [normals(random, n), normals(random, n, shift)];
      const bins = quantileBins(reference, 40);
      const counts = [countInBins(bins, reference), countInBins(bins, current)] as const;
      for (const method of sampleMethods)
        expect(sampleDrift(method, reference, current).severity, method).toBe(severity);
      for (const method of binnedMethods) {
        // The largest difference of one share depends on the number of bins; chi-squared has a bounded score.
        if (method === 'largest-difference' || method === 'chi-squared') continue;
        expect(binnedDrift(method, ...counts).severity, method).toBe(severity);
      }
    }
  });

  it('follows its bands, and is NONE where drift was not detected', () => {
    for (const [method, bands] of Object.entries(severityBands)) {
      expect([...bands]).toEqual([...bands].sort((a, b) => a - b));
      expect(bands.map((band) => severityOf(method as DriftMethod, band))).toEqual([
        'LOW',
        'MEDIUM',
        'HIGH',
        'CRITICAL',
      ]);
      expect(severityOf(method as DriftMethod, bands[0] - 1e-9)).toBe('NONE');
    }
    const small = sampleDrift('wasserstein', Float64Array.of(1, 2, 3), Float64Array.of(1, 2, 9), {
      minimum: 1,
    });
    expect(small).toMatchObject({ detected: false, severity: 'NONE' });
    expect(small.score).toBeGreaterThan(2);
  });
});

describe('not enough data', () => {
  it.each(sampleMethods)('%s below its minimum', (method) => {
    const minimum = minimumCounts[method];
    const random = seededRandom(method);
    const [few, enough] = [normals(random, minimum - 1), normals(random, minimum)];
    expect(sampleDrift(method, few, enough)).toMatchObject({
      outcome: 'not-enough-data',
      score: null,
      pValue: null,
      detected: false,
      minimum,
    });
    expect(sampleDrift(method, enough, few).outcome).toBe('not-enough-data');
    expect(sampleDrift(method, enough, enough).outcome).toBe('measured');
  });

  it.each(binnedMethods)('%s below its minimum, or empty', (method) => {
    const minimum = minimumCounts[method];
    expect(binnedDrift(method, [minimum, 0], [0, minimum - 1]).outcome).toBe('not-enough-data');
    expect(binnedDrift(method, [0, 0], [5, 5], { minimum: 0 }).outcome).toBe('not-enough-data');
    expect(binnedDrift(method, [minimum, 0], [minimum, 0])).toMatchObject({
      outcome: 'measured',
      score: 0,
      detected: false,
    });
  });

  it('an empty column is an answer, not an error', () => {
    for (const method of [...sampleMethods, ...binnedMethods]) {
      expect(numericDrift([], [1, 2], { method }).values.outcome, method).toBe('not-enough-data');
      expect(
        numericDrift([null, Number.NaN, Infinity], [1], { method }).values.outcome,
        method,
      ).toBe('not-enough-data');
    }
    expect(categoricalDrift([], ['a']).values.outcome).toBe('not-enough-data');
  });
});

describe('columns', () => {
  const constant = (value: number, count = 1200) => new Array<number>(count).fill(value);

  it('a constant that stays is no drift, and one that moves is, by every method', () => {
    for (const method of [...sampleMethods, ...binnedMethods]) {
      expect(numericDrift(constant(7), constant(7), { method }).values, method).toMatchObject({
        outcome: 'measured',
        score: 0,
        detected: false,
      });
      const moved = numericDrift(constant(7), constant(7.5), { method }).values;
      expect(moved, method).toMatchObject({
        outcome: 'measured',
        detected: true,
        severity: method === 'wasserstein' ? 'MEDIUM' : 'CRITICAL',
      });
      expect(JSON.parse(JSON.stringify(moved))).toEqual(moved);
    }
    expect(
      numericDrift(constant(7), constant(7.5), { method: 'wasserstein' }).values.notes.join(),
    ).toContain('scaled by none');
  });

  it('missing and infinite entries are drift of their own', () => {
    const random = seededRandom('missing');
    const complete = [...normals(random, 400)];
    const holes = [
      ...complete.slice(0, 340),
      ...new Array<null>(40).fill(null),
      ...new Array<number>(20).fill(Infinity),
    ];
    const drift = numericDrift(complete, holes);
    expect(drift.values.currentCount).toBe(340);
    expect(drift.missing).toMatchObject({
      detected: true,
      current: { successes: 40, trials: 400 },
    });
    expect(drift.infinite).toMatchObject({
      detected: true,
      current: { successes: 20, trials: 400 },
    });
    expect(numericDrift(complete, complete).missing).toMatchObject({ detected: false, pValue: 1 });
    expect(shareDrift({ successes: 0, trials: 0 }, { successes: 1, trials: 2 })).toMatchObject({
      pValue: null,
      detected: false,
    });
    expect(
      shareDrift({ successes: 1000, trials: 100_000 }, { successes: 1500, trials: 100_000 })
        .detected,
    ).toBe(false);
  });

  it('choose a method by type and size', () => {
    const random = seededRandom('choice');
    const method = (n: number, m: number) =>
      numericDrift(normals(random, n), normals(random, m)).values.method;
    expect([method(1000, 5000), method(1001, 1000), method(5000, 999)]).toEqual([
      'kolmogorov-smirnov',
      'wasserstein',
      'kolmogorov-smirnov',
    ]);
    const flags = (count: number) => Array.from({ length: count }, (_, index) => index % 3);
    expect(numericDrift(flags(300), flags(300)).values.method).toBe('chi-squared');
    expect(numericDrift(flags(1300), flags(600)).values.method).toBe('jensen-shannon');
    expect(categoricalDrift(['a', 'b'], ['a']).values.method).toBe('chi-squared');
  });

  it('categories keep their type, and new and vanished ones are named', () => {
    const reference = [1, '1', true, 'true', '__proto__', '1', null];
    const bins = categoryBins(reference);
    expect(bins.categories).toEqual(['1', true, 1, '__proto__', 'true']);
    const counted = countCategories(bins, [1, 1, 'constructor', false, undefined, Number.NaN]);
    expect(counted.counts).toEqual([0, 0, 2, 0, 0, 2, 2]);
    expect(counted.others).toEqual([
      { category: 'constructor', count: 1 },
      { category: false, count: 1 },
    ]);
    expect(counted.vanished).toEqual(['1', true, '__proto__', 'true']);
    const drift = categoricalDrift(new Array<string>(100).fill('a'), [
      ...new Array<string>(80).fill('a'),
      ...new Array<string>(20).fill('new'),
    ]);
    expect(drift).toMatchObject({
      values: { detected: true },
      others: [{ category: 'new', count: 20 }],
      vanished: [],
    });
    expect(categoryBins(['a', 'b', 'b', 'c'], 2).categories).toEqual(['b', 'a']);
  });

  it('say the same for the same data, bit for bit', () => {
    const make = () => {
      const random = seededRandom('bits');
      return numericDrift(normals(random, 1500), normals(random, 1500, 0.1), {
        method: 'wasserstein',
      });
    };
    expect(JSON.stringify(make())).toBe(JSON.stringify(make()));
  });
});

describe('bins', () => {
  it('count every value once, and merge by addition', () => {
    const numbers = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), {
      minLength: 1,
      maxLength: 50,
    });
    fc.assert(
      fc.property(numbers, numbers, numbers, (reference, a, b) => {
        const ascending = Float64Array.from(reference).sort();
        for (const bins of [quantileBins(ascending), valueBins(ascending)]) {
          expect([...bins.edges]).toEqual([...new Set(bins.edges)].sort((x, y) => x - y));
          const together = countInBins(bins, [...a, ...b]);
          const apart = countInBins(bins, a).map(
            (count, index) => count + (countInBins(bins, b)[index] as number),
          );
          expect(together).toEqual(apart);
          expect(together.reduce((sum, count) => sum + count, 0)).toBe(a.length + b.length);
        }
      }),
    );
  });

  it('the next float is the next float', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: -1e300, max: 1e300 }), (value) => {
        const up = nextUp(value);
        expect(up).toBeGreaterThan(value);
        const middle = value + (up - value) / 2;
        expect(middle === value || middle === up).toBe(true);
      }),
    );
    expect(nextUp(-0)).toBe(Number.MIN_VALUE);
    expect(nextUp(-Number.MIN_VALUE)).toBe(0);
  });

  it('refuse nonsense', () => {
    expect(() => quantileBins([])).toThrow('at least one');
    expect(() => quantileBins([1], 1)).toThrow('at least 2');
    expect(() => sharesOf([0, 0])).toThrow('not all 0');
    expect(() => sharesOf([1, -1])).toThrow('from 0 on');
    expect(() => binnedDrift('psi', [1], [1, 2])).toThrow('as many');
  });
});

describe('chi-squared on sparse counts', () => {
  it('pools the rarest categories, and falls back to permutations', () => {
    expect(contingencyDrift([100, 3, 1, 1], [90, 10, 2, 1], 0.05).notes).toEqual([
      'the 3 rarest categories were pooled',
    ]);
    const tiny = contingencyDrift([3, 0], [0, 3], 0.05);
    expect((tiny.notes ?? []).join()).toContain('permutations');
    // Of the 20 ways to split six, two are this far apart.
    expect(tiny.pValue).toBeGreaterThan(0.07);
    expect(tiny.pValue).toBeLessThan(0.13);
    expect(contingencyDrift([3, 0], [0, 3], 0.05)).toEqual(tiny);
  });
});

describe('a window of many features', () => {
  const random = seededRandom('a window');
  const still = () => numericDrift(normals(random, 300), normals(random, 300)).values;
  const moved = (shift: number) =>
    numericDrift(normals(random, 300), normals(random, 300, shift)).values;

  it('names what drifted, weighs it, and keeps small samples out', () => {
    const result = datasetDrift([
      { feature: 'a', result: moved(1), importance: 3 },
      { feature: 'b', result: still(), importance: 1 },
      { feature: 'c', result: numericDrift([1, 2], [3]).values, importance: 10 },
    ]);
    expect(result).toMatchObject({
      detected: true,
      driftedShare: 0.5,
      weightedShare: 0.75,
      severity: 'CRITICAL',
    });
    expect(result.features.map((row) => row.detected)).toEqual([true, false, false]);
    expect(result.features[2]).toMatchObject({ adjustedPValue: null, importance: 0 });
    expect(result.score).toBeCloseTo(0.75 * (result.features[0]?.excess as number), 12);
    expect(datasetDrift([])).toMatchObject({ detected: false, driftedShare: 0, severity: 'NONE' });
    expect(() => datasetDrift([{ feature: 'a', result: still(), importance: -1 }])).toThrow(
      'from 0 on',
    );
  });

  it('a drift in little of the importance does not set the severity of the whole', () => {
    const result = datasetDrift([
      { feature: 'a', result: moved(2), importance: 1 },
      { feature: 'b', result: still(), importance: 9 },
    ]);
    expect(result).toMatchObject({ detected: true, severity: 'LOW' });
  });

  it('twenty features without drift raise a false alarm in about 5 % of windows, not 64 %', () => {
    const runs = 300;
    let corrected = 0;
    let uncorrected = 0;
    for (let run = 0; run < runs; run += 1) {
      const own = seededRandom(`features/${run}`);
      const features = Array.from({ length: 20 }, (_, index) => ({
        feature: `f${index}`,
        result: sampleDrift('kolmogorov-smirnov', normals(own, 60), normals(own, 60), {
          effectThreshold: 0,
        }),
      }));
      if (datasetDrift(features).detected) corrected += 1;
      if (features.some(({ result }) => result.detected)) uncorrected += 1;
    }
    expect(corrected / runs).toBeLessThanOrEqual(0.05 + 3 * Math.sqrt((0.05 * 0.95) / runs));
    expect(uncorrected / runs).toBeGreaterThan(0.3);
  });
});
