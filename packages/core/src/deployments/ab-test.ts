import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { KeelsonError } from '../errors.ts';
import { asJson, assertText, type Json } from '../json.ts';

/** One of the versions that are compared. */
export interface AbTestArm {
  readonly name: string;
  readonly versionId: string;
  /** The weights of all arms sum to 100. */
  readonly weightPercent: number;
}

/** What an outcome of a unit is taken from. */
export type AbTestOutcome =
  /** Whether its request failed. */
  | { readonly source: 'errors' }
  /** How long its answer took, in ms. */
  | { readonly source: 'latency' }
  /** Whether the label says that the answer was right. */
  | { readonly source: 'accuracy' }
  /** The label itself, a number; with `equals`, whether it is that. */
  | { readonly source: 'label'; readonly equals?: Json }
  /**
   * Events of one's own whose payload names the unit (`key`) or the request (`requestId`): whether there is one, or
   * the sum of a field.
   */
  | { readonly source: 'event'; readonly type: string; readonly value?: string };

/** A figure by which arms are compared. */
export interface AbTestMetric {
  readonly name: string;
  readonly outcome: AbTestOutcome;
  readonly goal: 'higher' | 'lower';
  /** Between which values lie; those outside count as the nearest. 0 and 1 when left out. */
  readonly bounds?: { readonly low: number; readonly high: number };
}

/** A figure that must not become worse, by so much in its own unit. */
export interface AbTestGuardrail extends AbTestMetric {
  readonly margin: number;
}

/** An A/B test to begin. */
export interface StartAbTest {
  readonly deployment: string;
  /** Two at least; one of them is the control. */
  readonly arms: readonly AbTestArm[];
  /** The name of the arm that the others are compared with; the first when left out. */
  readonly control?: string;
  /** The header whose value keeps a user with one arm. */
  readonly stickyHeader: string;
  /** The first decides; the others are reported. */
  readonly metrics: readonly AbTestMetric[];
  readonly guardrails?: readonly AbTestGuardrail[];
  /** The chance of a wrong winner, over all looks; 0.05. */
  readonly alpha?: number;
  /** Units of each arm without which nothing is decided; 100. */
  readonly minimumUnits?: number;
  readonly reason: string;
  /** Asking again under the same key answers the first test. */
  readonly requestKey?: string;
  /** When it begins; now when left out. */
  readonly at?: number;
}

/** An A/B test: it owns the traffic of its deployment while it runs. */
export interface AbTest {
  readonly id: string;
  readonly deploymentId: string;
  readonly deployment: string;
  readonly status: 'RUNNING' | 'DECIDED' | 'STOPPED';
  readonly arms: readonly (AbTestArm & { readonly version: string })[];
  readonly control: string;
  readonly stickyHeader: string;
  /** What users are dealt out by: of this test alone. */
  readonly salt: string;
  /** Whether users were dealt out by it and the test was broken off: it must not deal again. */
  readonly saltBurnt: boolean;
  readonly metrics: readonly AbTestMetric[];
  readonly guardrails: readonly AbTestGuardrail[];
  readonly alpha: number;
  readonly minimumUnits: number;
  readonly reason: string;
  readonly beganAt: number;
  readonly endedAt?: number;
  readonly decision?: {
    readonly winner?: string;
    readonly reason: string;
    readonly by: string;
    readonly at: number;
  };
  readonly correlationId: string;
  /** The sticky key of the deployment, which comes back with its end. */
  readonly stickyBefore?: Route['sticky'];
  readonly createdBy: string;
  readonly revision: number;
}

