import { isKeelsonError } from '../errors.ts';
import { encodeJson, isPlainObject, type Json, storableText } from '../json.ts';
import type { Artifact, Artifacts } from './artifacts.ts';
import type { Datasets, RunDataset } from './datasets.ts';
import type { Experiments } from './experiments.ts';
import { formatBytes, formatNumber } from './format-figures.ts';
import { escapeHtml, htmlPage, section, table } from './html-page.ts';
import { type DrawnMetric, metricCards } from './metric-cards.ts';
import type { Metrics } from './metrics.ts';
import { flattenParams } from './params.ts';
import type { Run } from './run.ts';
import type { Runs } from './runs.ts';
import type { RunSearches } from './search.ts';

/** What a page is made from. */
export interface RunPageParts {
  readonly experiments: Pick<Experiments, 'getExperiment'>;
  readonly runs: Pick<Runs, 'getRun' | 'findRun'>;
  readonly searches: Pick<RunSearches, 'searchRuns'>;
  readonly artifacts: Pick<Artifacts, 'listArtifacts' | 'readArtifact'>;
  readonly datasets: Datasets;
  readonly metrics: Pick<Metrics, 'getMetricSummaries' | 'downsampleMetric'>;
}

const maxFigureBytes = 2_000_000;
const maxPageBytes = 20_000_000;
const maxCharts = 60;
const maxArtifacts = 500;
const maxChildren = 100;

/** The HTML page of one run: no script, nothing loaded from outside, every value escaped. */
export async function renderRunPage(parts: RunPageParts, runId: string): Promise<string> {
  const run = await parts.runs.getRun(runId);
  const [experiment, parent, summaries, listed, datasets, children] = await Promise.all([
    parts.experiments.getExperiment(run.experimentId),
    run.parentRunId === undefined ? undefined : parts.runs.findRun(run.parentRunId),
    parts.metrics.getMetricSummaries(runId),
    parts.artifacts.listArtifacts(runId, { limit: maxArtifacts }),
    parts.datasets.listDatasets(runId),
    parts.searches.searchRuns({
      parentRunId: runId,
      orderBy: ['start_time'],
      limit: maxChildren,
    }),
  ]);
  const metrics: DrawnMetric[] = [];
  for (const summary of summaries.slice(0, maxCharts)) {
    const buckets = await parts.metrics.downsampleMetric(runId, summary.key, { buckets: 300 });
    metrics.push({ summary, buckets });
  }
  const rest = summaries.length - metrics.length;
  const { artifacts } = listed;
  const content = [
    section('Metrics', metricCards(metrics) + note(rest > 0 && `and ${rest} more metrics`)),
    section(
      'Nested runs',
      nestedRuns(children.runs) + note(children.cursor && `the first ${maxChildren}`),
    ),
    section('Figures', await figureCards(parts.artifacts, artifacts)),
    section('Params', keyValues(Object.entries(run.params).map(([k, v]) => [k, show(v)]))),
    section(
      'Datasets',
      table(['name', 'role', 'rows', 'digest', 'source'], datasets.map(datasetRow)),
    ),
    section(
      'Artifacts',
      table(
        ['path', 'type', 'size', 'sha256'],
        artifacts.map((a) => [a.path, a.type, formatBytes(a.sizeBytes), a.sha256.slice(0, 16)]),
      ) + note(listed.cursor && `the first ${maxArtifacts}`),
    ),
    section('Tags', keyValues(Object.entries(run.tags))),
    section(
      'Environment',
      keyValues([...flattenParams(run.environment)].map(([k, v]) => [k, show(v)])),
    ),
  ].join('\n');
  const empty = '<p class="empty">Nothing has been logged yet.</p>';
  const body = `<style>${style}</style>${header(run, experiment.name, parent)}\n${content.trim() || empty}`;
  return htmlPage(`${run.name} · ${experiment.name}`, body);
}

const style = `
.metric{padding:.7rem .7rem .3rem}.metric text{font-size:10px;fill:currentColor;opacity:.75}.metric line{stroke:var(--line)}
.metric .dot{stroke-width:5;stroke-linecap:round}.metric strong{font-weight:600}
.figures{display:flex;flex-wrap:wrap;gap:0 .8rem;font-size:.8rem;opacity:.8}.figures b{font-weight:600;font-variant-numeric:tabular-nums}
.facts{margin-top:.6rem}.pairs th{font-weight:400;white-space:nowrap;max-width:24rem;overflow:hidden;text-overflow:ellipsis;vertical-align:top;opacity:.8}
.pairs td{overflow-wrap:anywhere;white-space:pre-wrap;min-width:10rem}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;padding-left:.8rem}
.grid+.scroll{margin-top:1rem}td:first-child{white-space:nowrap;max-width:26rem;overflow:hidden;text-overflow:ellipsis}
.note{font-size:.8rem;opacity:.75}h2{margin:1.6rem 0 .6rem}figcaption p{margin:.2rem 0}
`;

function header(run: Run, experiment: string, parent: Run | undefined): string {
  const ended = run.durationMs !== undefined;
  const source = [run.sourceName, run.sourceVersion?.slice(0, 10)].filter(Boolean).join(' @ ');
  const facts: (readonly [string, string | undefined])[] = [
    ['experiment', experiment],
    ['run', run.id],
    ['parent', parent?.name],
    ['started', formatTime(run.startedAt)],
    ['duration', ended ? formatDuration(run.durationMs ?? 0) : undefined],
    ['last heartbeat', run.heartbeatAt === undefined ? undefined : formatTime(run.heartbeatAt)],
    ['by', run.userId],
    ['source', source === '' ? undefined : source],
  ];
  const lost = Object.entries(run.lostPoints).map(([key, points]) => `${key} ${points}`);
  const shown = facts.flatMap(([name, value]) =>
    value === undefined ? [] : [`<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`],
  );
  return `<header><h1>${escapeHtml(run.name)} ${statusPill(run)}</h1>
${run.lifecycle === 'deleted' ? '<p class="reason">This run is deleted.</p>' : ''}
${run.statusReason === undefined ? '' : `<p class="reason">${escapeHtml(run.statusReason)}</p>`}
${lost.length === 0 ? '' : `<p class="reason">Metric points lost: ${escapeHtml(lost.join(', '))}</p>`}
${run.description === '' ? '' : `<p>${escapeHtml(run.description)}</p>`}
<dl class="facts">${shown.join('')}</dl></header>`;
}

