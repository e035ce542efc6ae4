import { canonicalJson, isPlainObject, type Json, type JsonObject } from '../json.ts';
import type { Artifact } from './artifacts.ts';
import type { MetricDirection } from './metric-direction.ts';
import type { Run, RunStatus } from './run.ts';
import type { MetricFigures } from './series-figures.ts';

/** A run as it stands in a comparison. */
export interface ComparedRun {
  readonly id: string;
  readonly name: string;
  readonly experimentId: string;
  readonly status: RunStatus;
  readonly startedAt: number;
  readonly durationMs?: number;
}

/** How a run's final value lies beside that of the baseline. */
export interface BaselineChange {
  /** The run's final value less the baseline's; NaN where one of them is. */
  readonly difference: number;
  /** The difference over the size of the baseline's final value; undefined where that is 0 or not finite. */
  readonly share: number | undefined;
  /** Undefined where the direction is not known or a value is NaN. */
  readonly verdict: 'better' | 'worse' | 'same' | undefined;
}

/** One metric, in all runs that are compared. */
export interface ComparedMetric {
  /** Its canonical name where the workspace has defined one. */
  readonly name: string;
  readonly unit?: string;
  readonly direction: MetricDirection | undefined;
  /** Whether the direction was given with the call, defined for the name, or read off the name. */
  readonly directionFrom: 'given' | 'defined' | 'name' | undefined;
  /** For each run the key that its points lie under; undefined where it has none. */
  readonly keys: readonly (string | undefined)[];
  /** For each run; undefined where it did not log the metric. */
  readonly figures: readonly (MetricFigures | undefined)[];
  /** The runs whose `best` no other's surpasses; none where the direction is not known. */
  readonly bestRuns: readonly string[];
  /** For each run, where a baseline was named; undefined where one of the two has no such metric. */
  readonly fromBaseline?: readonly (BaselineChange | undefined)[];
}

/** Something that is not the same in all runs: one value for each run, undefined where it is missing. */
export interface Difference<T> {
  readonly key: string;
  readonly values: readonly (T | undefined)[];
}

/** A file of the runs: equal digests are equal content. */
export interface ComparedArtifact {
  readonly path: string;
  /** For each run; undefined where it has no such file. */
  readonly sha256: readonly (string | undefined)[];
  readonly sizeBytes: readonly (number | undefined)[];
  /** Whether all runs have it, with the same content. */
  readonly same: boolean;
}

/** A figure of a metric that may be missing. */
export type MetricFigure = 'min' | 'max' | 'best' | 'convergenceStep' | 'area' | 'stability';

/** A value that is missing, and why. */
export interface Gap {
  readonly of: 'metric' | 'param' | 'environment' | 'tag' | 'artifact';
  readonly key: string;
  readonly runId: string;
  /** Of a metric that the run did log: what it has not got. */
  readonly figure?: MetricFigure;
  readonly reason: string;
}

/**
 * Runs side by side. Lists of values hold one for each run, in the order of `runs`. What is missing is
 * `undefined`, listed in `gaps`, and never filled.
 */
export interface Comparison {
  readonly runs: readonly ComparedRun[];
  /** The run that the others are held against, where one was named. */
  readonly baseline?: string;
  /** By name ascending. */
  readonly metrics: readonly ComparedMetric[];
  /** Params that differ or are missing somewhere, by key ascending; dotted keys. */
  readonly params: readonly Difference<Json>[];
  /** What differs of what was captured about where the runs ran; dotted keys. */
  readonly environment: readonly Difference<Json>[];
  /** Tags that differ. */
  readonly tags: readonly Difference<string>[];
  /** By path ascending, equal ones too. */
  readonly artifacts: readonly ComparedArtifact[];
  /** How many params, facts of the environment, and tags are the same in all runs. */
  readonly same: { readonly params: number; readonly environment: number; readonly tags: number };
  readonly gaps: readonly Gap[];
}

/** A metric of all runs before it is compared. */
export type MetricOfRuns = Omit<ComparedMetric, 'bestRuns' | 'fromBaseline'>;

/** What a comparison is made from: artifacts for each run, metrics by name. */
export interface ComparisonParts {
  readonly runs: readonly Run[];
  readonly artifacts: readonly (readonly Artifact[])[];
  readonly metrics: readonly MetricOfRuns[];
  readonly baseline?: string;
}

/** Lays runs side by side. Pure: equal parts give an equal comparison. */
export function compare(parts: ComparisonParts): Comparison {
  const { runs, baseline } = parts;
  const params = differences(runs.map((run) => run.params));
  const environment = differences(runs.map((run) => flatFacts(run.environment)));
  const tags = differences(runs.map((run) => run.tags));
  const metrics = parts.metrics.map((metric) => comparedMetric(metric, runs, baseline));
  const artifacts = comparedArtifacts(parts.artifacts);
  const missing = (of: Gap['of'], reason: string) => (found: Difference<unknown>) =>
    missingGaps(of, found, runs, reason);
  return {
    runs: runs.map(comparedRun),
    ...(baseline === undefined ? {} : { baseline }),
    metrics,
    params: params.differing,
    environment: environment.differing,
    tags: tags.differing,
    artifacts,
    same: { params: params.same, environment: environment.same, tags: tags.same },
    gaps: [
      ...metrics.flatMap((metric) => metricGaps(metric, runs)),
      ...params.differing.flatMap(missing('param', 'the run has no such param')),
      ...environment.differing.flatMap(missing('environment', 'it was not captured')),
      ...tags.differing.flatMap(missing('tag', 'the run has no such tag')),
      ...artifacts
        .map(({ path, sha256 }) => ({ key: path, values: sha256 }))
        .flatMap(missing('artifact', 'the run has no such file')),
    ],
  };
}

