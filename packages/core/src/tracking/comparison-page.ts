import type { SeriesBucket } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { encodeJson, type Json } from '../json.ts';
import type { CompareOptions, RunComparisons } from './compare-runs.ts';
import type {
  BaselineChange,
  ComparedArtifact,
  ComparedMetric,
  ComparedRun,
  Comparison,
  Difference,
} from './comparison.ts';
import type { Experiments } from './experiments.ts';
import { axisNumber, formatBytes, formatMs, formatNumber } from './format-figures.ts';
import { escapeHtml, htmlPage, section } from './html-page.ts';
import { type ChartLine, lineChart } from './line-chart.ts';
import type { Metrics } from './metrics.ts';
import type { MetricFigures } from './series-figures.ts';

/** What the page is made from. */
export interface ComparisonPageParts {
  readonly experiments: Pick<Experiments, 'getExperiment'>;
  readonly comparisons: Pick<RunComparisons, 'compareRuns'>;
  readonly metrics: Pick<Metrics, 'downsampleMetric'>;
}

const maxRuns = 50;
const maxCharts = 60;
const buckets = 200;
const colours = [
  '#1b6ca8',
  '#c2571a',
  '#2a7d2a',
  '#8b3fa0',
  '#a08000',
  '#b3261e',
  '#2b8a8a',
  '#6b6b6b',
  '#b0488a',
  '#5a5ad0',
];
const dashes = ['', '6 3', '2 3', '8 3 2 3', '1 2'];

/**
 * The HTML page of several runs: curves laid over each other, a table of figures with the best marked,
 * and what differs; what is the same in all is counted and left out. No script, every value escaped.
 */
export async function renderComparisonPage(
  parts: ComparisonPageParts,
  ids: readonly string[],
  options: CompareOptions = {},
): Promise<string> {
  if (ids.length > maxRuns) {
    throw new KeelsonError(
      'INVALID',
      `A page shows at most ${maxRuns} runs, not ${ids.length}; compareRuns takes more.`,
    );
  }
  const comparison = await parts.comparisons.compareRuns(ids, options);
  const { runs, metrics } = comparison;
  const experiments = new Map<string, string>();
  for (const { experimentId } of runs) {
    if (experiments.has(experimentId)) continue;
    experiments.set(experimentId, (await parts.experiments.getExperiment(experimentId)).name);
  }
  const cards: string[] = [];
  for (const metric of metrics.slice(0, maxCharts)) {
    const lines = await linesOf(parts.metrics, metric, runs);
    cards.push(metricCard(comparison, metric, lines));
  }
  const title = `${runs.length} runs of ${[...experiments.values()].join(', ')}`;
  const body = [
    `<style>${style}</style>`,
    `<header><h1>${escapeHtml(title)}</h1></header>`,
    runTable(comparison, experiments),
    section('Params', differences(comparison, comparison.params, comparison.same.params, 'Params')),
    section('Metrics', cards.join('') + restOf(metrics.length - maxCharts, 'metrics')),
    section('Artifacts', artifacts(comparison)),
    section('Tags', differences(comparison, comparison.tags, comparison.same.tags, 'Tags')),
    section(
      'Environment',
      differences(comparison, comparison.environment, comparison.same.environment, 'Facts'),
    ),
  ];
  return htmlPage(`${title} · comparison`, body.join('\n'));
}

const style = `
.compare{border-collapse:separate;border-spacing:0}.compare td,.compare th{padding:.25rem .7rem;vertical-align:top}
.compare td:first-child,.compare th:first-child{position:sticky;left:0;background:Canvas;padding-left:0;max-width:16rem;overflow-wrap:anywhere;min-width:7rem}
.compare th{font-weight:600;font-size:.8rem;max-width:12rem;vertical-align:bottom;overflow-wrap:anywhere}.compare th.who{min-width:7rem}
.compare .n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.compare td.v{max-width:22rem;overflow-wrap:anywhere;min-width:7rem}
.compare .best{font-weight:700}.compare .best::after{content:" ★";color:#b58900}
.none{color:GrayText}.better{color:#2a7d2a}.worse{color:#b3261e}
.key{width:1.6rem;height:.6rem;vertical-align:middle;margin-right:.4rem}
.card{margin:1rem 0 1.6rem}.card h3{font-size:1rem;margin:.2rem 0;overflow-wrap:anywhere}.card .note,.note{font-size:.8rem;opacity:.75;margin:.2rem 0}
.card .legend{display:none}.card .chart{border:0;padding:0;max-width:760px}.card polyline{stroke-width:1.3}.card figcaption{display:none}
.base{font-size:.75rem;border:1px solid var(--line);border-radius:1rem;padding:0 .4rem;white-space:nowrap}
@media (max-width:600px){.chart text{font-size:15px}.chart svg{overflow:visible}.compare td:first-child,.compare th:first-child{max-width:8rem;font-size:.85rem}}
@media (prefers-color-scheme:dark){.better{color:#7bc47b}.worse{color:#f2867e}}
`;

