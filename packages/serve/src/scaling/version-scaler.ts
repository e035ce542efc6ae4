import { cpus } from 'node:os';
import type { ScalingConfig } from '@keelson/core';
import type { ReplicaPool } from '../replicas/replica-pool.ts';
import {
  decideScaling,
  noScalingState,
  type ScalingDecision,
  type ScalingState,
} from './autoscaler.ts';
import type { LoadMeter } from './load-meter.ts';

/** A decision that changed a pool. */
export interface ScalingChange extends ScalingDecision {
  readonly oldReplicas: number;
}

/** What a program tells the autoscaler that serving cannot see itself. */
export interface ScalingSignals {
  /**
   * How much of the GPU memory is used, 0 to 100, such as by a server's metrics (`nv_gpu_memory_used_bytes` of Triton);
   * undefined where that is not known now. Called several times a second.
   */
  readonly gpuMemoryPercent?: () => number | undefined;
}

/** Keeps the replicas of one version at what the autoscaler decides. */
export class VersionScaler {
  readonly #pool: Pick<ReplicaPool, 'readyCount' | 'wanted' | 'unsettled' | 'resize'>;
  readonly #meter: LoadMeter;
  readonly #now: () => number;
  readonly #cores: number;
  readonly #signals: ScalingSignals;
  #state: ScalingState;
  #cpu = cpuTimes();

  /** Replicas on this machine share its cores; `cores` is their bound, Infinity that of replicas elsewhere. */
  constructor(
    pool: Pick<ReplicaPool, 'readyCount' | 'wanted' | 'unsettled' | 'resize'>,
    meter: LoadMeter,
    cores: number,
    signals: ScalingSignals = {},
    now: () => number = () => performance.now(),
  ) {
    this.#pool = pool;
    this.#meter = meter;
    this.#now = now;
    this.#cores = cores;
    this.#signals = signals;
    this.#state = noScalingState(now());
  }

  /**
   * Looks, decides, and resizes; answers what was changed, if anything. Meant to be called several times a second. `keep`
   * says why there may not be fewer than there are.
   */
  tick(config: ScalingConfig, keep?: string): ScalingChange | undefined {
    const at = this.#now();
    const { requestsPerSecond, p95Ms, queueP95Ms } = this.#meter.read(at);
    const { readyCount: ready, wanted, unsettled } = this.#pool;
    const cpuPercent = config.targetCpuPercent === undefined ? undefined : this.#readCpu();
    const gpuMemoryPercent =
      config.targetGpuMemoryPercent === undefined ? undefined : this.#signals.gpuMemoryPercent?.();
    const sample = {
      ...{ at, outstanding: unsettled, ready, starting: Math.max(0, wanted - ready) },
      requestsPerSecond,
      ...(p95Ms === undefined ? {} : { p95Ms }),
      ...(queueP95Ms === undefined ? {} : { queueP95Ms }),
      ...(cpuPercent === undefined ? {} : { cpuPercent }),
      ...(gpuMemoryPercent === undefined ? {} : { gpuMemoryPercent }),
      ...(keep === undefined ? {} : { keep }),
    };
    const { state, decision } = decideScaling(config, this.#state, sample, this.#cores);
    this.#state = state;
    if (decision.replicas === wanted) return undefined;
    // One that does not start is tried again by the pool, and told of there.
    this.#pool.resize(decision.replicas).catch(() => undefined);
    return { ...decision, oldReplicas: wanted };
  }

  #readCpu(): number {
    const before = this.#cpu;
    this.#cpu = cpuTimes();
    const all = this.#cpu.all - before.all;
    return all === 0 ? 0 : (100 * (this.#cpu.busy - before.busy)) / all;
  }
}

function cpuTimes(): { readonly busy: number; readonly all: number } {
  let [busy, all] = [0, 0];
  for (const { times } of cpus()) {
    const { user, nice, sys, idle, irq } = times;
    busy += user + nice + sys + irq;
    all += user + nice + sys + irq + idle;
  }
  return { busy, all };
}
