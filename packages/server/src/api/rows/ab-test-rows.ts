import type { AbTest, AbTestReport } from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import { answered, asked, looseObject, time, whole } from '../schemas.ts';
import type { OneDeployment } from './deployment-schemas.ts';

interface OneTest {
  readonly testId: string;
}

/** The end of a test: what its report says, or what a person wants. */
export interface DecideAbTest {
  /** The name of an arm; that of the report when left out. */
  readonly winner?: string;
  readonly reason: string;
}

const objects = z.array(looseObject);
const why = z.string().min(1).max(2000);

const abTest = answered<AbTest>('AbTest', {
  id: z.string(),
  deploymentId: z.string(),
  deployment: z.string(),
  status: z.enum(['RUNNING', 'DECIDED', 'STOPPED']),
  arms: objects,
  control: z.string(),
  stickyHeader: z.string(),
  salt: z.string(),
  saltBurnt: z.boolean(),
  metrics: objects,
  guardrails: objects,
  alpha: z.number(),
  minimumUnits: whole,
  reason: z.string(),
  beganAt: time,
  endedAt: time.optional(),
  decision: looseObject.optional(),
  correlationId: z.string(),
  stickyBefore: looseObject.optional(),
  createdBy: z.string(),
  revision: whole,
});

const report = answered<AbTestReport>('AbTestReport', {
  testId: z.string(),
  status: z.string(),
  at: time,
  decision: z.enum(['SAMPLE_RATIO_MISMATCH', 'WINNER', 'CONTROL', 'INCONCLUSIVE']),
  winner: z.string().optional(),
  reason: z.string(),
  exposures: z.record(z.string(), whole),
  sampleRatio: looseObject,
  metrics: objects,
  guardrails: objects,
});

/** A/B tests of deployments. */
export const abTestRows: {
  readonly list: Route<OneDeployment, { readonly abTests: readonly AbTest[] }>;
  readonly get: Route<OneTest, AbTest>;
  readonly report: Route<OneTest, AbTestReport>;
  readonly decide: Route<OneTest & { readonly body: DecideAbTest }, AbTest>;
  readonly stop: Route<OneTest & { readonly body: { readonly reason: string } }, AbTest>;
} = {
  list: {
    method: 'GET',
    path: '/deployments/{deployment}/ab-tests',
    summary: 'The A/B tests of a deployment, oldest first',
    permission: 'deployment.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly abTests: readonly AbTest[] }>('AbTests', {
        abTests: z.array(abTest),
      }),
    },
    example: { deployment: 'tested' },
    run: async ({ services, input }) => ({
      abTests: await services.deployments.listAbTests(input.deployment),
    }),
  },
  get: {
    method: 'GET',
    path: '/ab-tests/{testId}',
    summary: 'An A/B test',
    permission: 'deployment.read',
    answers: { as: 'json', schema: abTest },
    example: { testId: 'ab-test-1' },
    run: ({ services, input }) => services.deployments.getAbTest(input.testId),
  },
  report: {
    method: 'GET',
    path: '/ab-tests/{testId}/report',
    summary: 'What an A/B test says now: valid at every look',
    permission: 'deployment.read',
    answers: { as: 'json', schema: report },
    example: { testId: 'ab-test-1' },
    run: ({ services, input }) => services.deployments.abTestReport(input.testId),
  },
  decide: {
    method: 'POST',
    path: '/ab-tests/{testId}/decide',
    summary: 'Ends a test: the winner gets all of the traffic',
    permission: 'deployment.deploy',
    body: asked<DecideAbTest>({
      winner: z.string().describe('An arm; that of the report when left out').optional(),
      reason: why,
    }),
    answers: { as: 'json', schema: abTest },
    example: { testId: 'ab-test-1', body: { winner: 'A', reason: 'It costs less' } },
    run: ({ services, input }) => services.deployments.decideAbTest(input.testId, input.body),
  },
  stop: {
    method: 'POST',
    path: '/ab-tests/{testId}/stop',
    summary: 'Breaks a test off: the control gets all of the traffic',
    permission: 'deployment.deploy',
    body: asked<{ readonly reason: string }>({ reason: why }),
    answers: { as: 'json', schema: abTest },
    example: { testId: 'ab-test-2', body: { reason: 'The header was wrong' } },
    run: ({ services, input }) => services.deployments.stopAbTest(input.testId, input.body.reason),
  },
};
