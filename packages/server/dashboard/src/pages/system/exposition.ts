/** One figure of Prometheus's text format. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A distribution, as far as its buckets tell. */
export interface Distribution {
  readonly labels: Readonly<Record<string, string>>;
  readonly count: number;
  readonly sum: number;
  /** Upper bounds with how many are not above. */
  readonly buckets: readonly (readonly [bound: number, count: number])[];
}

/** Reads Prometheus's text format (0.0.4). */
export function readExposition(text: string): readonly Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const [, name, inside = '', value] =
      /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$/.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const labels: Record<string, string> = {};
    for (const [, key = '', of = ''] of inside.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[key] = of.replace(/\\(.)/g, (_, each: string) => (each === 'n' ? '\n' : each));
    }
    samples.push({ name, labels, value: numberOf(value) });
  }
  return samples;
}

/** The figures of a name. */
export function samplesOf(all: readonly Sample[], name: string): readonly Sample[] {
  return all.filter((sample) => sample.name === name);
}

/** The distributions of a histogram, one for each set of labels. */
export function distributionsOf(all: readonly Sample[], name: string): readonly Distribution[] {
  const found = new Map<
    string,
    { labels: Record<string, string>; count: number; sum: number; buckets: [number, number][] }
  >();
  for (const { name: of, labels, value } of all) {
    if (!of.startsWith(`${name}_`)) continue;
    const { le, ...rest } = labels;
    const key = JSON.stringify(rest);
    const one = found.get(key) ?? { labels: rest, count: 0, sum: 0, buckets: [] };
    found.set(key, one);
    if (of === `${name}_count`) one.count = value;
    if (of === `${name}_sum`) one.sum = value;
    if (of === `${name}_bucket` && le !== undefined) one.buckets.push([numberOf(le), value]);
  }
  return [...found.values()].filter(({ count }) => count > 0);
}

/** The bound below which such a share lies: exact to a bucket. */
export function quantileOf({ buckets, count }: Distribution, share: number): number {
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  return sorted.find(([, below]) => below >= share * count)?.[0] ?? Number.POSITIVE_INFINITY;
}

function numberOf(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  return text === '-Inf' ? Number.NEGATIVE_INFINITY : Number(text);
}
