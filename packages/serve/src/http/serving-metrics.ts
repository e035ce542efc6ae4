import { Metrics } from '@keelson/core';
import type { DeploymentHost } from '../hosting/deployment-host.ts';

/** What is counted of predictions in this process; Prometheus's text when it is asked for. */
export class ServingMetrics {
  readonly #metrics = new Metrics();
  readonly #hosts: ReadonlyMap<string, DeploymentHost>;

  constructor(hosts: ReadonlyMap<string, DeploymentHost>) {
    this.#hosts = hosts;
  }

  /** Notes an answer. A deployment that is none here is `unknown`: callers choose no labels. */
  note(deployment: string, version: string | undefined, status: number, startedAt: number): void {
    const name = this.#hosts.has(deployment) ? deployment : 'unknown';
    this.#metrics.add('keelson_serving_requests_total', [name, version ?? '', String(status)]);
    const seconds = (performance.now() - startedAt) / 1000;
    this.#metrics.observe('keelson_serving_request_duration_seconds', [name], seconds);
  }

  text(): string {
    this.#metrics.clear('keelson_serving_ready_replicas');
    for (const host of this.#hosts.values()) {
      for (const { model, pool } of host.versions) {
        const labels = [host.deployment, model.version];
        this.#metrics.set('keelson_serving_ready_replicas', labels, pool.liveCount);
      }
    }
    return this.#metrics.text();
  }
}