function statusPill(run: Run): string {
  return `<span class="status ${run.status}">${run.status}</span>`;
}

/** A table of the runs nested in this one: what was chosen differently, and what came of it. */
function nestedRuns(runs: readonly Run[]): string {
  if (runs.length === 0) return '';
  const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))].slice(0, 6);
  const params = varying(runs).slice(0, 4);
  const own = (values: Readonly<Record<string, Json>>, key: string): string =>
    Object.hasOwn(values, key) ? storableText(show(values[key] ?? null), 60) : '–';
  const head = ['name', 'status', ...params].map((name) => `<th>${escapeHtml(name)}</th>`);
  const rows = runs.map((run) => {
    const cells = [
      `<td>${escapeHtml(run.name)}</td><td>${statusPill(run)}</td>`,
      ...params.map((key) => `<td>${escapeHtml(own(run.params, key))}</td>`),
      ...metrics.map((key) => {
        const value = Object.hasOwn(run.metrics, key) ? run.metrics[key] : undefined;
        return `<td class="n">${formatNumber(value) ?? '–'}</td>`;
      }),
      `<td class="reason">${escapeHtml(storableText(run.statusReason ?? '', 200))}</td>`,
    ];
    return `<tr>${cells.join('')}</tr>`;
  });
  const numbers = metrics.map((name) => `<th class="n">${escapeHtml(name)}</th>`);
  return `<div class="scroll"><table><tr>${head.join('')}${numbers.join('')}<th></th></tr>${rows.join('')}</table></div>`;
}

/** Params that are not the same in all runs that have them. */
function varying(runs: readonly Run[]): string[] {
  const keys = new Set(runs.flatMap((run) => Object.keys(run.params)));
  return [...keys].filter((key) => {
    const having = runs.filter((run) => Object.hasOwn(run.params, key));
    return new Set(having.map((run) => encodeJson(run.params[key] ?? null))).size > 1;
  });
}

/** Figures as images, never inline: a script in an SVG does not run there. */
async function figureCards(
  store: RunPageParts['artifacts'],
  artifacts: readonly Artifact[],
): Promise<string> {
  const cards: string[] = [];
  let bytesLeft = maxPageBytes;
  for (const artifact of artifacts.filter((each) => each.mimeType.startsWith('image/'))) {
    const { path, sizeBytes } = artifact;
    const tooBig = sizeBytes > maxFigureBytes || sizeBytes > bytesLeft;
    if (tooBig) {
      cards.push(
        figureCard(
          path,
          `<p class="empty">${formatBytes(sizeBytes)}: too large to be shown here</p>`,
        ),
      );
      continue;
    }
    bytesLeft -= sizeBytes;
    cards.push(figureCard(path, await image(store, artifact)));
  }
  return cards.length === 0 ? '' : `<div class="grid">${cards.join('')}</div>`;
}

function figureCard(path: string, content: string): string {
  return `<figure>${content}<figcaption>${escapeHtml(path)}</figcaption></figure>`;
}

async function image(store: RunPageParts['artifacts'], artifact: Artifact): Promise<string> {
  try {
    const bytes = await store.readArtifact(artifact.runId, artifact.path);
    const url = `data:${artifact.mimeType};base64,${Buffer.from(bytes).toString('base64')}`;
    return `<img alt="${escapeHtml(artifact.path)}" src="${escapeHtml(url)}">`;
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT', 'NOT_FOUND')) throw error;
    return `<p class="reason">cannot be shown: ${escapeHtml(error.message)}</p>`;
  }
}

function datasetRow(dataset: RunDataset): readonly string[] {
  const { name, role, rowCount, digest, sourceUri } = dataset;
  return [name, role, rowCount?.toLocaleString('en') ?? '–', digest.slice(0, 16), sourceUri ?? '–'];
}

function keyValues(pairs: readonly (readonly string[])[]): string {
  if (pairs.length === 0) return '';
  const rows = pairs.map(
    ([key = '', value = '']) =>
      `<tr><th title="${escapeHtml(storableText(key, 500))}">${escapeHtml(storableText(key, 200))}</th><td>${escapeHtml(value)}</td></tr>`,
  );
  return `<div class="scroll"><table class="pairs">${rows.join('')}</table></div>`;
}

function note(text: string | false | undefined): string {
  return text === false || text === undefined || text === ''
    ? ''
    : `<p class="note">${escapeHtml(text)}</p>`;
}

function show(value: Json): string {
  const text =
    typeof value === 'string' ? value : isPlainObject(value) ? encodeJson(value) : plain(value);
  return storableText(text, 500);
}

function plain(value: Json): string {
  return typeof value === 'number'
    ? Object.is(value, -0)
      ? '-0'
      : String(value)
    : encodeJson(value);
}

function formatTime(at: number): string {
  const date = new Date(at);
  // A caller's clock may give what is no date.
  return Number.isNaN(date.getTime())
    ? String(at)
    : `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.floor((ms % 60_000) / 1000);
  if (minutes < 60) return `${minutes} min ${seconds} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