/** The line of a run: its own colour and dashes on the whole page. */
function strokeOf(index: number): { readonly colour: string; readonly dash: string } {
  return {
    colour: colours[index % colours.length] as string,
    dash: dashes[Math.floor(index / colours.length) % dashes.length] as string,
  };
}

async function linesOf(
  metrics: ComparisonPageParts['metrics'],
  metric: ComparedMetric,
  runs: readonly ComparedRun[],
): Promise<readonly ChartLine[]> {
  const lines: ChartLine[] = [];
  for (const [i, run] of runs.entries()) {
    const key = metric.keys[i];
    if (key === undefined) continue;
    const points = (await metrics.downsampleMetric(run.id, key, { buckets })).flatMap(pointsOf);
    lines.push({ name: run.name, points, ...strokeOf(i) });
  }
  return lines;
}

/** The extremes of a bucket in the order of their steps; a gap where there is no finite value. */
function pointsOf(bucket: SeriesBucket): { readonly x: number; readonly y: number }[] {
  const low = { x: bucket.minStep, y: bucket.min };
  const high = { x: bucket.maxStep, y: bucket.max };
  if (bucket.min === bucket.max) return [low];
  return low.x <= high.x ? [low, high] : [high, low];
}

function metricCard(
  comparison: Comparison,
  metric: ComparedMetric,
  lines: readonly ChartLine[],
): string {
  const { name, unit, direction } = metric;
  const chart = lineChart({
    title: name,
    lines,
    // Of a short series the ticks between whole steps stay unwritten.
    formatX: (x) => (Number.isInteger(x) || Math.abs(x) >= 100 ? String(Math.round(x)) : ''),
    formatY: axisNumber,
  });
  const better = direction === undefined ? 'direction not known' : `${direction} is better`;
  const about = [unit, better].filter((text) => text !== undefined).join(' · ');
  return `<div class="card"><h3>${escapeHtml(name)}</h3><p class="note">${escapeHtml(about)}</p>${chart}${figureTable(comparison, metric)}</div>`;
}

type Column = readonly [title: string, cell: (figures: MetricFigures, index: number) => string];

function figureTable(comparison: Comparison, metric: ComparedMetric): string {
  const { direction, fromBaseline } = metric;
  const best: Column[] =
    direction === undefined
      ? [
          ['min', (of) => cell(formatNumber(of.min))],
          ['max', (of) => cell(formatNumber(of.max))],
        ]
      : [
          [
            'best',
            (of, i) =>
              cell(
                formatNumber(of.best),
                metric.bestRuns.includes(comparison.runs[i]?.id ?? '') ? 'n best' : 'n',
              ),
          ],
          ['at step', (of) => cell(formatNumber(of.bestStep))],
          ['converged at', (of) => cell(formatNumber(of.convergenceStep))],
        ];
  const columns: Column[] = [
    ['final', (of) => cell(formatNumber(of.final))],
    ...(fromBaseline === undefined
      ? []
      : [
          [
            'against baseline',
            (_, i) =>
              comparison.runs[i]?.id === comparison.baseline
                ? cell('baseline', 'n none')
                : changeCell(fromBaseline[i]),
          ] satisfies Column,
        ]),
    ...best,
    ['area', (of) => cell(formatNumber(of.area))],
    ['stability', (of) => cell(formatNumber(of.stability))],
    ['points', (of) => cell(pointsText(of))],
  ];
  const head = ['run', ...columns.map(([title]) => title)];
  const rows = comparison.runs.map((run, i) => {
    const figures = metric.figures[i];
    const cells =
      figures === undefined
        ? columns.map(() => cell(undefined))
        : columns.map(([, of]) => of(figures, i));
    return `<tr><td>${runLabel(run, i)}</td>${cells.join('')}</tr>`;
  });
  return grid(
    head.map((title, i) => `<th${i === 0 ? '' : ' class="n"'}>${title}</th>`).join(''),
    rows,
  );
}

