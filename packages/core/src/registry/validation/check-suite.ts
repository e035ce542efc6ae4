import { z } from 'zod';
import { having } from '../../check-options.ts';
import { KeelsonError } from '../../errors.ts';
import { assertText, type JsonObject } from '../../json.ts';
import type {
  GoldenTest,
  KeptTest,
  MetricLimit,
  MetricsTest,
  PerformanceLimits,
  PerformanceTest,
  PredictionReading,
  ReplayTest,
  SegmentsTest,
  SuiteData,
  SuiteTest,
  ValidationSuiteOptions,
} from './suite.ts';
import type { Tolerance } from './tolerance.ts';

const text = z.string().min(1).max(250);
const dataName = z
  .string()
  .regex(/^[\w.-]{1,60}$/, 'must be a name of letters, digits, _, . and - (60 at most)');
const bound = z.number().optional();
const positive = z.number().positive().optional();
const count = (max: number) => z.int().min(1).max(max).optional();

const tolerance = z.strictObject({
  absolute: z.number().nonnegative().optional(),
  relative: z.number().nonnegative().optional(),
} satisfies Record<keyof Tolerance, z.ZodType>);
const tolerances = {
  tolerance: tolerance.optional(),
  outputs: z.record(text, tolerance).optional(),
};
const reading = z.strictObject({
  output: text.optional(),
  probabilities: text.optional(),
  positive: z.string().max(250).optional(),
  negative: z.string().max(250).optional(),
  threshold: z.number().optional(),
} satisfies Record<keyof PredictionReading, z.ZodType>);
const limit = z
  .strictObject({
    metric: text,
    min: bound,
    max: bound,
    judge: z.enum(['estimate', 'bound']).optional(),
  } satisfies Record<keyof MetricLimit, z.ZodType>)
  .refine(({ min, max }) => min !== undefined || max !== undefined, 'needs min or max');
// What is in them is looked at row by row, when they are kept.
const list = z.custom<readonly unknown[]>(Array.isArray, 'must be a list');

const golden = z
  .strictObject({
    test: z.literal('golden'),
    name: text.optional(),
    cases: list.optional(),
    data: dataName.optional(),
    ...tolerances,
  } satisfies Record<keyof GoldenTest, z.ZodType>)
  .refine(
    ({ cases, data }) => (cases === undefined) !== (data === undefined),
    'needs cases or data, one of them',
  );
const metrics = z.strictObject({
  test: z.literal('metrics'),
  name: text.optional(),
  data: dataName,
  label: text,
  limits: z.array(limit).min(1).max(100),
  prediction: reading.optional(),
} satisfies Record<keyof MetricsTest, z.ZodType>);
const segments = z.strictObject({
  test: z.literal('segments'),
  name: text.optional(),
  data: dataName,
  label: text,
  metric: text,
  by: z.array(text).min(1).max(20),
  edges: z.record(text, z.array(z.number()).min(1).max(100)).optional(),
  maxGap: z.number().nonnegative(),
  minRows: count(1_000_000),
  prediction: reading.optional(),
} satisfies Record<keyof SegmentsTest, z.ZodType>);
const performance = z.strictObject({
  test: z.literal('performance'),
  name: text.optional(),
  data: dataName.optional(),
  concurrency: count(1_000),
  batchRows: count(10_000),
  requests: count(100_000),
  warmUpRequests: z.int().min(0).max(10_000).optional(),
  rounds: count(20),
  limits: z.strictObject({
    maxP50Ms: positive,
    maxP99Ms: positive,
    minRequestsPerSecond: positive,
    maxMemoryBytes: positive,
  } satisfies Record<keyof PerformanceLimits, z.ZodType>),
} satisfies Record<keyof PerformanceTest, z.ZodType>);
const replay = z.strictObject({
  test: z.literal('replay'),
  name: text.optional(),
  maxRequests: count(100_000),
  minRequests: count(100_000),
  maxDifferentShare: z.number().min(0).max(1),
  ...tolerances,
} satisfies Record<keyof ReplayTest, z.ZodType>);

const format = z.enum(['jsonl', 'csv']).optional();
const source = z.union([
  z.literal('given'),
  z.strictObject({ rows: list }),
  z.strictObject({ file: text.max(4_000), format }),
  z.strictObject({ bytes: having('bytes'), format }),
  z.strictObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256'), format }),
]);

