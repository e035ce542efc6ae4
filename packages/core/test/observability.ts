import {
  type MetricDefinition,
  type MetricName,
  type MetricPart,
  metricCatalogue,
} from '../src/operations/metrics/metric-catalogue.ts';

const names = Object.keys(metricCatalogue) as MetricName[];

/** The parts, each with a dashboard. */
export const parts: readonly MetricPart[] = [
  'platform',
  'tracking',
  'registry',
  'pipelines',
  'deployments',
  'monitoring',
];

/** docs/observability/metrics.md. */
export function metricsPage(): string {
  const rows = names.map((name) => {
    const { type, unit, labels, maxSeries, help, part } = metricCatalogue[name];
    const bound =
      labels.length === 0 ? '' : `${labels.map((l) => `\`${l}\``).join(', ')} (≤ ${maxSeries})`;
    return `| \`${name}\` | ${part} | ${type} | ${unit === 'none' ? '' : unit} | ${bound} | ${help} |`;
  });
  const alertRows = alerts.map(
    ({ name, severity, summary, after }) => `| ${name} | ${severity} | ${after} | ${summary} |`,
  );
  return `# Metrics, dashboards and rules

\`platform.operations.metrics()\` answers the metrics of a process as Prometheus's text (format 0.0.4); answer it as \`metricsContentType\` where your service is scraped. \`packages/serve\` adds its own at \`GET /metrics\`. This page, \`rules.yml\` and \`dashboards/\` are made of the catalogue by a test; do not edit them.

Counters and histograms tell of one process, over all workspaces, since it was opened. Gauges that are read from the store (runs, versions, dead letters, alerts, notifications) tell of the platform's own workspace, and are the same from every process: take \`max\` of them, not \`sum\`. A metric has at most as many label sets as the table says; what comes beyond is \`other\`.

| metric | part | type | unit | labels (at most) | |
|---|---|---|---|---|---|
${rows.join('\n')}

## Alerts

| alert | severity | after | |
|---|---|---|---|
${alertRows.join('\n')}
`;
}

interface AlertRule {
  readonly name: string;
  readonly expr: string;
  readonly after: string;
  readonly severity: 'warning' | 'critical';
  readonly summary: string;
}

const alerts: readonly AlertRule[] = [
  {
    name: 'KeelsonGone',
    expr: 'absent(keelson_commits_total)',
    after: '5m',
    severity: 'critical',
    summary: 'No process of the platform is scraped any more.',
  },
  {
    name: 'KeelsonLoopStalled',
    expr: 'keelson_loop_lag_seconds > 300',
    after: '5m',
    severity: 'critical',
    summary: 'The background loop {{ $labels.loop }} has not come through a round for minutes.',
  },
  {
    name: 'KeelsonCommitsFail',
    expr: 'sum(rate(keelson_commits_total{outcome=~"unavailable|timeout|internal|corrupt"}[5m])) / sum(rate(keelson_commits_total[5m])) > 0.1',
    after: '5m',
    severity: 'critical',
    summary: 'More than a tenth of the commits fail.',
  },
  {
    name: 'KeelsonDeadLetters',
    expr: 'max by (subscription) (keelson_dead_letters) > 0',
    after: '10m',
    severity: 'warning',
    summary: 'The subscription {{ $labels.subscription }} has given events up.',
  },
  {
    name: 'KeelsonEventsLate',
    expr: 'histogram_quantile(0.99, sum by (subscription, le) (rate(keelson_event_delivery_delay_seconds_bucket[5m]))) > 30',
    after: '10m',
    severity: 'warning',
    summary: 'Events reach {{ $labels.subscription }} more than 30 s late.',
  },
  {
    name: 'KeelsonNotificationsWait',
    expr: 'max by (notifier) (keelson_notifications_pending) > 0',
    after: '15m',
    severity: 'critical',
    summary: 'The notifier {{ $labels.notifier }} does not get rid of what it should tell.',
  },
  {
    name: 'KeelsonPointsLost',
    expr: 'increase(keelson_points_lost_total[10m]) > 0',
    after: '0m',
    severity: 'critical',
    summary: 'Metric points were lost because memory and spool are full.',
  },
  {
    name: 'KeelsonPointsSpooled',
    expr: 'keelson_points_spooled > 0',
    after: '10m',
    severity: 'warning',
    summary: 'Metric points wait in the spool because the store is away.',
  },
  {
    name: 'KeelsonConnectionsAwaited',
    expr: 'keelson_database_connections{state="awaited"} > 0',
    after: '5m',
    severity: 'warning',
    summary: 'Callers wait for connections to the database.',
  },
  {
    name: 'KeelsonMetricsIncomplete',
    expr: 'increase(keelson_scrape_failures_total[10m]) > 0',
    after: '10m',
    severity: 'warning',
    summary: 'The store does not give the figures of {{ $labels.source }}.',
  },
  {
    name: 'KeelsonPredictionsFail',
    expr: 'sum by (deployment) (rate(keelson_serving_requests_total{status=~"5.."}[5m])) / sum by (deployment) (rate(keelson_serving_requests_total[5m])) > 0.05',
    after: '5m',
    severity: 'critical',
    summary: 'More than 5 % of the requests to {{ $labels.deployment }} fail.',
  },
  {
    name: 'KeelsonModelAlert',
    expr: 'max by (severity) (keelson_alerts_open{severity=~"CRITICAL|EMERGENCY"}) > 0',
    after: '0m',
    severity: 'critical',
    summary: 'Monitoring has a {{ $labels.severity }} alert open.',
  },
];

