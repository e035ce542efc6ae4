import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Rollup } from '../../contracts/series-store.ts';
import { KeelsonError } from '../../errors.ts';
import { assertText, decodeJson } from '../../json.ts';
import { predictionStream } from '../predictions/prediction-stream.ts';
import { levels, minuteMs } from '../windows/counted-rollups.ts';
import {
  type Dimension,
  innerCounting,
  metricCounting,
  type Part,
  type PartCounts,
  partCounting,
  relativeError,
  type SlotCounts,
  slotCounting,
  slotMs,
} from './metric-counts.ts';
import {
  type EndpointMetricName,
  figuresOf,
  isInner,
  isQuantile,
  metricNames,
  unitOf,
} from './metric-figures.ts';

/** Which figures of a deployment, over which time. */
export interface MetricsOptions {
  /** All when left out. */
  readonly names?: readonly EndpointMetricName[];
  /** 1, 5 or 15 minutes, an hour, a day, or a week (from Monday); of UTC. A minute when left out. */
  readonly windowMs?: number;
  /** Epoch ms: the window that it lies in is the first. */
  readonly from: number;
  /** Windows that begin before. */
  readonly to: number;
  /** Of one version, segment, arm or replica alone. */
  readonly dimensions?: Readonly<Partial<Record<Dimension, string>>>;
  /** Of each version, segment, arm or replica, those with most predictions first. */
  readonly by?: Dimension;
}

/** Which figures of the last while. */
export interface RecentMetricsOptions extends Pick<MetricsOptions, 'names' | 'dimensions' | 'by'> {
  /** Any number of ten seconds up to an hour; a minute when left out. By dimensions it is whole minutes. */
  readonly windowMs?: number;
  /** When the while ends; now when left out. */
  readonly at?: number;
}

/** A figure of a deployment over time. Plain JSON. */
export type EndpointMetric = {
  readonly deploymentId: string;
  readonly name: EndpointMetricName;
  /** Such as `ms`, `share` or `predictions/s`. */
  readonly unit: string;
  readonly windowMs: number;
  readonly dimensions: Readonly<Partial<Record<Dimension, string>>>;
  /** The largest of a quantile, relative to it; missing where a figure is exact. */
  readonly relativeError?: number;
  /** By time; windows in which nothing was counted are left out. */
  readonly points: readonly MetricPoint[];
};

/** A figure of one window. */
export type MetricPoint = {
  /** When the window begins, epoch ms. */
  readonly at: number;
  /** How many predictions (answers, where it is a time; requests, where it is of invalid ones) it is of. */
  readonly count: number;
  /** Missing where it is of none. */
  readonly value?: number;
};

/** Figures of how deployments answer. */
export interface EndpointMetrics {
  /**
   * Latency, throughput, errors and invalid requests, window by window: counted of every prediction that callers saw
   * (each row of a request is one), whatever of them is kept as rows. INVALID for names, windows and dimensions that
   * there are not.
   */
  metrics(deploymentId: string, options: MetricsOptions): Promise<readonly EndpointMetric[]>;
  /** The same over the last while, sliding by ten seconds: one point each, also where nothing was counted. */
  recentMetrics(
    deploymentId: string,
    options?: RecentMetricsOptions,
  ): Promise<readonly EndpointMetric[]>;
}

const [hourMs, dayMs] = [3_600_000, 86_400_000];
const weekMs = 7 * dayMs;
const windows = [minuteMs, 5 * minuteMs, 15 * minuteMs, hourMs, dayMs, weekMs];
/** 1970 began on a Thursday. */
const firstMonday = 4 * dayMs;
const maxPoints = 100_000;

const dimensions = ['version', 'segment', 'arm', 'replica'] as const;
const time = z.number().refine(Number.isFinite, 'must be a time in epoch milliseconds');
const common = {
  names: z
    .array(z.enum(metricNames as [EndpointMetricName, ...EndpointMetricName[]]))
    .min(1)
    .optional(),
  dimensions: z.partialRecord(z.enum(dimensions), z.string()).optional(),
  by: z.enum(dimensions).optional(),
};
const shape = z.strictObject({
  ...common,
  windowMs: z.literal(windows).optional(),
  from: time,
  to: time,
} satisfies Record<keyof MetricsOptions, z.ZodType>);
const recentShape = z.strictObject({
  ...common,
  windowMs: z.number().int().multipleOf(slotMs).min(slotMs).max(hourMs).optional(),
  at: time.optional(),
} satisfies Record<keyof RecentMetricsOptions, z.ZodType>);

