/** The part of the platform that a metric tells of; each has a dashboard. */
export type MetricPart =
  | 'platform'
  | 'tracking'
  | 'registry'
  | 'pipelines'
  | 'deployments'
  | 'monitoring';

/** A metric that the platform exposes. */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly part: MetricPart;
  /** What it counts or measures, in Prometheus's base units. */
  readonly unit: 'seconds' | 'bytes' | 'none';
  readonly help: string;
  readonly labels: readonly string[];
  /** So many label sets at most; what comes beyond is `other`. */
  readonly maxSeries: number;
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

const durations = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const longDurations = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400];

/** Four bounds to each doubling, from 64 µs to 67 s: quantiles are within a ninth. */
const servingDurations: readonly number[] = Array.from(
  { length: 81 },
  (_, i) => (2 ** (6 + Math.floor(i / 4)) * (1 + (i % 4) / 4)) / 1e6,
);

function counter(
  part: MetricPart,
  help: string,
  labels: readonly string[] = [],
  maxSeries = 100,
): MetricDefinition {
  return { type: 'counter', part, unit: 'none', help, labels, maxSeries };
}

function gauge(
  part: MetricPart,
  unit: MetricDefinition['unit'],
  help: string,
  labels: readonly string[] = [],
  maxSeries = 100,
): MetricDefinition {
  return { type: 'gauge', part, unit, help, labels, maxSeries };
}

function histogram(
  part: MetricPart,
  help: string,
  labels: readonly string[] = [],
  buckets: readonly number[] = durations,
  maxSeries = 50,
): MetricDefinition {
  return { type: 'histogram', part, unit: 'seconds', help, labels, maxSeries, buckets };
}

/** The name of a metric in the catalogue. */
export type MetricName =
  | 'keelson_commits_total'
  | 'keelson_commit_duration_seconds'
  | 'keelson_events_emitted_total'
  | 'keelson_event_handlings_total'
  | 'keelson_event_handling_duration_seconds'
  | 'keelson_event_delivery_delay_seconds'
  | 'keelson_dead_letters'
  | 'keelson_loop_rounds_total'
  | 'keelson_loop_last_success_timestamp_seconds'
  | 'keelson_loop_lag_seconds'
  | 'keelson_notifications_pending'
  | 'keelson_notifications_failed'
  | 'keelson_database_connections'
  | 'keelson_scrape_failures_total'
  | 'process_resident_memory_bytes'
  | 'process_cpu_seconds_total'
  | 'keelson_runs_open'
  | 'keelson_points_logged_total'
  | 'keelson_points_pending'
  | 'keelson_points_spooled'
  | 'keelson_points_lost_total'
  | 'keelson_model_versions'
  | 'keelson_step_duration_seconds'
  | 'keelson_executions_open'
  | 'keelson_serving_requests_total'
  | 'keelson_serving_request_duration_seconds'
  | 'keelson_serving_queue_duration_seconds'
  | 'keelson_serving_model_duration_seconds'
  | 'keelson_serving_ready_replicas'
  | 'keelson_serving_flagged_rows_total'
  | 'keelson_serving_open_breakers'
  | 'keelson_alerts_open';

/**
 * Every metric there is; code can name no other. Docs, dashboards and rules in `docs/observability/` are
 * made of it. Counters and histograms are of this process, over all workspaces; gauges that are asked of
 * the store are of the platform's own workspace.
 */