/** docs/observability/rules.yml: recording and alert rules. JSON texts are YAML scalars. */
export function rules(): string {
  const records = names
    .filter((name) => metricCatalogue[name].type === 'histogram')
    .flatMap((name) =>
      ['0.5', '0.99'].map((quantile) => {
        const record = `${name.replace('keelson_', 'keelson:')}:p${quantile.slice(2)}_5m`;
        return { record, expr: quantileOf(name, quantile) };
      }),
    );
  const recording = records.map(
    ({ record, expr }) => `      - record: ${record}\n        expr: ${JSON.stringify(expr)}`,
  );
  const alerting = alerts.map(({ name, expr, after, severity, summary }) =>
    [
      `      - alert: ${name}`,
      `        expr: ${JSON.stringify(expr)}`,
      `        for: ${after}`,
      `        labels:\n          severity: ${severity}`,
      `        annotations:\n          summary: ${JSON.stringify(summary)}`,
    ].join('\n'),
  );
  return [
    '# Made of the catalogue of metrics by a test; do not edit.',
    'groups:',
    '  - name: keelson-recording',
    '    rules:',
    ...recording,
    '  - name: keelson-alerts',
    '    rules:',
    ...alerting,
    '',
  ].join('\n');
}

function quantileOf(name: MetricName, quantile: string): string {
  const by = [...metricCatalogue[name].labels, 'le'].join(', ');
  return `histogram_quantile(${quantile}, sum by (${by}) (rate(${name}_bucket[5m])))`;
}

/** docs/observability/dashboards/PART.json: a Grafana dashboard. */
export function dashboard(part: MetricPart): string {
  const panels = [
    ...names
      .filter((name) => metricCatalogue[name].part === part)
      .map((name) => ({
        ...queriesOf(name, metricCatalogue[name]),
        help: metricCatalogue[name].help,
      })),
    eventPanel(part),
  ];
  return `${JSON.stringify(
    {
      uid: `keelson-${part}`,
      title: `Keelson ${part}`,
      tags: ['keelson'],
      schemaVersion: 38,
      refresh: '30s',
      time: { from: 'now-6h', to: 'now' },
      templating: {
        list: [
          { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' },
        ],
      },
      panels: panels.map(({ title, unit, targets, help }, index) => ({
        id: index + 1,
        type: 'timeseries',
        title,
        description: help,
        datasource: { type: 'prometheus', uid: '$datasource' },
        fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
        gridPos: { h: 8, w: 12, x: (index % 2) * 12, y: Math.floor(index / 2) * 8 },
        targets: targets.map(([expr, legendFormat], i) => ({
          refId: String.fromCharCode(65 + i),
          expr,
          legendFormat,
        })),
      })),
    },
    null,
    2,
  )}\n`;
}

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly help: string;
  readonly targets: readonly (readonly [expr: string, legend: string])[];
}

function queriesOf(name: MetricName, definition: MetricDefinition): Omit<Panel, 'help'> {
  const { type, labels, unit } = definition;
  const legend = labels.length === 0 ? name : labels.map((label) => `{{${label}}}`).join(' ');
  const by = labels.length === 0 ? '' : ` by (${labels.join(', ')})`;
  const units = { seconds: 's', bytes: 'bytes', none: 'short' };
  if (type === 'counter') {
    const shown = unit === 'seconds' ? 's' : 'cps';
    return {
      title: `${name} per second`,
      unit: shown,
      targets: [[`sum${by} (rate(${name}[5m]))`, legend]],
    };
  }
  if (type === 'gauge') {
    const shown = name.endsWith('_timestamp_seconds')
      ? ([`time() - max${by} (${name})`, `${legend} ago`] as const)
      : ([`max${by} (${name})`, legend] as const);
    return { title: name, unit: units[unit], targets: [shown] };
  }
  const targets = ['0.5', '0.95', '0.99'].map(
    (quantile) => [quantileOf(name, quantile), `${legend} p${quantile.slice(2)}`] as const,
  );
  return { title: name, unit: 's', targets };
}

/** The nouns of a part's events. */
export const eventNouns: Readonly<Record<MetricPart, string | undefined>> = {
  platform: undefined,
  tracking: 'run|metric|artifact|experiment',
  registry: 'model|promotion|alias|automation',
  pipelines: 'pipeline|step|resource',
  deployments: 'deployment|traffic|rollout|scaling|abtest',
  monitoring: 'alert|silence|drift|performance|baseline|prediction|monitoring|response|retraining',
};

/** What happens in a part: its events, by type; of the platform, the most frequent of all. */
function eventPanel(part: MetricPart): Panel {
  const nouns = eventNouns[part];
  const of = nouns === undefined ? '' : `{type=~"(${nouns})\\\\..*"}`;
  const sum = `sum by (type) (increase(keelson_events_emitted_total${of}[5m]))`;
  const expr = nouns === undefined ? `topk(20, ${sum})` : sum;
  const title = `events of ${part} in five minutes`;
  return { title, unit: 'short', help: 'From the outbox.', targets: [[expr, '{{type}}']] };
}