function comparedRun(run: Run): ComparedRun {
  const { id, name, experimentId, status, startedAt, durationMs } = run;
  const known = { id, name, experimentId, status, startedAt };
  return durationMs === undefined ? known : { ...known, durationMs };
}

function comparedMetric(
  metric: MetricOfRuns,
  runs: readonly Run[],
  baseline: string | undefined,
): ComparedMetric {
  const { direction, figures } = metric;
  const bests = figures.flatMap((of) => (of?.best === undefined ? [] : [of.best]));
  const top = bests.reduce(
    (a, b) => (direction === 'lower' ? Math.min(a, b) : Math.max(a, b)),
    bests[0] ?? 0,
  );
  // Not by identity: −0 is as good as 0.
  const bestRuns = runs.filter((_, i) => figures[i]?.best === top).map((run) => run.id);
  if (baseline === undefined) return { ...metric, bestRuns };
  const base = figures[runs.findIndex((run) => run.id === baseline)];
  const fromBaseline = figures.map((of) => baselineChange(base, of, direction));
  return { ...metric, bestRuns, fromBaseline };
}

function baselineChange(
  base: MetricFigures | undefined,
  of: MetricFigures | undefined,
  direction: MetricDirection | undefined,
): BaselineChange | undefined {
  if (base === undefined || of === undefined) return undefined;
  return changeBetween(base.final, of.final, direction);
}

/** How a value lies beside that of a baseline. */
export function changeBetween(
  base: number,
  value: number,
  direction: MetricDirection | undefined,
): BaselineChange {
  // Equal infinities are the same, though their difference is no number.
  const difference = value === base ? 0 : value - base;
  const size = Math.abs(base);
  const share = size > 0 && size < Infinity ? difference / size : undefined;
  if (direction === undefined || Number.isNaN(difference))
    return { difference, share, verdict: undefined };
  const gain = direction === 'higher' ? difference : -difference;
  return { difference, share, verdict: gain > 0 ? 'better' : gain < 0 ? 'worse' : 'same' };
}

const figureReasons: readonly (readonly [MetricFigure, string])[] = [
  ['min', 'no value is finite'],
  ['max', 'no value is finite'],
  ['best', 'no value is finite'],
  ['convergenceStep', 'the last values are not within 5 % of the range of the best, or not finite'],
  ['area', 'fewer than two neighbouring points are finite, or all are of one step'],
  ['stability', 'fewer than two values of the last tenth are finite'],
];

function metricGaps(metric: ComparedMetric, runs: readonly Run[]): Gap[] {
  const { name: key, direction } = metric;
  return runs.flatMap(({ id: runId }, i): Gap[] => {
    const figures = metric.figures[i];
    if (figures === undefined)
      return [{ of: 'metric', key, runId, reason: 'the run did not log it' }];
    return figureReasons
      .filter(([figure]) => figures[figure] === undefined)
      .map(([figure, reason]) => {
        const directed = figure === 'best' || figure === 'convergenceStep';
        const why = directed && direction === undefined ? undirected : reason;
        return { of: 'metric', key, runId, figure, reason: why };
      });
  });
}

const undirected =
  'it is not known whether higher or lower is better; give directions, or define the metric';

/** What is not the same in all maps, and how many keys are. */
export function differences<T extends Json>(
  maps: readonly Readonly<Record<string, T>>[],
): { readonly differing: readonly Difference<T>[]; readonly same: number } {
  const keys = [...new Set(maps.flatMap((map) => Object.keys(map)))].toSorted();
  const all = keys.map((key) => ({
    key,
    // Keys are users' own: `constructor` is one like others.
    values: maps.map((map) => (Object.hasOwn(map, key) ? map[key] : undefined)),
  }));
  const differing = all.filter(({ values }) => !allEqual(values));
  return { differing, same: all.length - differing.length };
}

function allEqual(values: readonly (Json | undefined)[]): boolean {
  const texts = values.map((value) => (value === undefined ? undefined : canonicalJson(value)));
  return texts.every((text) => text !== undefined && text === texts[0]);
}

/** Facts under dotted keys; a dot or a backslash within a key is written with a backslash before it. */
export function flatFacts(facts: JsonObject): Record<string, Json> {
  const flat: [string, Json][] = [];
  const visit = (prefix: string, value: Json): void => {
    if (!isPlainObject(value) || Object.keys(value).length === 0) {
      flat.push([prefix, value]);
      return;
    }
    for (const [key, item] of Object.entries(value as JsonObject)) {
      const part = key.replace(/[\\.]/g, '\\$&');
      visit(prefix === '' ? part : `${prefix}.${part}`, item);
    }
  };
  for (const [key, value] of Object.entries(facts)) visit(key.replace(/[\\.]/g, '\\$&'), value);
  return Object.fromEntries(flat);
}

function comparedArtifacts(
  artifacts: readonly (readonly Artifact[])[],
): readonly ComparedArtifact[] {
  const maps = artifacts.map((of) => new Map(of.map((artifact) => [artifact.path, artifact])));
  const paths = [...new Set(maps.flatMap((map) => [...map.keys()]))].toSorted();
  return paths.map((path) => {
    const found = maps.map((map) => map.get(path));
    const sha256 = found.map((artifact) => artifact?.sha256);
    const sizeBytes = found.map((artifact) => artifact?.sizeBytes);
    return { path, sha256, sizeBytes, same: allEqual(sha256) };
  });
}

function missingGaps(
  of: Gap['of'],
  found: Difference<unknown>,
  runs: readonly Run[],
  reason: string,
): Gap[] {
  return runs.flatMap((run, i) =>
    found.values[i] === undefined ? [{ of, key: found.key, runId: run.id, reason }] : [],
  );
}
