import type { InferenceBatch, ModelSignature, TensorSpec } from '../../contracts/model-runtime.ts';
import type { JsonObject } from '../../json.ts';
import { median, quantile, sorted } from '../../statistics/index.ts';
import { formatBytes, formatNumber } from '../../tracking/format-figures.ts';
import { inputTensors, isTable } from './input-tensors.ts';
import type { PerformanceTest } from './suite.ts';
import type { TestContext, Verdict } from './test-context.ts';
import type { TestedModel } from './tested-model.ts';

/** One round of requests. */
export interface Round {
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly requestsPerSecond: number;
  readonly rowsPerSecond: number;
}

/** Latency, throughput and memory. */
export interface PerformanceFigures {
  readonly test: 'performance';
  readonly concurrency: number;
  readonly batchRows: number;
  /** Of a round. */
  readonly requests: number;
  readonly rounds: readonly Round[];
  /** Each figure of its own. */
  readonly median: Round;
  readonly memory: {
    readonly beforeLoadBytes: number;
    readonly peakBytes: number;
    /** Null where it cannot be seen from this process. */
    readonly growthBytes: number | null;
    readonly note: string;
  };
  /** How many requests of all rounds took from `edgesMs[i]` to `edgesMs[i + 1]`. */
  readonly histogram: { readonly edgesMs: readonly number[]; readonly counts: readonly number[] };
}

/** Closed loop: so many requests under way at a time, each followed by the next once it is answered. */
export async function runPerformance(
  context: TestContext,
  test: PerformanceTest,
): Promise<Verdict> {
  const { concurrency = 1, requests = 200, warmUpRequests = 20, rounds = 3 } = test;
  const { model } = context;
  const batchRows = model.rowsPerRequest(test.batchRows ?? 1);
  const batches = batchesOf(
    model.signature,
    batchRows,
    test.data === undefined ? undefined : context.rows(test.data),
  );
  const peak = new PeakMemory();
  const load: Load = { model, batches, concurrency, peak };
  try {
    await runRound(load, warmUpRequests);
    const all: number[] = [];
    const measured: Round[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const { durations, elapsedMs } = await runRound(load, requests);
      all.push(...durations);
      measured.push(roundOf(durations, elapsedMs, batchRows));
    }
    const figures: PerformanceFigures = {
      ...{ test: 'performance', concurrency, batchRows, requests, rounds: measured },
      median: medianOf(measured),
      memory: memoryOf(context, peak.bytes),
      histogram: histogramOf(all),
    };
    return judge(figures, test);
  } finally {
    peak.stop();
  }
}

interface Load {
  readonly model: TestedModel;
  readonly batches: readonly InferenceBatch[];
  readonly concurrency: number;
  readonly peak: PeakMemory;
}

async function runRound(
  { model, batches, concurrency, peak }: Load,
  requests: number,
): Promise<{ readonly durations: readonly number[]; readonly elapsedMs: number }> {
  const durations: number[] = [];
  let begun = 0;
  let failed = false;
  const ask = async (): Promise<void> => {
    while (begun < requests && !failed) {
      const number = begun;
      begun += 1;
      const startedAt = performance.now();
      try {
        await model.predict(
          batches[number % batches.length] as InferenceBatch,
          `request ${number + 1}`,
        );
      } catch (error) {
        failed = true;
        throw error;
      }
      durations.push(performance.now() - startedAt);
      peak.look();
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: concurrency }, ask));
  return { durations, elapsedMs: performance.now() - startedAt };
}

function roundOf(durations: readonly number[], elapsedMs: number, batchRows: number): Round {
  const ascending = sorted(durations);
  const requestsPerSecond = (1000 * durations.length) / elapsedMs;
  return {
    p50Ms: quantile(ascending, 0.5),
    p90Ms: quantile(ascending, 0.9),
    p99Ms: quantile(ascending, 0.99),
    maxMs: quantile(ascending, 1),
    requestsPerSecond,
    rowsPerSecond: requestsPerSecond * batchRows,
  };
}

function medianOf(rounds: readonly Round[]): Round {
  const of = (key: keyof Round): number => median(sorted(rounds.map((round) => round[key])));
  return {
    p50Ms: of('p50Ms'),
    p90Ms: of('p90Ms'),
    p99Ms: of('p99Ms'),
    maxMs: of('maxMs'),
    requestsPerSecond: of('requestsPerSecond'),
    rowsPerSecond: of('rowsPerSecond'),
  };
}

/** The memory of the process at its highest, as far as anybody looked. */
class PeakMemory {
  bytes: number = process.memoryUsage.rss();
  readonly #timer = setInterval(() => this.look(), 20).unref();
  #lookedAt = 0;

