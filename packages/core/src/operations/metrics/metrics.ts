import { type MetricName, metricCatalogue } from './metric-catalogue.ts';

/** Counts of one histogram's label set: a number for each bucket, and the sum. */
interface Observed {
  readonly counts: number[];
  count: number;
  sum: number;
}

const separator = '\u0000';

/**
 * The metrics of a process: plain numbers, made text when they are asked for. Names are of the catalogue,
 * values of labels anything: beyond a metric's bound they are all `other`.
 */
export class Metrics {
  readonly #numbers = new Map<MetricName, Map<string, number>>();
  readonly #histograms = new Map<MetricName, Map<string, Observed>>();

  /** Adds to a counter, or to a gauge that was cleared. */
  add(name: MetricName, labels: readonly string[] = [], amount = 1): void {
    const all = childOf(this.#numbers, name);
    const key = keyIn(all, name, labels);
    all.set(key, (all.get(key) ?? 0) + amount);
  }

  /** Sets a gauge, or a counter that is counted elsewhere. */
  set(name: MetricName, labels: readonly string[], value: number): void {
    const all = childOf(this.#numbers, name);
    all.set(keyIn(all, name, labels), value);
  }

  /** Adds one observation to a histogram. */
  observe(name: MetricName, labels: readonly string[], value: number): void {
    const all = childOf(this.#histograms, name);
    const key = keyIn(all, name, labels);
    const { buckets = [] } = metricCatalogue[name];
    let observed = all.get(key);
    if (observed === undefined) {
      observed = { counts: buckets.map(() => 0), count: 0, sum: 0 };
      all.set(key, observed);
    }
    observed.count += 1;
    observed.sum += value;
    const bucket = buckets.findIndex((bound) => value <= bound);
    if (bucket >= 0) observed.counts[bucket] = (observed.counts[bucket] as number) + 1;
  }

  /** Sets a histogram that is counted elsewhere: how many are at most each bound, and all of them. */
  setHistogram(
    name: MetricName,
    labels: readonly string[],
    observed: { readonly upTo: readonly number[]; readonly count: number; readonly sum: number },
  ): void {
    const all = childOf(this.#histograms, name);
    const { upTo, count, sum } = observed;
    const counts = upTo.map((value, i) => value - (upTo[i - 1] ?? 0));
    all.set(keyIn(all, name, labels), { counts, count, sum });
  }

  /** Forgets a metric's values: those of a gauge that is about to be read anew. */
  clear(name: MetricName): void {
    this.#numbers.delete(name);
  }

  /** Prometheus's text format 0.0.4; metrics that have no value yet are left out. */
  text(): string {
    const parts: string[] = [];
    for (const name of Object.keys(metricCatalogue) as MetricName[]) {
      const lines = [...this.#numberLines(name), ...this.#histogramLines(name)];
      if (lines.length === 0) continue;
      const { help, type } = metricCatalogue[name];
      parts.push(`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`, ...lines);
    }
    return parts.length === 0 ? '' : `${parts.join('\n')}\n`;
  }

  *#numberLines(name: MetricName): Iterable<string> {
    for (const [key, value] of this.#numbers.get(name) ?? []) {
      yield `${name}${labelText(name, key)} ${numberText(value)}`;
    }
  }

  *#histogramLines(name: MetricName): Iterable<string> {
    const { buckets = [] } = metricCatalogue[name];
    for (const [key, { counts, count, sum }] of this.#histograms.get(name) ?? []) {
      let upTo = 0;
      for (const [i, bound] of buckets.entries()) {
        upTo += counts[i] as number;
        yield `${name}_bucket${labelText(name, key, String(bound))} ${upTo}`;
      }
      yield `${name}_bucket${labelText(name, key, '+Inf')} ${count}`;
      yield `${name}_sum${labelText(name, key)} ${numberText(sum)}`;
      yield `${name}_count${labelText(name, key)} ${count}`;
    }
  }
}

/** What the text is, for the header of an answer. */
export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8';

function childOf<T>(parents: Map<MetricName, Map<string, T>>, name: MetricName): Map<string, T> {
  let child = parents.get(name);
  if (child === undefined) {
    child = new Map();
    parents.set(name, child);
  }
  return child;
}

/** The key of a label set; that of `other` for one too many. */
function keyIn(
  all: ReadonlyMap<string, unknown>,
  name: MetricName,
  labels: readonly string[],
): string {
  // Most sets were seen before. What has a separator in it is never among the keys as it is.
  const given = labels.length === 1 ? (labels[0] as string) : labels.join(separator);
  if (all.has(given)) return given;
  const key = labels.map((value) => value.replaceAll(separator, '')).join(separator);
  const { maxSeries, labels: names } = metricCatalogue[name];
  if (all.has(key) || all.size < maxSeries - 1 || names.length === 0) return key;
  return names.map(() => 'other').join(separator);
}

function labelText(name: MetricName, key: string, bound?: string): string {
  const { labels } = metricCatalogue[name];
  const values = key.split(separator);
  const pairs = labels.map((label, i) => `${label}="${escapeLabel(values[i] ?? '')}"`);
  if (bound !== undefined) pairs.push(`le="${bound}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeLabel(text: string): string {
  return text
    .toWellFormed()
    .slice(0, 200)
    .toWellFormed()
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n');
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}
