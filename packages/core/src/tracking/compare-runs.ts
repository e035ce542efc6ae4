import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { Scope } from '../contracts/scope.ts';
import type { PointColumns } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import type { Artifact, Artifacts } from './artifacts.ts';
import { type Comparison, compare, type MetricOfRuns } from './comparison.ts';
import { compareGroupValues, type GroupComparison } from './group-comparison.ts';
import { directionByName, type MetricDirection } from './metric-direction.ts';
import type { MetricName } from './metric-name.ts';
import type { MetricNames } from './metric-names.ts';
import type { Run } from './run.ts';
import type { RunRecords } from './run-records.ts';
import { ExtentFold, FiguresFold, type MetricFigures } from './series-figures.ts';

/** What of the runs is compared. */
export interface CompareOptions {
  /** Names or aliases of metrics; all that the runs logged when left out. */
  readonly metrics?: readonly string[];
  /** Goes before what is defined for a name, and before what a name says. */
  readonly directions?: Readonly<Record<string, MetricDirection>>;
  /** One of the ids: the run that the others are held against. */
  readonly baseline?: string;
  readonly signal?: AbortSignal;
}

/** Groups of runs, and what is compared of them. */
export interface CompareGroupsOptions {
  /** Name → run ids: 2 to 20 groups of 2 to 100 runs, no run twice. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
  /** 1 to 50 names or aliases. */
  readonly metrics: readonly string[];
  readonly directions?: Readonly<Record<string, MetricDirection>>;
  /** Which figure of a run stands for it: `final` when left out; `best` needs a known direction. */
  readonly figure?: 'final' | 'best';
  /** 0.05 when left out. */
  readonly alpha?: number;
  readonly signal?: AbortSignal;
}

/** Lays runs side by side. */
export interface RunComparisons {
  /**
   * 2 to 100 runs: figures of each metric, what differs in params, environment and tags, artifacts.
   * Every point is read, 250,000 at a time (6 MB), whatever the length of a series; of a run that still
   * logs, the figures are those of the moment. NOT_FOUND for a run that does not exist.
   */
  compareRuns(ids: readonly string[], options?: CompareOptions): Promise<Comparison>;
  /**
   * Means, intervals, Welch's t and Mann–Whitney between each pair of groups, adjusted for the number of
   * comparisons. INVALID, by name, for groups of fewer than two runs and runs that are in two groups.
   */
  compareGroups(options: CompareGroupsOptions): Promise<GroupComparison>;
}

/** What comparisons need beside the scope. */
export interface RunComparisonsParts {
  readonly records: Pick<RunRecords, 'get' | 'read'>;
  readonly artifacts: Pick<Artifacts, 'listArtifacts'>;
  readonly names: Pick<MetricNames, 'listMetricNames'>;
}

const maxRuns = 100;
const pagePoints = 250_000;
const direction = z.enum(['higher', 'lower']);

const compareShape = z.strictObject({
  metrics: z.array(z.string()).min(1).optional(),
  directions: z.record(z.string(), direction).optional(),
  baseline: z.string().optional(),
  signal: signalOption.optional(),
} satisfies Record<keyof CompareOptions, z.ZodType>);

const groupsShape = z.strictObject({
  groups: z.record(z.string(), z.array(z.string())),
  metrics: z.array(z.string()).min(1).max(50),
  directions: z.record(z.string(), direction).optional(),
  figure: z.enum(['final', 'best']).optional(),
  alpha: z.number().gt(0).lt(1).optional(),
  signal: signalOption.optional(),
} satisfies Record<keyof CompareGroupsOptions, z.ZodType>);

