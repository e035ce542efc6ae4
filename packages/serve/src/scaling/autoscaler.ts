import type { ScalingConfig } from '@keelson/core';

/** What is seen of one version at a moment. */
export interface ScalingSample {
  /** Epoch or any other ms, as long as it is one clock. */
  readonly at: number;
  /** Requests in flight and waiting. */
  readonly outstanding: number;
  /** Replicas that take requests. */
  readonly ready: number;
  /** Replicas on their way: they count as capacity, so that slow starters are not started twice. */
  readonly starting: number;
  /** Requests answered a second, since the sample before; undefined when not known. */
  readonly requestsPerSecond?: number;
  /** Of the last window; undefined without requests. */
  readonly p95Ms?: number;
  /** The 95th percentile of waiting, of the same requests. */
  readonly queueP95Ms?: number;
  /** Of all cores, 0 to 100. */
  readonly cpuPercent?: number;
  /** Of the GPU memory, 0 to 100; undefined where nothing tells it. */
  readonly gpuMemoryPercent?: number;
  /** Why there may not be fewer than there are: nothing shrinks meanwhile. */
  readonly keep?: string;
}

/** What to do, and why. */
export interface ScalingDecision {
  readonly replicas: number;
  /** A sentence; the same as before while nothing changes. */
  readonly reason: string;
  /** What kept it from more. */
  readonly limitedBy?: 'max' | 'cores';
}

/** What the autoscaler remembers; begin with {@link noScalingState}. */
export interface ScalingState {
  /** Per second, the mean of what was outstanding; the newest last. */
  readonly seconds: readonly Second[];
  /** What was recommended, newest last; only as long as `downAfterMs` reaches. */
  readonly recommended: readonly { readonly at: number; readonly replicas: number }[];
  /** In a burst: the last time that it looked like one. */
  readonly burstAt?: number;
  /** Windows in a row that were slower than the target while requests waited. */
  readonly slowWindows: number;
  readonly windowAt: number;
  readonly lastRequestAt: number;
}

interface Second {
  readonly at: number;
  readonly sum: number;
  readonly count: number;
  readonly rate: number;
}

/** Windows and tolerances of the autoscaler: those of Knative's KPA and Kubernetes' HPA. */
const stableMs = 60_000;
const burstMs = 6_000;
const burstRatio = 2;
const tolerance = 0.1;
const latencyWindowMs = 5_000;
const slowWindowsWanted = 3;
/** Of the 95th percentile; less than that is the model's own time, which more replicas cannot shorten. */
const waitingShare = 0.2;
const defaultDownAfterMs = 300_000;
const defaultTarget = 2;

/** The state of an autoscaler that has seen nothing yet. */
export function noScalingState(at: number): ScalingState {
  return { seconds: [], recommended: [], slowWindows: 0, windowAt: at, lastRequestAt: at };
}

/**
 * Decides how many replicas there should be, from what was seen so far: a pure function, so that every rule can be tried
 * in no time. `cores` bounds replicas that run on this machine.
 *
 * It follows Knative's KPA (mean of what is outstanding over 60 s; over 6 s in a burst, during which nothing shrinks) and
 * Kubernetes' HPA (tolerance of 10 %; down only to the largest number recommended over `downAfterMs`). Beside
 * what is outstanding, every other target that is given may ask for more: the largest demand wins.
 */