export const metricCatalogue: Readonly<Record<MetricName, MetricDefinition>> = {
  keelson_commits_total: counter('platform', 'Commits to the metadata store, by how they ended.', [
    'outcome',
  ]),
  keelson_commit_duration_seconds: histogram('platform', 'How long commits took.'),
  keelson_events_emitted_total: counter(
    'platform',
    'Events that commits of this process wrote, by type.',
    ['type'],
    150,
  ),
  keelson_event_handlings_total: counter(
    'platform',
    'Events handed to handlers of durable subscriptions, by how the handler ended.',
    ['subscription', 'outcome'],
  ),
  keelson_event_handling_duration_seconds: histogram('platform', 'How long handlers took.', [
    'subscription',
  ]),
  keelson_event_delivery_delay_seconds: histogram(
    'platform',
    'From the emission of an event to the start of its handler.',
    ['subscription'],
    [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300, 3600],
  ),
  keelson_dead_letters: gauge('platform', 'none', 'Events that a subscription has given up.', [
    'subscription',
  ]),
  keelson_loop_rounds_total: counter('platform', 'Rounds of background loops, by how they ended.', [
    'loop',
    'outcome',
  ]),
  keelson_loop_last_success_timestamp_seconds: gauge(
    'platform',
    'seconds',
    'When a background loop last came through a round.',
    ['loop'],
  ),
  keelson_loop_lag_seconds: gauge(
    'platform',
    'seconds',
    'How much later than it should a background loop has its next round.',
    ['loop'],
  ),
  keelson_notifications_pending: gauge(
    'platform',
    'none',
    'Notifications that wait to be delivered.',
    ['notifier'],
  ),
  keelson_notifications_failed: gauge(
    'platform',
    'none',
    'Notifications that were given up, and are in the log.',
    ['notifier'],
  ),
  keelson_database_connections: gauge(
    'platform',
    'none',
    'Connections to the database server, by state; none where the database is embedded.',
    ['state'],
  ),
  keelson_scrape_failures_total: counter(
    'platform',
    'Figures that could not be read when metrics were asked for.',
    ['source'],
  ),
  process_resident_memory_bytes: gauge('platform', 'bytes', 'Resident memory of the process.'),
  process_cpu_seconds_total: {
    ...counter('platform', 'User and system time of the process.'),
    unit: 'seconds',
  },
  keelson_runs_open: gauge('tracking', 'none', 'Runs that are RUNNING, of all processes.'),
  keelson_points_logged_total: counter('tracking', 'Metric points logged by this process.'),
  keelson_points_pending: gauge('tracking', 'none', 'Metric points that are not durable yet.'),
  keelson_points_spooled: gauge(
    'tracking',
    'none',
    'Metric points in the spool, because the store is away.',
  ),
  keelson_points_lost_total: counter(
    'tracking',
    'Metric points lost because memory and spool were full.',
  ),
  keelson_model_versions: gauge('registry', 'none', 'Versions of models, by stage.', ['stage'], 20),
  keelson_step_duration_seconds: histogram(
    'pipelines',
    'How long steps took that have completed.',
    ['pipeline'],
    longDurations,
  ),
  keelson_executions_open: gauge(
    'pipelines',
    'none',
    'Executions of pipelines that have not ended, by status.',
    ['status'],
  ),
  keelson_serving_requests_total: counter(
    'deployments',
    'Requests for predictions, by deployment, version, replica and HTTP status.',
    ['deployment', 'version', 'replica', 'status'],
    1_000,
  ),
  keelson_serving_request_duration_seconds: histogram(
    'deployments',
    'From a request to its answer.',
    ['deployment', 'version', 'replica'],
    servingDurations,
    250,
  ),
  keelson_serving_queue_duration_seconds: histogram(
    'deployments',
    'How long answered requests waited for a replica, and for others to share a call with.',
    ['deployment', 'version'],
    servingDurations,
  ),
  keelson_serving_model_duration_seconds: histogram(
    'deployments',
    "The model's own time for the call that a request was part of.",
    ['deployment', 'version'],
    servingDurations,
  ),
  keelson_serving_ready_replicas: gauge('deployments', 'none', 'Replicas that answer.', [
    'deployment',
    'version',
  ]),
  keelson_serving_flagged_rows_total: counter(
    'deployments',
    'Rows in which answer checks found something, by what it was.',
    ['deployment', 'version', 'finding'],
    300,
  ),
  keelson_serving_open_breakers: gauge(
    'deployments',
    'none',
    'Inference servers that are given no requests because too many failed.',
    ['deployment', 'version'],
  ),
  keelson_alerts_open: gauge('monitoring', 'none', 'Alerts that fire, by severity.', ['severity']),
};