const shape = z.strictObject({
  name: z.string().trim().min(1).max(100),
  description: z.string().max(2_000).optional(),
  data: z.record(dataName, source).optional(),
  tests: z
    .array(z.discriminatedUnion('test', [golden, metrics, segments, performance, replay]))
    .min(1)
    .max(100),
  batchRows: count(10_000),
  predictTimeoutMs: count(3_600_000),
  loadTimeoutMs: count(3_600_000),
} satisfies Record<keyof ValidationSuiteOptions, z.ZodType>);

/** INVALID, naming each place, for what is no suite. */
export function assertSuite(options: ValidationSuiteOptions): void {
  const checked = shape.safeParse(options);
  if (!checked.success) {
    const problems = checked.error.issues.map(
      ({ path, message }) => `${['suite', ...path.map(String)].join('.')}: ${message}`,
    );
    throw refused(problems);
  }
  assertText(options.name, 'The name of a suite');
  const names = namesOfTests(options.tests);
  const problems = options.tests.flatMap((test, i) => {
    const at = `suite.tests.${i}`;
    const known = Object.keys(options.data ?? {});
    const data = 'data' in test ? test.data : undefined;
    return [
      ...(names.indexOf(names[i] as string) === i ? [] : [`${at}.name: is there twice`]),
      ...(data === undefined || known.includes(data)
        ? []
        : [
            `${at}.data: ${data} is none of the suite's data (${known.join(', ') || 'there is none'})`,
          ]),
      ...edgesOutOfOrder(test).map((column) => `${at}.edges.${column}: must ascend`),
    ];
  });
  if (problems.length > 0) throw refused(problems);
}

function refused(problems: readonly string[]): KeelsonError {
  return new KeelsonError('INVALID', `A validation suite cannot be so: ${problems.join('; ')}.`, {
    details: { problems },
  });
}

const keptShape = shape
  .omit({ name: true })
  .required()
  .extend({
    data: z.record(
      z.string(),
      z.union([
        z.literal('given'),
        z.strictObject({
          sha256: z.string().regex(/^[0-9a-f]{64}$/),
          sizeBytes: z.int().nonnegative(),
          format: z.enum(['jsonl', 'csv']),
          rows: z.int().positive(),
        } satisfies Record<keyof SuiteData, z.ZodType>),
      ]),
    ),
  });

/** INVALID for the body of a record, come from elsewhere, that no suite would have. */
export function assertKeptSuite(body: JsonObject): void {
  const tests = Array.isArray(body['tests']) ? (body['tests'] as readonly JsonObject[]) : [];
  // The cases of a golden test have become data, under a name that no user can give.
  const renamed = tests.map((test) => ({
    ...test,
    ...(typeof test['data'] === 'string' && test['data'].startsWith('cases of ')
      ? { data: 'cases' }
      : {}),
  }));
  const checked = keptShape.safeParse({ ...body, tests: renamed });
  const isNamed = tests.every(({ name }) => typeof name === 'string');
  if (checked.success && isNamed) return;
  const problems = checked.error?.issues.map(
    ({ path, message }) => `suite.${path.map(String).join('.')}: ${message}`,
  );
  throw refused(problems ?? ['suite.tests: have no names']);
}

/** The names of the tests: their own, else of their kind, numbered from the second on. */
export function namesOfTests(tests: readonly SuiteTest[]): readonly string[] {
  const counts = new Map<string, number>();
  return tests.map(({ name, test }) => {
    if (name !== undefined) return name;
    const number = (counts.get(test) ?? 0) + 1;
    counts.set(test, number);
    return number === 1 ? test : `${test} ${number}`;
  });
}

/** The names of the data that the tests use. */
export function dataOfTests(tests: readonly KeptTest[]): ReadonlySet<string> {
  return new Set(tests.flatMap((test) => ('data' in test && test.data ? [test.data] : [])));
}

function edgesOutOfOrder(test: SuiteTest): readonly string[] {
  if (test.test !== 'segments') return [];
  return Object.entries(test.edges ?? {}).flatMap(([column, edges]) =>
    edges.every((edge, i) => i === 0 || edge > (edges[i - 1] as number)) ? [] : [column],
  );
}