export function decideScaling(
  config: ScalingConfig,
  before: ScalingState,
  sample: ScalingSample,
  cores: number = Number.POSITIVE_INFINITY,
): { readonly state: ScalingState; readonly decision: ScalingDecision } {
  const current = sample.ready + sample.starting;
  const seen = observe(config, before, sample, current);
  const slow = byLatency(config, seen, sample, current);
  const demands = [
    byOutstanding(config, seen, current),
    byRate(config, seen),
    slow,
    byShare('CPU', config.targetCpuPercent, sample.cpuPercent, current),
    byShare('GPU memory', config.targetGpuMemoryPercent, sample.gpuMemoryPercent, current),
  ].filter((demand) => demand !== undefined);
  const largest = demands.reduce((a, b) => (b.replicas > a.replicas ? b : a));
  const kept = sample.keep;
  if ((kept === undefined || current === 0) && isDormant(config, seen, sample)) {
    const idle = `nobody has asked for ${Math.round((sample.at - seen.lastRequestAt) / 1000)} s`;
    return { state: seen, decision: { replicas: 0, reason: idle } };
  }
  const wanted = Math.max(1, largest.replicas) + (config.spares ?? 0);
  // What a few seconds needed counts against shrinking, even where the minute's mean asks for less.
  const lately = Math.max(wanted, Math.ceil(lastSeconds(seen) / targetOf(config) - 1e-9));
  const state = { ...seen, recommended: remember(config, seen, sample.at, lately) };
  const decide = (replicas: number, reason: string) => ({
    state,
    decision: bounded({ replicas, reason }, config, cores),
  });
  if (wanted > current) {
    const { state: acted, decision } = decide(wanted, largest.reason);
    // Whether it helped is to be seen first.
    return { state: largest === slow ? { ...acted, slowWindows: 0 } : acted, decision };
  }
  if (state.burstAt !== undefined) return decide(current, 'a burst is not over yet');
  // Down only to the largest number that was needed lately, and by half at a time.
  const needed = Math.max(...state.recommended.map(({ replicas }) => replicas));
  const fewer = Math.max(needed, Math.floor(current / 2), 1);
  if (fewer >= current) return decide(current, 'as many as needed');
  if (kept !== undefined) return decide(current, kept);
  const minutes = ((config.downAfterMs ?? defaultDownAfterMs) / 60_000).toFixed(1);
  return decide(fewer, `${needed} were enough for ${minutes} min`);
}

interface Demand {
  readonly replicas: number;
  readonly reason: string;
}

function bounded(
  { replicas, reason }: Demand,
  { min, max }: ScalingConfig,
  cores: number,
): ScalingDecision {
  const ceiling = Math.max(min, Math.min(max, cores));
  if (replicas <= ceiling) return { replicas: Math.max(replicas, min), reason };
  const limitedBy = cores < max ? 'cores' : 'max';
  const limit = limitedBy === 'cores' ? `the machine has ${cores} cores` : `${max} is the maximum`;
  return {
    replicas: ceiling,
    reason: `${reason}; ${replicas} are wanted, but ${limit}`,
    limitedBy,
  };
}

/** Adds a sample to the means by second, and judges a window of latency when one is over. */
function observe(
  config: ScalingConfig,
  before: ScalingState,
  sample: ScalingSample,
  current: number,
): ScalingState {
  const { at, outstanding, requestsPerSecond: rate = 0 } = sample;
  const second = Math.floor(at / 1000) * 1000;
  const seconds = before.seconds.filter((each) => each.at > second - stableMs);
  const last = seconds.at(-1);
  if (last?.at === second) {
    const { sum, count } = last;
    seconds[seconds.length - 1] = { at: second, sum: sum + outstanding, count: count + 1, rate };
  } else seconds.push({ at: second, sum: outstanding, count: 1, rate });

  const { burstAt: _, ...rest } = before;
  const isBurst =
    mean(seconds, second - burstMs, outstandingOf) >=
    burstRatio * targetOf(config) * Math.max(1, current);
  const burstAt = isBurst ? at : before.burstAt;
  const isOver = burstAt === undefined || at - burstAt >= stableMs;
  const windowIsOver = at - before.windowAt >= latencyWindowMs;
  return {
    ...rest,
    ...(isOver ? {} : { burstAt }),
    seconds,
    lastRequestAt: outstanding > 0 || rate > 0 ? at : before.lastRequestAt,
    windowAt: windowIsOver ? at : before.windowAt,
    slowWindows: !windowIsOver
      ? before.slowWindows
      : isSlow(config, sample)
        ? before.slowWindows + 1
        : 0,
  };
}

function isSlow({ latencyTargetMs }: ScalingConfig, sample: ScalingSample): boolean {
  const { p95Ms, queueP95Ms = 0 } = sample;
  if (latencyTargetMs === undefined || p95Ms === undefined) return false;
  return p95Ms > latencyTargetMs && queueP95Ms > waitingShare * p95Ms;
}

