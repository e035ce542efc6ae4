import type { SeriesBucket, SeriesSummary } from '../contracts/series-store.ts';
import { encodeJson, type Json } from '../json.ts';
import type { Artifact, Artifacts } from './artifacts.ts';
import type { Experiments } from './experiments.ts';
import { formatBytes, formatMs } from './format-figures.ts';
import { escapeHtml, htmlPage, section, table } from './html-page.ts';
import type { Metrics } from './metrics.ts';
import type { Run } from './run.ts';
import type { Runs } from './runs.ts';
import type { RunSearches } from './search.ts';

/** What a page is made from. */
export interface RunPageParts {
  readonly experiments: Experiments;
  readonly runs: Pick<Runs, 'getRun'>;
  readonly searches: RunSearches;
  readonly artifacts: Artifacts;
  readonly metrics: Metrics;
}

const maxFigureBytes = 2_000_000;
const maxCharts = 60;

/** The HTML page of one run: no script, nothing loaded from outside, every value escaped. */
export async function renderRunPage(parts: RunPageParts, runId: string): Promise<string> {
  const run = await parts.runs.getRun(runId);
  const [experiment, summaries, { artifacts }, children] = await Promise.all([
    parts.experiments.getExperiment(run.experimentId),
    parts.metrics.getMetricSummaries(runId),
    parts.artifacts.listArtifacts(runId, { limit: 500 }),
    parts.searches.searchRuns({ parentRunId: runId, limit: 100 }),
  ]);
  const charts: string[] = [];
  for (const summary of summaries.slice(0, maxCharts)) {
    const buckets = await parts.metrics.downsampleMetric(runId, summary.key, { buckets: 300 });
    charts.push(metricCard(summary, buckets));
  }
  const figures: string[] = [];
  for (const artifact of artifacts.filter(isFigure)) {
    figures.push(await figureCard(parts.artifacts, artifact));
  }
  const body = [
    header(run, experiment.name),
    section('Metrics', charts.length === 0 ? '' : `<div class="grid">${charts.join('')}</div>`),
    section('Figures', figures.length === 0 ? '' : `<div class="grid">${figures.join('')}</div>`),
    section(
      'Params',
      table(
        ['key', 'value'],
        Object.entries(run.params).map(([k, v]) => [k, show(v)]),
      ),
    ),
    section('Nested runs', nestedRuns(children.runs)),
    section(
      'Artifacts',
      table(
        ['path', 'type', 'size', 'sha256'],
        artifacts.map((a) => [a.path, a.type, formatBytes(a.sizeBytes), a.sha256.slice(0, 16)]),
      ),
    ),
    section('Tags', table(['key', 'value'], Object.entries(run.tags))),
    section(
      'Environment',
      `<pre>${escapeHtml(JSON.stringify(run.environment, undefined, 2))}</pre>`,
    ),
  ];
  return htmlPage(`${run.name} · ${experiment.name}`, body.join('\n'));
}

function header(run: Run, experiment: string): string {
  const facts = [
    ['experiment', experiment],
    ['run', run.id],
    ['started', new Date(run.startedAt).toISOString()],
    ['duration', run.durationMs === undefined ? '–' : formatMs(run.durationMs)],
    ['by', run.userId],
    [
      'source',
      [run.sourceName, run.sourceVersion?.slice(0, 10)].filter(Boolean).join(' @ ') || '–',
    ],
  ];
  const lost = Object.entries(run.lostPoints);
  return `<header><h1>${escapeHtml(run.name)} <span class="status ${run.status}">${run.status}</span></h1>
<p>${escapeHtml(run.description)}</p>
${run.statusReason === undefined ? '' : `<p class="reason">${escapeHtml(run.statusReason)}</p>`}
${lost.length === 0 ? '' : `<p class="reason">Metric points lost: ${escapeHtml(lost.map(([k, n]) => `${k} ${n}`).join(', '))}</p>`}
<dl>${facts.map(([k, v]) => `<div><dt>${k}</dt><dd>${escapeHtml(v ?? '')}</dd></div>`).join('')}</dl></header>`;
}

function nestedRuns(runs: readonly Run[]): string {
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))].slice(0, 6);
  return table(
    ['name', 'status', ...keys],
    runs.map((run) => [run.name, run.status, ...keys.map((key) => formatNumber(run.metrics[key]))]),
  );
}

function isFigure(artifact: Artifact): boolean {
  return artifact.mimeType.startsWith('image/') && artifact.sizeBytes <= maxFigureBytes;
}

async function figureCard(artifacts: Artifacts, artifact: Artifact): Promise<string> {
  const bytes = await artifacts.readArtifact(artifact.runId, artifact.path);
  // As an image, never inline: a script in an SVG does not run there.
  const url = `data:${artifact.mimeType};base64,${Buffer.from(bytes).toString('base64')}`;
  const name = escapeHtml(artifact.path);
  return `<figure><img alt="${name}" src="${escapeHtml(url)}"><figcaption>${name}</figcaption></figure>`;
}

function metricCard(summary: SeriesSummary, buckets: readonly SeriesBucket[]): string {
  const figures = [
    `last ${formatNumber(summary.last)}`,
    `min ${formatNumber(summary.min)}`,
    `max ${formatNumber(summary.max)}`,
    `${summary.count} points`,
  ];
  return `<figure><figcaption><b>${escapeHtml(summary.key)}</b><br>${figures.join(' · ')}</figcaption>${curve(buckets)}</figure>`;
}

/** A band from each bucket's least to its greatest value, over its steps. */
function curve(buckets: readonly SeriesBucket[]): string {
  const drawn = buckets.filter((b) => Number.isFinite(b.min) && Number.isFinite(b.max));
  const first = drawn[0];
  const last = drawn.at(-1);
  if (first === undefined || last === undefined) return '<p class="empty">no finite values</p>';
  const low = Math.min(...drawn.map((b) => b.min));
  const high = Math.max(...drawn.map((b) => b.max));
  const width = 320;
  const height = 120;
  const x = (step: number): string =>
    (4 + ((step - first.stepMin) / (last.stepMax - first.stepMin || 1)) * (width - 8)).toFixed(1);
  const y = (value: number): string =>
    (height - 4 - ((value - low) / (high - low || 1)) * (height - 8)).toFixed(1);
  const points = drawn.flatMap((b) =>
    b.minStep <= b.maxStep
      ? [`${x(b.minStep)},${y(b.min)}`, `${x(b.maxStep)},${y(b.max)}`]
      : [`${x(b.maxStep)},${y(b.max)}`, `${x(b.minStep)},${y(b.min)}`],
  );
  const dot =
    drawn.length === 1 ? `<circle cx="${x(first.minStep)}" cy="${y(first.min)}" r="3"/>` : '';
  return `<svg viewBox="0 0 ${width} ${height}" role="img"><polyline points="${points.join(' ')}"/>${dot}</svg>`;
}

function show(value: Json): string {
  const text = typeof value === 'string' ? value : encodeJson(value);
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}

function formatNumber(value: number | undefined): string {
  if (value === undefined) return '–';
  return Number.isInteger(value) || !Number.isFinite(value) ? String(value) : value.toPrecision(5);
}
