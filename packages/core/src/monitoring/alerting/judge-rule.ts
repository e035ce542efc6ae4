import type { DriftKind } from '../../events/catalogue/alert-events.ts';
import { compileExpression } from '../../language/conditions.ts';
import type { AlertSeverity } from '../rule.ts';
import { type AlertRule, boundsOf, conditionsOf } from './alert-rule.ts';
import type { Figure, FigureMeaning } from './figure-source.ts';
import { type ByLevel, gravest, severities } from './levels.ts';
import type { Labels } from './matchers.ts';

/** What a rule says of one series of its figure, or of the whole. */
export interface Verdict {
  /** Of the series: `feature`, `segment`. */
  readonly labels: Labels;
  /** Why nothing can be said, where that is so. */
  readonly blind?: 'NO_DATA' | 'ERROR';
  /** The gravest level that is reached. */
  readonly reached?: AlertSeverity;
  /** The gravest level whose end is not reached. */
  readonly kept?: AlertSeverity;
  /** In words. */
  readonly summary: string;
  readonly value?: number;
  readonly threshold?: number;
  readonly chance?: number;
  readonly noise?: number;
  readonly features?: readonly string[];
  readonly driftKind?: DriftKind;
  readonly versionId?: string;
}

/** What is known for a rule: its figures now, and those of `changeOverMs` ago. */
export interface Known {
  readonly now: readonly Figure[];
  readonly before?: readonly Figure[];
  readonly meanings: Readonly<Record<string, FigureMeaning>>;
}

/** What a rule says of what is known. Pure; INVALID where its condition cannot be evaluated over the figures. */
export function judgeAlertRule(rule: AlertRule, known: Known): readonly Verdict[] {
  if (rule.absentMs !== undefined) return [absence(rule, rule.absentMs, known)];
  if (rule.when !== undefined) return [composite(rule, known)];
  const series = known.now.filter(({ name }) => name === rule.figure);
  if (series.length === 0) return [noData({}, `There is no ${rule.figure}.`)];
  return series.map((figure) => threshold(rule, figure, known));
}

function noData(labels: Labels, summary: string): Verdict {
  return { labels, blind: 'NO_DATA', summary };
}

function absence(rule: AlertRule, absentMs: number, { now }: Known): Verdict {
  const silentMs = now.find(({ name }) => name === 'silent_ms')?.value;
  if (silentMs === undefined) return noData({}, 'There has been no prediction for long, if ever.');
  const level = rule.severity ?? 'WARNING';
  const reached = silentMs >= absentMs ? { reached: level, kept: level } : {};
  const summary = `no prediction for ${duration(silentMs)}, ${duration(absentMs)} are allowed`;
  return { labels: {}, ...reached, summary, value: silentMs, threshold: absentMs };
}

function threshold(rule: AlertRule, figure: Figure, known: Known): Verdict {
  const { labels = {}, count, chance, noise } = figure;
  const value = readingOf(rule, figure, known.before);
  const name = nameOf(rule, figure);
  if (value === undefined || Number.isNaN(value) || count < (rule.minimumCount ?? 1)) {
    return noData(labels, `There are too few data for ${name} (${count}).`);
  }
  const bounds = boundsOf(rule, rule.above ?? rule.below ?? 0);
  const ends: ByLevel<number> = {
    ...bounds,
    ...(rule.clear === undefined ? {} : boundsOf(rule, rule.clear)),
  };
  const isBeyond = (bound: number | undefined): boolean =>
    bound !== undefined && (rule.above === undefined ? value < bound : value > bound);
  // What chance alone may bring is no finding, however large it looks.
  const isFinding = chance === undefined || Math.abs(value) > chance;
  const reached = severities.findLast((level) => isFinding && isBeyond(bounds[level]));
  const kept = severities.findLast(
    (level) => isFinding && bounds[level] !== undefined && isBeyond(ends[level]),
  );
  const unit = rule.change === 'relative' ? 'share' : known.meanings[figure.name]?.unit;
  const level = reached ?? kept;
  const bound = bounds[level ?? severities.find((each) => bounds[each] !== undefined) ?? 'WARNING'];
  const side = rule.above === undefined ? 'below' : 'above';
  const summary = `${name} ${inUnit(value, unit)}${rule.changeOverMs === undefined ? '' : ` from ${duration(rule.changeOverMs)} before`}, ${reached === undefined ? `not ${side}` : side} ${inUnit(bound ?? 0, unit)}`;
  return {
    ...{ labels, summary, value },
    ...(reached === undefined ? {} : { reached }),
    ...(kept === undefined ? {} : { kept }),
    ...(bound === undefined ? {} : { threshold: bound }),
    ...(chance === undefined ? {} : { chance }),
    ...(noise === undefined ? {} : { noise }),
    ...factsOf(figure),
  };
}