/** Adds a recommendation, the largest of each second, and forgets those that are too old to hold anything back. */
function remember(
  { downAfterMs = defaultDownAfterMs }: ScalingConfig,
  { recommended }: ScalingState,
  at: number,
  replicas: number,
): ScalingState['recommended'] {
  const kept = recommended.filter((each) => each.at > at - downAfterMs);
  const last = kept.at(-1);
  if (last === undefined || Math.floor(last.at / 1000) < Math.floor(at / 1000)) {
    return [...kept, { at, replicas }];
  }
  return [...kept.slice(0, -1), { at: last.at, replicas: Math.max(last.replicas, replicas) }];
}

function mean(seconds: readonly Second[], from: number, of: (second: Second) => number): number {
  const within = seconds.filter(({ at }) => at > from);
  return within.reduce((sum, each) => sum + of(each), 0) / Math.max(1, within.length);
}

/** What was outstanding over the last few seconds. */
function lastSeconds({ seconds }: ScalingState): number {
  return mean(seconds, (seconds.at(-1)?.at ?? 0) - burstMs, outstandingOf);
}

const outstandingOf = ({ sum, count }: Second): number => sum / count;

function targetOf({ targetOutstanding = defaultTarget }: ScalingConfig): number {
  return targetOutstanding;
}

function byOutstanding(config: ScalingConfig, state: ScalingState, current: number): Demand {
  const target = targetOf(config);
  const newest = state.seconds.at(-1)?.at ?? 0;
  const stable = mean(state.seconds, newest - stableMs, outstandingOf);
  const inBurst = state.burstAt !== undefined;
  const load = inBurst ? Math.max(stable, lastSeconds(state)) : stable;
  const isNear = current > 0 && Math.abs(load / current / target - 1) <= tolerance;
  const replicas = isNear ? current : Math.ceil(load / target - 1e-9);
  const when = inBurst ? ' in a burst' : '';
  return {
    replicas,
    reason: `${load.toFixed(1)} requests are open at a time${when}, and a replica is meant to have ${target}`,
  };
}

function byRate(
  { targetRequestsPerSecond: wanted }: ScalingConfig,
  state: ScalingState,
): Demand | undefined {
  if (wanted === undefined) return undefined;
  const newest = state.seconds.at(-1)?.at ?? 0;
  const rate = mean(state.seconds, newest - burstMs, (second) => second.rate);
  const reason = `${rate.toFixed(1)} requests come a second, and a replica is meant to have ${wanted}`;
  return { replicas: Math.ceil(rate / wanted - 1e-9), reason };
}

function byLatency(
  { latencyTargetMs }: ScalingConfig,
  state: ScalingState,
  { p95Ms }: ScalingSample,
  current: number,
): Demand | undefined {
  if (latencyTargetMs === undefined || p95Ms === undefined) return undefined;
  if (state.slowWindows < slowWindowsWanted) return undefined;
  const replicas = Math.ceil((current * p95Ms) / latencyTargetMs);
  const reason = `p95 is ${p95Ms.toFixed(0)} ms instead of ${latencyTargetMs}, and much of it is waiting`;
  return { replicas, reason };
}

function byShare(
  what: string,
  wanted: number | undefined,
  percent: number | undefined,
  current: number,
): Demand | undefined {
  if (wanted === undefined || percent === undefined || current === 0) return undefined;
  const isNear = Math.abs(percent / wanted - 1) <= tolerance;
  const replicas = isNear ? current : Math.ceil((current * percent) / wanted - 1e-9);
  return { replicas, reason: `${what} is at ${percent.toFixed(0)} % instead of ${wanted}` };
}

function isDormant(
  { min, scaleToZeroAfterMs }: ScalingConfig,
  { lastRequestAt }: ScalingState,
  { at, outstanding }: ScalingSample,
): boolean {
  if (min > 0 || outstanding > 0 || scaleToZeroAfterMs === undefined) return false;
  return at - lastRequestAt >= scaleToZeroAfterMs;
}
