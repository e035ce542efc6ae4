import { quantilesOf } from '../../statistics/index.ts';
import { type Part, type StoredFigures, storedShares } from './metric-counts.ts';

const counted = {
  requests: 'predictions',
  request_rate: 'predictions/s',
  errors: 'predictions',
  error_rate: 'share',
  invalid_requests: 'requests',
  invalid_request_rate: 'share',
} as const;
const times = ['latency', 'queue', 'inference'] as const;
const shares = { p50: 0.5, p95: 0.95, p99: 0.99, p999: 0.999 } as const;

/** A figure of a deployment. Times are in milliseconds, of answers that did not fail. */
export type EndpointMetricName =
  | keyof typeof counted
  | `${(typeof times)[number]}_${keyof typeof shares | 'mean'}`;

/** All there are. */
export const metricNames: readonly EndpointMetricName[] = [
  ...(Object.keys(counted) as (keyof typeof counted)[]),
  ...times.flatMap((time) =>
    (['mean', 'p50', 'p95', 'p99', 'p999'] as const).map((which) => `${time}_${which}` as const),
  ),
];

/** Whether a figure needs the times within the latency. */
export function isInner(name: EndpointMetricName): boolean {
  return name.startsWith('queue_') || name.startsWith('inference_');
}

/** Whether a figure comes from a sketch, and has its error. */
export function isQuantile(name: EndpointMetricName): boolean {
  return /_p\d+$/.test(name);
}

/** What one writer counted. */
type Counted = Partial<Part> & StoredFigures;

/** What a figure is in. */
export function unitOf(name: EndpointMetricName): string {
  return Object.hasOwn(counted, name) ? counted[name as keyof typeof counted] : 'ms';
}

/** A figure over a while, and what it is of; no value where that is nothing. */
export interface Figure {
  readonly count: number;
  readonly value?: number;
}

/** The figures of what was counted in `seconds`; a part for each writer, at least one. */
export function figuresOf(
  parts: readonly Counted[],
  names: readonly EndpointMetricName[],
  seconds: number,
): readonly Figure[] {
  const total = (of: 'requests' | 'errors' | 'invalid' | `${(typeof times)[number]}Us`): number =>
    parts.reduce((sum, part) => sum + (part[of] ?? 0), 0);
  const sketches = new Map<string, ReadonlyMap<string, Figure>>();
  const timeFigure = (name: EndpointMetricName): Figure => {
    const [time, which] = name.split('_') as [(typeof times)[number], string];
    let known = sketches.get(time);
    if (known === undefined) {
      const asked = Object.keys(shares).filter((share) =>
        names.includes(`${time}_${share}` as never),
      );
      known = timesOf(parts, time, asked as (keyof typeof shares)[], () => total(`${time}Us`));
      sketches.set(time, known);
    }
    return known.get(which) ?? { count: 0 };
  };
  return names.map((name): Figure => {
    const requests = total('requests');
    switch (name) {
      case 'requests':
        return { count: requests, value: requests };
      case 'request_rate':
        return { count: requests, value: requests / seconds };
      case 'errors':
        return { count: requests, value: total('errors') };
      case 'error_rate':
        return shareOf(total('errors'), requests);
      case 'invalid_requests':
        return { count: requests + total('invalid'), value: total('invalid') };
      case 'invalid_request_rate':
        return shareOf(total('invalid'), requests + total('invalid'));
      default:
        return timeFigure(name);
    }
  });
}

function shareOf(some: number, all: number): Figure {
  return all === 0 ? { count: 0 } : { count: all, value: some / all };
}

function timesOf(
  parts: readonly Counted[],
  time: (typeof times)[number],
  asked: readonly (keyof typeof shares)[],
  sumUs: () => number,
): ReadonlyMap<string, Figure> {
  const { total: count, quantiles } =
    storedTimes(parts, time, asked) ?? quantilesOfAll(parts, time, asked);
  if (count === 0) return new Map();
  return new Map<string, Figure>([
    ['mean', { count, value: sumUs() / 1000 / count }],
    ...asked.map((share, i) => [share, { count, value: quantiles[i] as number }] as const),
  ]);
}

interface Quantiles {
  readonly total: number;
  readonly quantiles: readonly (number | undefined)[];
}

/** As they were stored, where one writer alone counted. */
function storedTimes(
  parts: readonly Counted[],
  time: (typeof times)[number],
  asked: readonly (keyof typeof shares)[],
): Quantiles | undefined {
  const own = parts.filter((part) => part[time] !== undefined);
  const [total, ...quantiles] = own.length === 1 ? (own[0]?.[`${time}Times`] ?? []) : [];
  if (total === undefined) return undefined;
  return { total, quantiles: asked.map((share) => quantiles[storedShares.indexOf(shares[share])]) };
}

function quantilesOfAll(
  parts: readonly Counted[],
  time: (typeof times)[number],
  asked: readonly (keyof typeof shares)[],
): Quantiles {
  const texts = parts.flatMap((part) => part[time] ?? []);
  if (texts.length === 0) return { total: 0, quantiles: [] };
  return quantilesOf(
    texts,
    asked.map((share) => shares[share]),
  );
}