/** The figure, or how far it is from what it was. */
function readingOf(
  rule: AlertRule,
  figure: Figure,
  before: readonly Figure[] = [],
): number | undefined {
  if (rule.changeOverMs === undefined || figure.value === undefined) return figure.value;
  const key = keyOfLabels(figure.labels);
  const was = before.find(
    ({ name, labels }) => name === figure.name && keyOfLabels(labels) === key,
  );
  if (was?.value === undefined || was.count < (rule.minimumCount ?? 1)) return undefined;
  const change = figure.value - was.value;
  if (rule.change !== 'relative') return change;
  return was.value === 0 ? undefined : change / Math.abs(was.value);
}

function composite(rule: AlertRule, known: Known): Verdict {
  const variables: Record<string, number> = {};
  for (const { name, value, count } of known.now) {
    if (value === undefined || Number.isNaN(value) || count < (rule.minimumCount ?? 1)) continue;
    // Of a figure with features or segments, the largest.
    variables[name] = Math.max(variables[name] ?? Number.NEGATIVE_INFINITY, value);
  }
  const holds = (source: string): boolean | undefined => {
    const condition = compileExpression(source);
    const isKnown = condition.names.every((name) => Object.hasOwn(variables, name));
    return isKnown ? condition.test(variables) : condition.settled(variables);
  };
  const conditions = conditionsOf(rule);
  const truths = severities.flatMap((level) => {
    const source = conditions[level];
    return source === undefined ? [] : [{ level, source, truth: holds(source) }];
  });
  const unknown = truths.find(({ truth }) => truth === undefined);
  if (unknown !== undefined) {
    return noData({}, `There are too few data for ${unknown.source}.`);
  }
  const over = rule.clearWhen === undefined ? true : holds(rule.clearWhen);
  const reached = gravest(truths.filter(({ truth }) => truth).map(({ level }) => level));
  const kept = over === true ? reached : gravest(truths.map(({ level }) => level));
  const source = reached === undefined ? truths[0]?.source : conditions[reached];
  const facts = compileExpression(source ?? 'true')
    .names.map(
      (name) => `${name} ${inUnit(variables[name] ?? Number.NaN, known.meanings[name]?.unit)}`,
    )
    .join(', ');
  const features = known.now.flatMap((figure) => figure.features ?? []);
  return {
    labels: {},
    ...(reached === undefined ? {} : { reached }),
    ...(kept === undefined ? {} : { kept }),
    summary: `${source} is ${reached === undefined ? 'not ' : ''}so: ${facts}`,
    ...(features.length === 0 ? {} : { features: [...new Set(features)] }),
    ...versionOf(known.now),
  };
}

function factsOf({
  labels,
  features,
  driftKind,
  versionId,
}: Figure): Pick<Verdict, 'features' | 'driftKind' | 'versionId'> {
  const named = features ?? (labels?.['feature'] === undefined ? undefined : [labels['feature']]);
  return {
    ...(named === undefined ? {} : { features: named }),
    ...(driftKind === undefined ? {} : { driftKind }),
    ...(versionId === undefined ? {} : { versionId }),
  };
}

function versionOf(figures: readonly Figure[]): Pick<Verdict, 'versionId'> {
  const versions = new Set(figures.flatMap(({ versionId }) => versionId ?? []));
  const [versionId] = versions;
  return versions.size === 1 && versionId !== undefined ? { versionId } : {};
}

function nameOf(rule: AlertRule, { name, labels = {} }: Figure): string {
  const of = Object.values(labels).join(', ');
  const change = rule.changeOverMs === undefined ? '' : 'change of ';
  return `${change}${name}${of === '' ? '' : ` of ${of}`}`;
}

/** One text for labels, whatever their order: `{feature="age",segment="de"}`; empty for none. */
export function keyOfLabels(labels: Labels = {}): string {
  const parts = Object.keys(labels)
    .sort()
    .map((name) => `${name}=${JSON.stringify(labels[name])}`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

/** A number as people read it: `7.2 %`, `412 ms`, `0.43`. */
function inUnit(value: number, unit: string | undefined): string {
  if (unit === 'share') return `${short(value * 100)} %`;
  if (unit === 'ms') return Math.abs(value) >= 60_000 ? duration(value) : `${short(value)} ms`;
  return unit === undefined || unit === 'count' || unit === 'score'
    ? short(value)
    : `${short(value)} ${unit}`;
}

/** `15 min`, `2.5 h`. */
export function duration(ms: number): string {
  const [size, unit] = (
    [
      [86_400_000, 'd'],
      [3_600_000, 'h'],
      [60_000, 'min'],
      [1000, 's'],
    ] as const
  ).find(([each]) => Math.abs(ms) >= each) ?? [1, 'ms'];
  return `${short(ms / size)} ${unit}`;
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
