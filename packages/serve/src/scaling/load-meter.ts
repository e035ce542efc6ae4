import { LatencyHistogram } from '../routing/latency-histogram.ts';

const windowMs = 5_000;

/** What was measured of one version lately. */
export interface MeasuredLoad {
  readonly requestsPerSecond: number;
  /** Undefined until a window with requests is over. */
  readonly p95Ms: number | undefined;
  /** The 95th percentile of waiting. */
  readonly queueP95Ms: number | undefined;
}

/** Counts what a version answers, in windows of five seconds. Times are of one clock in ms. */
export class LoadMeter {
  readonly #latencies = new LatencyHistogram();
  readonly #queues = new LatencyHistogram();
  #answered = 0;
  #readAt: number;
  #windowAt: number;
  #p95Ms: number | undefined;
  #queueP95Ms: number | undefined;

  constructor(now: number) {
    this.#readAt = now;
    this.#windowAt = now;
  }

  record(latencyMs: number, queueMs: number): void {
    this.#answered += 1;
    this.#latencies.record(latencyMs);
    this.#queues.record(queueMs);
  }

  /** What was answered a second since it was last read, and the percentiles of the last whole window. */
  read(now: number): MeasuredLoad {
    const seconds = Math.max(1, now - this.#readAt) / 1000;
    const requestsPerSecond = this.#answered / seconds;
    this.#answered = 0;
    this.#readAt = now;
    if (now - this.#windowAt >= windowMs) {
      const isEmpty = this.#latencies.count === 0;
      this.#p95Ms = isEmpty ? undefined : this.#latencies.quantileMs(0.95);
      this.#queueP95Ms = isEmpty ? undefined : this.#queues.quantileMs(0.95);
      this.#latencies.clear();
      this.#queues.clear();
      this.#windowAt = now;
    }
    return { requestsPerSecond, p95Ms: this.#p95Ms, queueP95Ms: this.#queueP95Ms };
  }
}
