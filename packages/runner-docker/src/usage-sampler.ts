import type { TaskUsage } from '@keelson/core';
import type { EngineApi } from './engine-api.ts';

/** The engine's figures of a container, as far as they matter here. */
interface Stats {
  readonly cpu_stats?: { readonly cpu_usage?: { readonly total_usage?: number } };
  readonly memory_stats?: {
    readonly usage?: number;
    readonly max_usage?: number;
    readonly stats?: Readonly<Record<string, number>>;
  };
  readonly blkio_stats?: {
    readonly io_service_bytes_recursive?: readonly { op: string; value: number }[] | null;
  };
}

/** A look costs the engine some work: what is over sooner is not looked at. */
const firstMs = 250;
const everyMs = 1000;

/** Looks at what a container uses while somebody waits for it: an ended one has no figures any more. */
export class UsageSampler {
  readonly #api: EngineApi;
  readonly #container: string;
  #timer: NodeJS.Timeout | undefined;
  #waiting = 0;
  #last: { readonly at: number; readonly cpuMs: number } | undefined;
  #peak = { memory: 0, memorySum: 0, samples: 0, cores: 0, read: 0, written: 0 };

  constructor(api: EngineApi, container: string) {
    this.#api = api;
    this.#container = container;
  }

  /** Until {@link stop} is called as often. */
  start(): void {
    this.#waiting += 1;
    if (this.#timer !== undefined) return;
    const look = (): void => {
      void this.sample().catch(() => undefined);
      this.#timer = setTimeout(look, everyMs);
      this.#timer.unref();
    };
    this.#timer = setTimeout(look, this.#last === undefined ? firstMs : everyMs);
    this.#timer.unref();
  }

  stop(): void {
    this.#waiting -= 1;
    if (this.#waiting > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Looks once; what is not running, or not there, changes nothing. */
  async sample(): Promise<void> {
    const path = `/containers/${this.#container}/stats`;
    const query = { stream: false, 'one-shot': true };
    const stats = await this.#api.found<Stats>(path, { query });
    const total = stats?.cpu_stats?.cpu_usage?.total_usage ?? 0;
    if (stats === undefined || total === 0) return;
    const now = performance.now();
    const cpuMs = total / 1e6;
    const peak = this.#peak;
    if (this.#last !== undefined && now - this.#last.at > 100) {
      peak.cores = Math.max(peak.cores, (cpuMs - this.#last.cpuMs) / (now - this.#last.at));
    }
    this.#last = { at: now, cpuMs };
    const memory = memoryOf(stats.memory_stats);
    peak.memory = Math.max(peak.memory, memory);
    peak.memorySum += memory;
    peak.samples += 1;
    for (const { op, value } of stats.blkio_stats?.io_service_bytes_recursive ?? []) {
      if (/^read$/i.test(op)) peak.read = Math.max(peak.read, value);
      if (/^write$/i.test(op)) peak.written = Math.max(peak.written, value);
    }
  }

  /** What has been seen, over that time. */
  usage(wallMs: number): TaskUsage {
    const { memory, memorySum, samples, cores, read, written } = this.#peak;
    if (samples === 0 || this.#last === undefined) return { wallMs };
    const { cpuMs } = this.#last;
    const avgCpuCores = wallMs === 0 ? 0 : cpuMs / wallMs;
    return {
      ...{ wallMs, cpuMs, avgCpuCores, maxCpuCores: Math.max(cores, avgCpuCores) },
      ...{ maxMemoryBytes: memory, avgMemoryBytes: Math.round(memorySum / samples) },
      ...{ readBytes: read, writtenBytes: written },
    };
  }
}

/** Without what the kernel keeps of files, as Docker's own client shows it. */
function memoryOf({ usage = 0, stats = {} }: NonNullable<Stats['memory_stats']> = {}): number {
  const files = stats['total_inactive_file'] ?? stats['inactive_file'] ?? 0;
  return Math.max(0, usage - files);
}
