import { Metrics, metricCatalogue } from '@keelson/core';
import type { DeploymentHost } from '../hosting/deployment-host.ts';
import type { JobAnswer } from '../replicas/job.ts';
import { LatencyHistogram } from '../routing/latency-histogram.ts';

const total = 'keelson_serving_request_duration_seconds';
const queue = 'keelson_serving_queue_duration_seconds';
const model = 'keelson_serving_model_duration_seconds';
type HistogramName = typeof total | typeof queue | typeof model;

/** A histogram for each set of labels, in the resolution of {@link LatencyHistogram}. */
class Histograms {
  readonly #name: HistogramName;
  readonly #byLabels = new Map<string, { labels: readonly string[]; of: LatencyHistogram }>();

  constructor(name: HistogramName) {
    this.#name = name;
  }

  record(labels: readonly string[], latencyMs: number): void {
    const key = labels.join('\u0000');
    let found = this.#byLabels.get(key);
    if (found === undefined) {
      // Replicas and versions come and go; what they are called is not for ever.
      const isFull = this.#byLabels.size >= metricCatalogue[this.#name].maxSeries - 1;
      if (isFull && labels.some((label) => label !== 'other')) {
        const others = labels.map(() => 'other');
        this.record(others, latencyMs);
        return;
      }
      found = { labels, of: new LatencyHistogram() };
      this.#byLabels.set(key, found);
    }
    found.of.record(latencyMs);
  }

  write(metrics: Metrics): void {
    const { buckets = [] } = metricCatalogue[this.#name];
    const boundsMs = buckets.map((seconds) => seconds * 1000);
    for (const { labels, of } of this.#byLabels.values()) {
      const sum = of.sumMs / 1000;
      metrics.setHistogram(this.#name, labels, { upTo: of.upTo(boundsMs), count: of.count, sum });
    }
  }
}

/** An answer as metrics know it. */
export interface Answered {
  readonly deployment: string;
  /** Undefined where none was chosen. */
  readonly version: string | undefined;
  /** Undefined where none is known to have run it. */
  readonly replica: string | undefined;
  readonly status: number;
  readonly latencyMs: number;
  readonly job: JobAnswer | undefined;
}

/** What is counted of predictions in this process; Prometheus's text when it is asked for. */
export class ServingMetrics {
  readonly #metrics = new Metrics();
  readonly #hosts: ReadonlyMap<string, DeploymentHost>;
  readonly #total = new Histograms(total);
  readonly #queue = new Histograms(queue);
  readonly #model = new Histograms(model);

  constructor(hosts: ReadonlyMap<string, DeploymentHost>) {
    this.#hosts = hosts;
  }

  /** Notes an answer. A deployment that is none here is `unknown`: callers choose no labels. */
  note({ deployment, version = '', replica = '', status, latencyMs, job }: Answered): void {
    const name = this.#hosts.has(deployment) ? deployment : 'unknown';
    const labels = [name, version, replica];
    this.#metrics.add('keelson_serving_requests_total', [...labels, String(status)]);
    this.#total.record(labels, latencyMs);
    if (job === undefined) return;
    const ofVersion = [name, version];
    this.#queue.record(ofVersion, job.queueMs);
    this.#model.record(ofVersion, job.inferenceMs);
  }

  text(): string {
    for (const histograms of [this.#total, this.#queue, this.#model])
      histograms.write(this.#metrics);
    this.#metrics.clear('keelson_serving_ready_replicas');
    this.#metrics.clear('keelson_serving_open_breakers');
    for (const host of this.#hosts.values()) {
      for (const [version, finding, rows] of host.findings) {
        const labels = [host.deployment, version, finding];
        this.#metrics.set('keelson_serving_flagged_rows_total', labels, rows);
      }
      for (const { model: served, pool } of host.versions) {
        const labels = [host.deployment, served.version];
        this.#metrics.set('keelson_serving_ready_replicas', labels, pool.liveCount);
        const breakers = pool.status().flatMap(({ breaker }) => breaker ?? []);
        if (breakers.length === 0) continue;
        const open = breakers.filter(({ state }) => state !== 'closed').length;
        this.#metrics.set('keelson_serving_open_breakers', labels, open);
      }
    }
    return this.#metrics.text();
  }
}
