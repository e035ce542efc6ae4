import type { Connections } from '../../contracts/backend.ts';
import type { MetricWriterHealth } from '../../contracts/metric-writer.ts';
import type { Scope } from '../../contracts/scope.ts';
import { columnIs } from '../every-record.ts';
import type { LoopReport } from '../loop-runner.ts';
import type { MetricName } from './metric-catalogue.ts';
import type { Metrics } from './metrics.ts';

/** Where the figures come from that are read when they are asked for. */
export interface MetricSources {
  /** Undefined where nothing was logged yet. */
  points(): MetricWriterHealth | undefined;
  loops(): readonly LoopReport[];
  /** Undefined where the database is no server. */
  connections(): Connections | undefined;
  readonly notifiers: readonly string[];
}

const stages = ['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED'];

/**
 * The metrics of this process as Prometheus's text. A figure that the store does not give is left out and
 * counted: metrics are asked for when things are bad.
 */
export async function platformMetrics(
  scope: Scope,
  metrics: Metrics,
  sources: MetricSources,
): Promise<string> {
  const { metadata, workspace } = scope;
  readProcess(metrics);
  readPoints(metrics, sources.points());
  readLoops(metrics, sources.loops(), Date.now());
  readConnections(metrics, sources.connections());

  async function count(
    name: MetricName,
    kind: string,
    column: string,
    values: readonly string[],
    labels: (value: string) => readonly string[],
  ): Promise<void> {
    metrics.clear(name);
    for (const value of values) {
      const found = await metadata.count(workspace, kind, columnIs(column, value));
      metrics.set(name, labels(value), found.count);
    }
  }

  const one = (value: string): readonly string[] => [value];
  const reads: Readonly<Record<string, () => Promise<void>>> = {
    runs: () => count('keelson_runs_open', 'run', 'status', ['RUNNING'], () => []),
    versions: () => count('keelson_model_versions', 'model_version', 'stage', stages, one),
    dead_letters: async () => {
      const query = { limit: 1000 };
      const { records } = await metadata.query(workspace, 'dead_letter', query);
      metrics.clear('keelson_dead_letters');
      for (const { columns } of records) {
        metrics.add('keelson_dead_letters', [String(columns['subscription'])]);
      }
    },
    alerts: async () => {
      const query = { where: columnIs('state', 'FIRING'), limit: 1000 };
      const { records } = await metadata.query(workspace, 'alert', query);
      metrics.clear('keelson_alerts_open');
      for (const severity of ['WARNING', 'CRITICAL', 'EMERGENCY']) {
        const those = records.filter(({ columns }) => columns['severity'] === severity);
        metrics.set('keelson_alerts_open', [severity], those.length);
      }
    },
    executions: () =>
      count('keelson_executions_open', 'execution', 'status', ['RUNNING', 'PENDING'], one),
    notifications: async () => {
      metrics.clear('keelson_notifications_pending');
      metrics.clear('keelson_notifications_failed');
      for (const notifier of sources.notifiers) {
        for (const [name, state] of [
          ['keelson_notifications_pending', 'PENDING'],
          ['keelson_notifications_failed', 'FAILED'],
        ] as const) {
          const of = [columnIs('notifier', notifier), columnIs('state', state)];
          const found = await metadata.count(workspace, 'delivery', { op: 'and', of });
          metrics.set(name, [notifier], found.count);
        }
      }
    },
  };
  for (const [source, read] of Object.entries(reads)) {
    try {
      await read();
    } catch (error) {
      metrics.add('keelson_scrape_failures_total', [source]);
      scope.logger.warn({ component: 'operations', source, error }, 'A metric could not be read.');
    }
  }
  return metrics.text();
}

function readProcess(metrics: Metrics): void {
  const { user, system } = process.cpuUsage();
  metrics.set('process_cpu_seconds_total', [], (user + system) / 1e6);
  metrics.set('process_resident_memory_bytes', [], process.memoryUsage.rss());
}

function readPoints(metrics: Metrics, health: MetricWriterHealth | undefined): void {
  metrics.set('keelson_points_logged_total', [], health?.loggedPoints ?? 0);
  metrics.set('keelson_points_pending', [], health?.pendingPoints ?? 0);
  metrics.set('keelson_points_spooled', [], health?.spooledPoints ?? 0);
  const lost = (health?.dropped ?? []).reduce((sum, each) => sum + each.points, 0);
  metrics.set('keelson_points_lost_total', [], lost);
}

function readLoops(metrics: Metrics, loops: readonly LoopReport[], now: number): void {
  for (const name of [
    'keelson_loop_rounds_total',
    'keelson_loop_last_success_timestamp_seconds',
    'keelson_loop_lag_seconds',
  ] as const) {
    metrics.clear(name);
  }
  for (const { name, rounds, failed, lastSuccessAt, lateMs } of loops) {
    metrics.add('keelson_loop_rounds_total', [name, 'ok'], rounds - failed);
    metrics.add('keelson_loop_rounds_total', [name, 'failed'], failed);
    metrics.set('keelson_loop_lag_seconds', [name], lateMs(now) / 1000);
    if (lastSuccessAt === undefined) continue;
    metrics.set('keelson_loop_last_success_timestamp_seconds', [name], lastSuccessAt / 1000);
  }
}

function readConnections(metrics: Metrics, connections: Connections | undefined): void {
  if (connections === undefined) return;
  const { total, idle, waiting } = connections;
  metrics.set('keelson_database_connections', ['busy'], total - idle);
  metrics.set('keelson_database_connections', ['idle'], idle);
  metrics.set('keelson_database_connections', ['awaited'], waiting);
}
