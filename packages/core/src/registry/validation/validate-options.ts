import { z } from 'zod';
import { assertObject, checkOptions, having, signalOption } from '../../check-options.ts';
import type { ModelRuntime } from '../../contracts/model-runtime.ts';
import { KeelsonError } from '../../errors.ts';
import type { Json, JsonObject } from '../../json.ts';
import { dataOfTests } from './check-suite.ts';
import { isKnownMetric } from './metric-figure.ts';
import { knownMetrics, type MetricFunction, type ValidationSuite } from './suite.ts';
import type { SampledRequest } from './test-context.ts';

/** How far a validation is. */
export interface ValidationProgress {
  /** The test under way; `download` and `load` come before the first. */
  readonly test: string;
  /** Tests that are done, of how many. */
  readonly done: number;
  readonly total: number;
}

/** What a validation runs with. */
export interface ValidateOptions {
  /** What loads the model: the one that is to serve it, on the machine that is to. */
  readonly runtime: ModelRuntime;
  /** Handed to the runtime, such as `{ replicas: 2 }`. */
  readonly config?: Readonly<Record<string, Json>>;
  /** Rows for the data that the suite declares as `given`. */
  readonly data?: Readonly<
    Record<string, readonly JsonObject[] | Iterable<JsonObject> | AsyncIterable<JsonObject>>
  >;
  /** Figures of one's own, by the names that limits use. */
  readonly metrics?: Readonly<Record<string, MetricFunction>>;
  /** What `replay` asks again, such as `monitoring.sampledRequests(…)`. */
  readonly sampledRequests?: Iterable<SampledRequest> | AsyncIterable<SampledRequest>;
  /** A version that is larger is refused, not downloaded; 16 GiB when left out. */
  readonly maxModelBytes?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ValidationProgress) => void;
}

const isFunction = (value: unknown): boolean => typeof value === 'function';
const isIterable = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (Symbol.iterator in value || Symbol.asyncIterator in value);
const iterable = z.custom(isIterable, 'must be an iterable');

const shape = z.strictObject({
  runtime: having<ModelRuntime>('a ModelRuntime', 'load'),
  config: z.record(z.string(), z.unknown()).optional(),
  data: z.record(z.string(), iterable).optional(),
  metrics: z.record(z.string(), z.custom(isFunction, 'must be a function')).optional(),
  sampledRequests: iterable.optional(),
  maxModelBytes: z.number().positive().optional(),
  signal: signalOption.optional(),
  onProgress: z.custom(isFunction, 'must be a function').optional(),
} satisfies Record<keyof ValidateOptions, z.ZodType>);

/** INVALID, by name, for options that are none. */
export function assertValidateOptions(options: ValidateOptions): void {
  checkOptions(shape, assertObject(options, 'validate'), 'registry.validate');
}

/** INVALID, naming it, for what the suite needs and nobody handed over, or the other way round. */
export function assertHandedOver(suite: ValidationSuite, options: ValidateOptions): void {
  const { tests, data, name } = suite;
  const given = Object.keys(options.data ?? {});
  const wanted = [...dataOfTests(tests)].filter((each) => data[each] === 'given');
  const needed = tests.flatMap((test) => {
    if (test.test === 'metrics') return test.limits.map(({ metric }) => metric);
    return test.test === 'segments' ? [test.metric] : [];
  });
  const own = options.metrics ?? {};
  const unknown = needed.filter((each) => !isKnownMetric(each) && !Object.hasOwn(own, each));
  const taken = Object.keys(own).filter(isKnownMetric);
  const problems = [
    ...wanted.flatMap((each) =>
      given.includes(each) ? [] : [`it needs the rows of ${each} as options.data.${each}`],
    ),
    ...given.flatMap((each) =>
      wanted.includes(each) ? [] : [`options.data.${each} is none of its data that is given`],
    ),
    ...unknown.map(
      (each) =>
        `metric ${each} is none of ${knownMetrics.join(', ')}: hand it over as options.metrics.${each}`,
    ),
    ...taken.map(
      (each) => `metric ${each} is known already: give options.metrics.${each} another name`,
    ),
    ...(tests.some(({ test }) => test === 'replay') && options.sampledRequests === undefined
      ? ['it replays requests, and needs options.sampledRequests']
      : []),
  ];
  if (problems.length === 0) return;
  throw new KeelsonError('INVALID', `Suite ${name} cannot be run so: ${problems.join('; ')}.`, {
    details: { problems },
  });
}