  look(): void {
    const now = performance.now();
    if (now - this.#lookedAt < 5) return;
    this.#lookedAt = now;
    this.bytes = Math.max(this.bytes, process.memoryUsage.rss());
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function memoryOf(
  { isolation, rssBeforeLoad: beforeLoadBytes }: TestContext,
  peakBytes: number,
): PerformanceFigures['memory'] {
  const isOwn = isolation === 'none' || isolation === 'thread';
  return {
    beforeLoadBytes,
    peakBytes,
    growthBytes: isOwn ? Math.max(0, peakBytes - beforeLoadBytes) : null,
    note: isOwn
      ? 'Resident memory of this process at its highest, less what it was before the model was loaded: whatever else the process does meanwhile, and what it has not given back yet, is in it.'
      : `The model runs elsewhere (isolation ${isolation}); its memory cannot be seen from this process.`,
  };
}

const bins = 30;

/** Bins of equal ratio between the fastest and the slowest. */
function histogramOf(durations: readonly number[]): PerformanceFigures['histogram'] {
  const ascending = sorted(durations);
  const low = Math.max(1e-3, ascending[0] as number);
  const high = Math.max(low * 1.01, ascending.at(-1) as number);
  const ratio = (high / low) ** (1 / bins);
  const edgesMs = Array.from({ length: bins + 1 }, (_, i) => low * ratio ** i);
  const counts = new Array<number>(bins).fill(0);
  for (const duration of ascending) {
    const place = Math.floor(Math.log(Math.max(duration, low) / low) / Math.log(ratio));
    const bin = Math.min(bins - 1, place);
    counts[bin] = (counts[bin] as number) + 1;
  }
  return { edgesMs, counts };
}

const maxBatches = 256;

/** Requests made of rows, in turn; without rows, one that is made up. */
function batchesOf(
  { inputs: specs }: ModelSignature,
  batchRows: number,
  rows: readonly JsonObject[] | undefined,
): readonly InferenceBatch[] {
  if (rows === undefined || rows.length === 0) {
    const row = Object.fromEntries(specs.flatMap(madeUp));
    return [{ inputs: inputTensors(specs, new Array<JsonObject>(batchRows).fill(row)) }];
  }
  const count = Math.min(maxBatches, Math.max(1, Math.ceil(rows.length / batchRows)));
  return Array.from({ length: count }, (_, batch) => {
    const some = Array.from(
      { length: batchRows },
      (_item, i) => rows[(batch * batchRows + i) % rows.length] as JsonObject,
    );
    return { inputs: inputTensors(specs, some) };
  });
}

/** Zeros, falses or empty texts; free sizes are 1. */
function madeUp(spec: TensorSpec): readonly (readonly [string, JsonObject[string]])[] {
  const zero = spec.datatype === 'BYTES' ? '' : spec.datatype === 'BOOL' ? false : 0;
  if (isTable(spec)) return (spec.columns ?? []).map((name) => [name, zero] as const);
  const inner = spec.shape.slice(1);
  if (inner.length === 0) return [[spec.name, zero]];
  const size = inner.reduce((product, d) => product * Math.abs(d), 1);
  return [[spec.name, nested(new Array(size).fill(zero), inner.map(Math.abs))]];
}

function nested(flat: readonly JsonObject[string][], sizes: readonly number[]): JsonObject[string] {
  const [size = 1, ...inner] = sizes;
  if (inner.length === 0) return flat;
  const width = flat.length / size;
  return Array.from({ length: size }, (_, i) =>
    nested(flat.slice(i * width, (i + 1) * width), inner),
  );
}

function judge(figures: PerformanceFigures, { limits }: PerformanceTest): Verdict {
  const { median: m, memory, rounds } = figures;
  const spread = (key: keyof Round): string => {
    const all = rounds.map((round) => round[key]);
    return `${formatNumber(m[key], 3)} (${formatNumber(Math.min(...all), 3)} to ${formatNumber(Math.max(...all), 3)})`;
  };
  const { maxP50Ms, maxP99Ms, minRequestsPerSecond, maxMemoryBytes } = limits;
  const problems: string[] = [];
  if (maxP50Ms !== undefined && !(m.p50Ms <= maxP50Ms))
    problems.push(`p50 ${spread('p50Ms')} ms, allowed ${maxP50Ms}`);
  if (maxP99Ms !== undefined && !(m.p99Ms <= maxP99Ms))
    problems.push(`p99 ${spread('p99Ms')} ms, allowed ${maxP99Ms}`);
  if (minRequestsPerSecond !== undefined && !(m.requestsPerSecond >= minRequestsPerSecond)) {
    problems.push(
      `${spread('requestsPerSecond')} requests per second, at least ${minRequestsPerSecond} wanted`,
    );
  }
  if (maxMemoryBytes !== undefined && memory.growthBytes === null) {
    problems.push(`memory has a limit, and cannot be seen from here: ${memory.note}`);
  } else if (maxMemoryBytes !== undefined && (memory.growthBytes ?? 0) > maxMemoryBytes) {
    problems.push(
      `memory grew by ${formatBytes(memory.growthBytes ?? 0)}, allowed ${formatBytes(maxMemoryBytes)}`,
    );
  }
  const told = `p50 ${spread('p50Ms')} ms, p99 ${spread('p99Ms')} ms, ${spread('requestsPerSecond')} requests per second at concurrency ${figures.concurrency}`;
  return problems.length === 0
    ? { outcome: 'PASSED', detail: told, figures }
    : { outcome: 'FAILED', detail: problems.join('; '), figures };
}