const name = z.string().min(1).max(100);
const outcomeShape = z.discriminatedUnion('source', [
  z.strictObject({ source: z.literal('errors') }),
  z.strictObject({ source: z.literal('latency') }),
  z.strictObject({ source: z.literal('accuracy') }),
  z.strictObject({ source: z.literal('label'), equals: z.json().optional() }),
  z.strictObject({ source: z.literal('event'), type: name, value: name.optional() }),
]);
const metricFields = {
  name,
  outcome: outcomeShape,
  goal: z.enum(['higher', 'lower']),
  bounds: z
    .strictObject({ low: z.number(), high: z.number() })
    .refine(({ low, high }) => low < high, { message: 'low must be below high' })
    .optional(),
};
const startShape = z.strictObject({
  deployment: z.string().min(1),
  arms: z
    .array(
      z.strictObject({ name, versionId: z.string().min(1), weightPercent: z.number().positive() }),
    )
    .min(2)
    .max(20),
  control: name.optional(),
  stickyHeader: z.string().min(1).max(255),
  metrics: z.array(z.strictObject(metricFields)).min(1).max(20),
  guardrails: z
    .array(z.strictObject({ ...metricFields, margin: z.number().min(0) }))
    .max(20)
    .optional(),
  alpha: z.number().min(1e-6).max(0.5).optional(),
  minimumUnits: z.number().int().min(1).optional(),
  reason: z.string().min(1).max(2000),
  requestKey: z.string().min(1).max(500).optional(),
  at: z.number().optional(),
} satisfies Record<keyof StartAbTest, z.ZodType>);

/** Refuses, as INVALID and by the field's name, a test that could not be run. */
export function checkAbTest(options: StartAbTest): StartAbTest {
  asJson(options ?? null, 'What startAbTest was given');
  checkOptions(startShape, options, 'startAbTest');
  const { arms, control, metrics, guardrails = [], deployment } = options;
  assertText(deployment, 'A deployment');
  const refuse = (why: string): never => {
    throw new KeelsonError('INVALID', `startAbTest: ${why}.`);
  };
  const sum = arms.reduce((total, { weightPercent }) => total + weightPercent, 0);
  if (Math.abs(sum - 100) > 1e-6) refuse(`the weights of arms sum to ${sum}, not to 100`);
  if (new Set(arms.map((arm) => arm.name)).size < arms.length) refuse('two arms have one name');
  if (new Set(arms.map((arm) => arm.versionId)).size < arms.length)
    refuse('two arms have one version');
  if (control !== undefined && !arms.some((arm) => arm.name === control))
    refuse(`there is no arm ${control} to be the control`);
  const names = [...metrics, ...guardrails].map((metric) => metric.name);
  if (new Set(names).size < names.length) refuse('two metrics have one name');
  for (const { name: of, outcome, bounds } of [...metrics, ...guardrails]) {
    const isShare =
      ['errors', 'accuracy'].includes(outcome.source) ||
      (outcome.source === 'label' && outcome.equals !== undefined) ||
      (outcome.source === 'event' && outcome.value === undefined);
    if (!isShare && bounds === undefined) refuse(`${of}: bounds are missing`);
  }
  return options;
}

/** What an A/B test's body holds. */
export type AbTestBody = Omit<
  AbTest,
  'id' | 'deploymentId' | 'status' | 'beganAt' | 'endedAt' | 'createdBy' | 'revision'
>;

/** A test out of its record. */
export function abTestFromRecord({ id, columns: c, body, revision }: StoredRecord): AbTest {
  const endedAt = c['endedAt'] as number | undefined;
  return {
    ...(body as unknown as AbTestBody),
    id,
    revision,
    deploymentId: c['deploymentId'] as string,
    status: c['status'] as AbTest['status'],
    beganAt: c['beganAt'] as number,
    createdBy: c['createdBy'] as string,
    ...(endedAt === undefined ? {} : { endedAt }),
  };
}

/** The body of a test's record. */
export function bodyOfAbTest(test: AbTest): AbTestBody {
  const { id: _, deploymentId: _d, status: _s, beganAt: _b, endedAt: _e, ...rest } = test;
  const { createdBy: _c, revision: _r, ...body } = rest;
  return body;
}

/** The route while a test runs: each arm by its weight, users by the test's own salt. */
export function routeOfAbTest(
  base: Route,
  { arms, control, stickyHeader, salt }: Pick<AbTest, 'arms' | 'control' | 'stickyHeader' | 'salt'>,
): Route {
  const controlled = arms.find((arm) => arm.name === control);
  return {
    ...base,
    targets: arms.map(({ name: key, versionId, weightPercent }) => ({
      ...{ versionId, weightPercent, key },
    })),
    shadows: [],
    sticky: { header: stickyHeader, salt },
    ...(controlled === undefined ? {} : { fallbackVersionId: controlled.versionId }),
  };
}