/** Comparisons, bound to a scope. */
export function createRunComparisons(scope: Scope, parts: RunComparisonsParts): RunComparisons {
  const { series, workspace } = scope;

  async function runsOf(ids: readonly string[]): Promise<readonly Run[]> {
    const records = await scope.metadata.findMany(workspace, 'run', ids, {
      facets: ['params', 'tags'],
    });
    const found = new Set(records.map((record) => record.id));
    for (const id of ids) if (!found.has(id)) await parts.records.get(id);
    return parts.records.read(records);
  }

  async function figuresOf(
    owner: string,
    key: string,
    by: MetricDirection | undefined,
    signal: AbortSignal | undefined,
  ): Promise<MetricFigures | undefined> {
    const extentFold = new ExtentFold();
    let first: PointColumns | undefined;
    for await (const page of pagesOf(owner, key, signal)) {
      extentFold.add(page);
      first ??= page;
    }
    const { extent } = extentFold;
    if (extent === undefined || first === undefined) return undefined;
    const figures = new FiguresFold(extent, by);
    // One page is read once, longer series twice.
    if (first.steps.length === extent.count) figures.add(first);
    else for await (const page of pagesOf(owner, key, signal)) figures.add(page);
    return figures.figures;
  }

  async function* pagesOf(
    owner: string,
    key: string,
    signal: AbortSignal | undefined,
  ): AsyncIterable<PointColumns> {
    for (let offset = 0; ; offset += pagePoints) {
      assertGoingOn(signal);
      const address = { workspace, owner, key };
      const page = await series.points(address, { offset, limit: pagePoints });
      if (page.steps.length > 0) yield page;
      if (page.steps.length < pagePoints) return;
    }
  }

  async function metricsOf(
    runs: readonly Run[],
    wanted: {
      readonly metrics?: readonly string[];
      readonly directions?: Readonly<Record<string, MetricDirection>>;
      readonly signal?: AbortSignal;
    },
  ): Promise<readonly MetricOfRuns[]> {
    const book = new NameBook(await parts.names.listMetricNames());
    const logged = wanted.metrics ?? runs.flatMap((run) => Object.keys(run.metrics));
    const names = [...new Set(logged.map((key) => book.canonical(key)))].toSorted();
    const given = new Map(
      Object.entries(wanted.directions ?? {}).map(([key, by]) => [book.canonical(key), by]),
    );
    const metrics: MetricOfRuns[] = [];
    for (const name of names) {
      const known = book.get(name);
      const by = given.get(name) ?? known?.direction ?? directionByName(name);
      const keys = runs.map((run) =>
        book.spellings(name).find((key) => Object.hasOwn(run.metrics, key)),
      );
      const figures: (MetricFigures | undefined)[] = [];
      for (const [i, run] of runs.entries()) {
        const key = keys[i];
        figures.push(
          key === undefined ? undefined : await figuresOf(run.id, key, by, wanted.signal),
        );
      }
      metrics.push({
        name,
        ...(known?.unit === undefined ? {} : { unit: known.unit }),
        direction: by,
        directionFrom: given.has(name)
          ? 'given'
          : known?.direction !== undefined
            ? 'defined'
            : by && 'name',
        keys,
        figures,
      });
    }
    return metrics;
  }

  async function artifactsOf(runId: string): Promise<readonly Artifact[]> {
    const all: Artifact[] = [];
    let cursor: string | undefined;
    do {
      const from = cursor === undefined ? {} : { cursor };
      const page = await parts.artifacts.listArtifacts(runId, { limit: 1000, ...from });
      all.push(...page.artifacts);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return all;
  }

  return {
    async compareRuns(ids, options = {}) {
      checkOptions(compareShape, options, 'A comparison');
      assertIds(ids, 'A comparison', maxRuns);
      const { baseline } = options;
      if (baseline !== undefined && !ids.includes(baseline)) {
        throw new KeelsonError(
          'INVALID',
          `The baseline ${JSON.stringify(baseline)} is none of the runs that are compared.`,
        );
      }
      const runs = await runsOf(ids);
      const metrics = await metricsOf(runs, options);
      const artifacts: (readonly Artifact[])[] = [];
      for (const { id } of runs) {
        assertGoingOn(options.signal);
        artifacts.push(await artifactsOf(id));
      }
      const base = baseline === undefined ? {} : { baseline };
      return compare({ runs, artifacts, metrics, ...base });
    },

    async compareGroups(options) {
      checkOptions(groupsShape, options, 'A comparison of groups');
      const { figure = 'final', alpha = 0.05 } = options;
      const groups = Object.entries(options.groups).map(([name, runIds]) => ({ name, runIds }));
      assertGroups(groups);
      const runs = await runsOf(groups.flatMap((group) => group.runIds));
      const metrics = await metricsOf(runs, options);
      const known = metrics.map(({ name, direction: by, figures }) => {
        if (by === undefined && figure === 'best') throw undirected(name);
        const of = new Map(runs.map((run, i) => [run.id, figures[i]?.[figure]]));
        const values = groups.map(({ runIds }) => runIds.map((id) => of.get(id)));
        return { name, direction: by, values };
      });
      return compareGroupValues({ alpha, figure, groups, metrics: known });
    },
  };
}

/** The metric names of a workspace, for looking up. */
class NameBook {
  readonly #bySpelling = new Map<string, MetricName>();

  constructor(names: readonly MetricName[]) {
    for (const name of names) {
      for (const spelling of [name.name, ...name.aliases]) this.#bySpelling.set(spelling, name);
    }
  }

  get(spelling: string): MetricName | undefined {
    return this.#bySpelling.get(spelling);
  }

  canonical(spelling: string): string {
    return this.get(spelling)?.name ?? spelling;
  }

  /** What a run may have called it, the name first. */
  spellings(name: string): readonly string[] {
    return [name, ...(this.get(name)?.aliases ?? [])];
  }
}

function assertIds(ids: readonly string[], what: string, most: number): void {
  if (!Array.isArray(ids) || ids.length < 2 || ids.length > most) {
    throw new KeelsonError(
      'INVALID',
      `${what} takes a list of 2 to ${most} run ids${Array.isArray(ids) ? `, not ${ids.length}` : ''}.`,
    );
  }
  for (const id of ids) assertText(id, 'A run id');
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice === undefined) return;
  throw new KeelsonError('INVALID', `${what} was given run ${JSON.stringify(twice)} twice.`);
}

function assertGroups(groups: GroupComparison['groups']): void {
  if (groups.length < 2 || groups.length > 20) {
    throw new KeelsonError('INVALID', `2 to 20 groups can be compared, not ${groups.length}.`);
  }
  const owner = new Map<string, string>();
  for (const { name, runIds } of groups) {
    assertIds(runIds, `Group ${JSON.stringify(name)}`, maxRuns);
    for (const id of runIds) {
      const other = owner.get(id);
      if (other !== undefined) {
        throw new KeelsonError(
          'INVALID',
          `Run ${id} is in the groups ${JSON.stringify(other)} and ${JSON.stringify(name)}; the tests need groups that share no run.`,
        );
      }
      owner.set(id, name);
    }
  }
  if (owner.size > 1000) {
    throw new KeelsonError('INVALID', `1,000 runs can be compared, not ${owner.size}.`);
  }
}

function undirected(name: string): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `It is not known whether higher or lower ${JSON.stringify(name)} is better; give directions, or define the metric with defineMetric.`,
    { details: { metric: name } },
  );
}

function assertGoingOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new KeelsonError('ABORTED', 'The comparison was aborted.', { cause: signal.reason });
}
