import { escapeHtml, htmlPage, section, table } from '../tracking/html-page.ts';
import { type ChartLine, lineChart } from '../tracking/line-chart.ts';
import type { Alert } from './alerting/alert.ts';
import type { Analysis, Monitor } from './monitor.ts';
import type { RuleCounts } from './rule.ts';

/** What a report is made from. */
export interface ReportParts {
  readonly monitor: Monitor;
  readonly analyses: readonly Analysis[];
  readonly alerts: readonly Alert[];
  /** Accuracy of what callers got and of the majority class, period by period. */
  readonly accuracy: readonly {
    readonly from: number;
    readonly labels: number;
    readonly served: number | undefined;
    readonly majority: number | undefined;
  }[];
}

/** The HTML report of a monitor: accuracy, label shares, evidence over time, alerts. Self-contained. */
export function renderReport(parts: ReportParts): string {
  const { monitor, analyses, alerts, accuracy } = parts;
  const marks = alerts.map((alert) => ({
    x: alert.firstAt,
    name: `${date(alert.firstAt)} ${alert.rule}`,
  }));
  const charts = [
    lineChart({
      title: 'Accuracy of the answers, beside the majority class of each period',
      lines: [
        {
          name: 'answers',
          points: accuracy.map((p) => ({ x: p.from, y: p.served ?? Number.NaN })),
        },
        {
          name: 'majority class',
          points: accuracy.map((p) => ({ x: p.from, y: p.majority ?? Number.NaN })),
        },
      ],
      formatX: date,
      formatY: percent,
      marks,
      yMin: 0,
      yMax: 1,
    }),
    lineChart({
      title:
        'Evidence of change: log₁₀ of each rule’s e-value (a rule alarms where it passes 1/alpha)',
      lines: monitor.rules.map((rule) => evidenceLine(rule.name, analyses)),
      formatX: date,
      formatY: (y) => y.toFixed(1),
      marks,
    }),
    ...shareCharts(monitor, analyses, marks),
  ];
  const body = [
    `<header><h1>${escapeHtml(monitor.deployment)}</h1><p>${analyses.length} analyses, ${analyses.reduce((sum, a) => sum + a.labels, 0)} labels; the reference was set on ${date(monitor.referenceSetAt)}.</p></header>`,
    section(
      'Alerts',
      table(
        ['since', 'rule', 'severity', 'state', 'what', 'correlation id'],
        alerts.map((alert) => [
          date(alert.firstAt),
          alert.rule,
          alert.severity,
          alert.state + (alert.resolution === undefined ? '' : `: ${alert.resolution}`),
          alert.summary,
          alert.correlationId,
        ]),
      ) || '<p>None: nothing changed that the evidence can show.</p>',
    ),
    section(
      'Over time',
      `<div class="grid" style="grid-template-columns:1fr">${charts.join('')}</div>`,
    ),
    section('Rules now', rulesNow(monitor, analyses)),
    ...suspensions(monitor),
  ];
  return htmlPage(`${monitor.deployment} · monitoring`, body.join('\n'));
}

function evidenceLine(rule: string, analyses: readonly Analysis[]): ChartLine {
  return {
    name: rule,
    points: analyses.map((analysis) => {
      const verdict = analysis.verdicts.find((each) => each.name === rule);
      return {
        x: analysis.at,
        y: verdict === undefined ? Number.NaN : verdict.test.changed.logE / Math.LN10,
      };
    }),
  };
}

/** For each rule on labels, the share of each class over a rolling quarter of analyses. */
function shareCharts(
  monitor: Monitor,
  analyses: readonly Analysis[],
  marks: readonly { readonly x: number; readonly name: string }[],
): string[] {
  const rule = monitor.rules.find((each) => each.rule === 'label-distribution');
  if (rule === undefined) return [];
  const span = 13;
  const totals = analyses.map((analysis) => classTotals(analysis.counts[rule.name]));
  const classes = [...new Set(totals.flatMap((each) => [...each.keys()]))].sort();
  const lines = classes.map((name) => ({
    name,
    points: analyses.map((analysis, i) => {
      const window = totals.slice(Math.max(0, i - span + 1), i + 1);
      const of = (key?: string): number =>
        window.reduce(
          (sum, each) => sum + (key === undefined ? sumOf(each) : (each.get(key) ?? 0)),
          0,
        );
      return { x: analysis.at, y: of() === 0 ? Number.NaN : of(name) / of() };
    }),
  }));
  const title = `Share of each label, rolling over ${span} analyses`;
  return [lineChart({ title, lines, formatX: date, formatY: percent, marks, yMin: 0 })];
}

function classTotals(counts: RuleCounts | undefined): Map<string, number> {
  const totals = new Map<string, number>();
  if (counts === undefined || !('counts' in counts)) return totals;
  for (const stratum of Object.values(counts.counts)) {
    for (const [name, n] of Object.entries(stratum)) totals.set(name, (totals.get(name) ?? 0) + n);
  }
  return totals;
}

function sumOf(totals: ReadonlyMap<string, number>): number {
  return [...totals.values()].reduce((sum, n) => sum + n, 0);
}

/** When the rules were suspended; no section where they never were. */
function suspensions({ windows }: Monitor): readonly string[] {
  if (windows.length === 0) return [];
  const minute = (at: number): string => new Date(at).toISOString().slice(0, 16);
  const rows = windows.map(({ from, until, reason }) => [minute(from), minute(until), reason]);
  return [section('Suspended', table(['from', 'until', 'why'], rows))];
}

function rulesNow(monitor: Monitor, analyses: readonly Analysis[]): string {
  const last = analyses.at(-1);
  if (last === undefined) return '<p>Not analysed yet.</p>';
  return table(
    ['rule', 'alpha', 'says', 'alarm'],
    last.verdicts.map((verdict) => [
      verdict.name,
      String(monitor.rules.find((rule) => rule.name === verdict.name)?.alpha ?? ''),
      verdict.summary,
      verdict.changed ? 'yes' : 'no',
    ]),
  );
}

function date(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