function runTable(comparison: Comparison, experiments: ReadonlyMap<string, string>): string {
  const { runs, baseline } = comparison;
  const several = experiments.size > 1;
  const head = ['run', ...(several ? ['experiment'] : []), 'status', 'started', 'duration', 'id'];
  const rows = runs.map((run, i) => {
    const base = run.id === baseline ? ' <span class="base">baseline</span>' : '';
    const cells = [
      `<td>${runLabel(run, i)}${base}</td>`,
      ...(several ? [textCell(experiments.get(run.experimentId))] : []),
      `<td><span class="status ${run.status}">${run.status}</span></td>`,
      `<td class="n">${new Date(run.startedAt).toISOString().slice(0, 19).replace('T', ' ')}</td>`,
      cell(run.durationMs === undefined ? undefined : formatMs(run.durationMs)),
      `<td class="n">${escapeHtml(run.id)}</td>`,
    ];
    return `<tr>${cells.join('')}</tr>`;
  });
  const numeric = new Set(['started', 'duration', 'id']);
  return grid(
    head.map((title) => `<th${numeric.has(title) ? ' class="n"' : ''}>${title}</th>`).join(''),
    rows,
  );
}

/** One row for each key, one column for each run; what is the same in all is counted below. */
function differences(
  comparison: Comparison,
  differing: readonly Difference<Json>[],
  same: number,
  what: string,
): string {
  const note =
    same === 0 ? '' : `<p class="note">${what} the same in all runs, not shown: ${same}.</p>`;
  if (differing.length === 0) return note;
  const rows = differing.map(
    ({ key, values }) =>
      `<tr><td>${escapeHtml(clip(key))}</td>${values.map((value) => textCell(value === undefined ? undefined : show(value))).join('')}</tr>`,
  );
  return grid(`<th></th>${runHeads(comparison)}`, rows) + note;
}

function artifacts(comparison: Comparison): string {
  const differing = comparison.artifacts.filter((artifact) => !artifact.same);
  const same = comparison.artifacts.length - differing.length;
  const note =
    same === 0 ? '' : `<p class="note">With the same content in all runs, not shown: ${same}.</p>`;
  if (differing.length === 0) return note;
  const rows = differing
    .slice(0, 500)
    .map(
      (artifact) =>
        `<tr><td>${escapeHtml(clip(artifact.path))}</td>${contentCells(artifact).join('')}</tr>`,
    );
  return (
    grid(`<th></th>${runHeads(comparison)}`, rows) +
    restOf(differing.length - 500, 'artifacts') +
    note
  );
}

/** Digests, shortened, with sizes: the same letters are the same content. */
function contentCells({ sha256, sizeBytes }: ComparedArtifact): string[] {
  return sha256.map((digest, i) =>
    digest === undefined
      ? cell(undefined)
      : `<td title="${digest}">${digest.slice(0, 8)} · ${formatBytes(sizeBytes[i] ?? 0)}</td>`,
  );
}

function runHeads({ runs }: Comparison): string {
  return runs.map((run, i) => `<th class="who">${runLabel(run, i)}</th>`).join('');
}

function runLabel(run: ComparedRun, index: number): string {
  const { colour, dash } = strokeOf(index);
  const dashes = dash === '' ? '' : ` stroke-dasharray="${dash}"`;
  return `<svg class="key" viewBox="0 0 24 8" aria-hidden="true"><line x1="0" x2="24" y1="4" y2="4" stroke="${colour}" stroke-width="3"${dashes}/></svg><span title="${escapeHtml(run.name)}">${escapeHtml(clip(run.name, 40))}</span>`;
}

function grid(head: string, rows: readonly string[]): string {
  return `<div class="scroll"><table class="compare"><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function cell(text: string | undefined, className = 'n'): string {
  return text === undefined
    ? `<td class="n none">–</td>`
    : `<td class="${className}">${escapeHtml(text)}</td>`;
}

function textCell(text: string | undefined): string {
  return text === undefined ? `<td class="none">–</td>` : `<td class="v">${escapeHtml(text)}</td>`;
}

function changeCell(change: BaselineChange | undefined): string {
  if (change === undefined) return cell(undefined);
  const { difference, share, verdict } = change;
  if (Number.isNaN(difference)) return cell('NaN', 'n none');
  const sign = difference > 0 ? '+' : '';
  const percent = share === undefined ? '' : ` (${sign}${(100 * share).toFixed(1)} %)`;
  return cell(`${sign}${formatNumber(difference)}${percent}`, `n ${verdict ?? ''}`);
}

function pointsText({ count, nanCount, infiniteCount }: MetricFigures): string {
  const not = nanCount + infiniteCount;
  return not === 0 ? String(count) : `${count} (${not} not finite)`;
}

function restOf(count: number, what: string): string {
  return count > 0 ? `<p class="note">${count} more ${what} are not shown.</p>` : '';
}

function show(value: Json): string {
  return clip(typeof value === 'string' ? value : encodeJson(value), 300);
}

function clip(text: string, length = 200): string {
  return text.length > length ? `${text.slice(0, length).toWellFormed()}…` : text;
}