/** What one writer counted in one window, or a part of it. */
interface Counted {
  readonly at: number;
  readonly part: Partial<Part>;
}

/**
 * {@link EndpointMetrics} of a scope; `flush` stores what this process has counted. Where that fails, of whatever deployment,
 * what was counted before is told.
 */
export function createMetrics(
  scope: Pick<Scope, 'series' | 'workspace' | 'clock' | 'logger'>,
  flush: () => Promise<void>,
): EndpointMetrics {
  async function settle(): Promise<void> {
    try {
      await flush();
    } catch (error) {
      const message =
        'Predictions could not be stored before figures were read: the latest may be missing from them.';
      scope.logger.warn({ component: 'monitoring', error }, message);
    }
  }

  interface Asked {
    readonly deploymentId: string;
    readonly names: readonly EndpointMetricName[];
    readonly windowMs: number;
    readonly range: { readonly windowMs: number; readonly from: number; readonly to: number };
    readonly dimension: readonly [Dimension, string | undefined] | undefined;
  }

  const read = ({ deploymentId, range }: Asked, name: string): Promise<readonly Rollup[]> =>
    scope.series.rollups(predictionStream(scope.workspace, deploymentId), name, range);

  /** By value of the dimension asked for; under one key where there is none. */
  async function countedOf(asked: Asked): Promise<ReadonlyMap<string, readonly Counted[]>> {
    const { dimension, names } = asked;
    if (dimension !== undefined)
      return countedParts(await read(asked, partCounting.name), dimension);
    const isOuter = names.some((name) => !isInner(name));
    const found = await Promise.all([
      isOuter ? read(asked, metricCounting.name) : [],
      names.some(isInner) ? read(asked, innerCounting.name) : [],
    ]);
    const all = found
      .flat()
      .map(({ at, data }) => ({ at, part: decodeJson(data) as Partial<Part> }));
    return new Map([['', all]]);
  }

  async function metrics(
    deploymentId: string,
    options: MetricsOptions,
  ): Promise<readonly EndpointMetric[]> {
    assertText(deploymentId, 'A deployment id');
    checkOptions(shape, options, 'monitoring.metrics');
    const { windowMs = minuteMs, to, names = metricNames } = options;
    const begin = beginning(windowMs, options.from);
    if ((to - begin) / windowMs > maxPoints) {
      throw new KeelsonError(
        'INVALID',
        `From ${options.from} to ${to} there are more than ${maxPoints} windows of ${windowMs} ms; ask for longer windows or a shorter time.`,
      );
    }
    // Of the coarsest windows that are stored and fit in.
    const level = levels.findLast((each) => each <= windowMs) ?? minuteMs;
    const end = beginning(windowMs, to - 1) + windowMs;
    const range = { windowMs: level, from: begin, to: to > begin ? end : begin };
    const dimension = dimensionOf(options);
    const asked = { deploymentId, names, windowMs, range, dimension };
    await settle();
    const now = scope.clock.now();
    return [...(await countedOf(asked))].flatMap(([value, counted]) => {
      const found = [...Map.groupBy(counted, ({ at }) => beginning(windowMs, at))].sort(
        ([a], [b]) => a - b,
      );
      const figures = found.map(([at, each]) => ({
        at,
        all: figuresOf(partsOf(each), names, secondsOf(at, at + windowMs, now)),
      }));
      return names.map((name, i) => ({
        ...described(asked, name, value),
        points: figures.map(({ at, all }) => ({ at, ...(all[i] ?? { count: 0 }) })),
      }));
    });
  }

  async function recentMetrics(
    deploymentId: string,
    options: RecentMetricsOptions = {},
  ): Promise<readonly EndpointMetric[]> {
    assertText(deploymentId, 'A deployment id');
    checkOptions(recentShape, options, 'monitoring.recentMetrics');
    const { windowMs = minuteMs, at = scope.clock.now(), names = metricNames } = options;
    const dimension = dimensionOf(options);
    const stepMs = dimension === undefined ? slotMs : minuteMs;
    const to = Math.floor(at / stepMs) * stepMs + stepMs;
    const from = to - Math.ceil(windowMs / stepMs) * stepMs;
    const range = { windowMs: minuteMs, from: beginning(minuteMs, from), to };
    const asked = { deploymentId, names, windowMs, range, dimension };
    await settle();
    const found =
      dimension === undefined
        ? new Map([['', countedSlots(await read(asked, slotCounting.name))]])
        : await countedOf(asked);
    return [...found].flatMap(([value, counted]) => {
      const parts = partsOf(counted.filter((each) => each.at >= from && each.at < to));
      const figures = figuresOf(parts, names, secondsOf(from, to, at));
      return names.map((name, i) => ({
        ...described(asked, name, value),
        points: [{ at: from, ...(figures[i] ?? { count: 0 }) }],
      }));
    });
  }

  return { metrics, recentMetrics };
}

function described(
  {
    deploymentId,
    windowMs,
    dimension,
  }: {
    readonly deploymentId: string;
    readonly windowMs: number;
    readonly dimension: readonly [Dimension, string | undefined] | undefined;
  },
  name: EndpointMetricName,
  value: string,
): Omit<EndpointMetric, 'points'> {
  return {
    ...{ deploymentId, name, unit: unitOf(name), windowMs },
    dimensions: dimension === undefined ? {} : { [dimension[0]]: value },
    ...(isQuantile(name) ? { relativeError } : {}),
  };
}

/** When the window begins that a time lies in. */
function beginning(windowMs: number, at: number): number {
  const offset = windowMs === weekMs ? firstMonday : 0;
  return Math.floor((at - offset) / windowMs) * windowMs + offset;
}

/** How long a window has lasted, which may be under way: a second at least. */
function secondsOf(from: number, to: number, now: number): number {
  const end = now > from ? Math.min(to, now) : to;
  return Math.max(1, (end - from) / 1000);
}

function dimensionOf({
  dimensions: given = {},
  by,
}: Pick<MetricsOptions, 'dimensions' | 'by'>):
  | readonly [Dimension, string | undefined]
  | undefined {
  const named = Object.entries(given) as [Dimension, string][];
  if (named.length + (by === undefined ? 0 : 1) > 1) {
    throw new KeelsonError(
      'INVALID',
      'Figures are kept by one of version, segment, arm and replica at a time; name one dimension, or `by`.',
    );
  }
  return by === undefined ? named[0] : [by, undefined];
}

function countedParts(
  rollups: readonly Rollup[],
  [dimension, only]: readonly [Dimension, string | undefined],
): ReadonlyMap<string, readonly Counted[]> {
  const found = new Map<string, Counted[]>();
  if (only !== undefined) found.set(only, []);
  for (const { at, data } of rollups) {
    const parts = (decodeJson(data) as PartCounts)[dimension] ?? {};
    for (const [value, part] of Object.entries(parts)) {
      if (only !== undefined && value !== only) continue;
      const known = found.get(value) ?? [];
      found.set(value, known);
      known.push({ at, part });
    }
  }
  const requests = (counted: readonly Counted[]): number =>
    counted.reduce((sum, { part }) => sum + (part.requests ?? 0), 0);
  return new Map(
    [...found].sort(([a, one], [b, other]) => requests(other) - requests(one) || (a < b ? -1 : 1)),
  );
}

function countedSlots(rollups: readonly Rollup[]): readonly Counted[] {
  return rollups.flatMap(({ at, data }) =>
    Object.entries(decodeJson(data) as SlotCounts).map(([slot, part]) => ({
      at: at + Number(slot) * slotMs,
      part,
    })),
  );
}

function partsOf(counted: readonly Counted[]): readonly Partial<Part>[] {
  return counted.map(({ part }) => part);
}
