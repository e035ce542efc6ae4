import type {
  AcknowledgeOptions,
  Alert,
  AlertOutlook,
  AlertRule,
  Silence,
  SilenceOptions,
  StoredAlertRule,
} from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import { answered, asked, looseObject, tags, time, whole } from '../schemas.ts';
import { ofAlert } from './revised-records.ts';

interface OneAlert {
  readonly alertId: string;
}

interface OneSilence {
  readonly silenceId: string;
}

interface OneRule {
  readonly rule: string;
  readonly deployment?: string;
}

/** A rule, whose name is in the path. */
export type NewRule = Omit<AlertRule, 'name' | 'preset'> & { readonly reason?: string };

const alert = answered<Alert>('Alert', {
  id: z.string(),
  deploymentId: z.string(),
  deployment: z.string(),
  rule: z.string(),
  fingerprint: z.string(),
  severity: z.string(),
  state: z.enum(['PENDING', 'FIRING', 'RESOLVED']),
  acknowledged: looseObject.optional(),
  blind: looseObject.optional(),
  firstAt: time,
  lastAt: time,
  summary: z.string(),
  evidence: looseObject,
  eventId: z.string(),
  correlationId: z.string(),
  resolution: z.string().optional(),
  kind: z.string().optional(),
  driftKind: z.string().optional(),
  versionId: z.string().optional(),
  features: z.array(z.string()).optional(),
  labels: tags.optional(),
  revision: whole,
});

const silence = answered<Silence>('Silence', {
  id: z.string(),
  match: looseObject,
  reason: z.string(),
  by: z.string(),
  startsAt: time,
  endsAt: time,
  endWhenIdleForMs: z.number().optional(),
  matchedAt: time.optional(),
  ended: looseObject.optional(),
});

const storedRule = z.looseObject({
  id: z.string(),
  name: z.string(),
  revision: whole,
  createdAt: time,
  updatedAt: time,
}) as unknown as z.ZodType<StoredAlertRule>;

const text = z.string();
const ruleFields = {
  deployment: text.describe('All deployments when left out').optional(),
  description: text.optional(),
  kind: text.optional(),
  severity: z.enum(['WARNING', 'CRITICAL', 'EMERGENCY']).optional(),
  figure: text.optional(),
  above: z.union([z.number(), looseObject]).optional(),
  below: z.union([z.number(), looseObject]).optional(),
  clear: z.union([z.number(), looseObject]).optional(),
  changeOverMs: z.number().optional(),
  change: z.enum(['absolute', 'relative']).optional(),
  when: z.union([text, looseObject]).optional(),
  clearWhen: text.optional(),
  absentMs: z.number().optional(),
  windowMs: z.number().optional(),
  everyMs: z.number().optional(),
  forMs: z.number().optional(),
  windows: looseObject.optional(),
  keepFiringForMs: z.number().optional(),
  minimumCount: z.number().optional(),
  schedule: looseObject.optional(),
  routes: z.array(text).optional(),
  labels: tags.optional(),
  actions: z.array(looseObject).optional(),
  enabled: z.boolean().optional(),
  reason: text.min(1).max(2000).optional(),
};

/** Alerts and who is told of them, under `/api/v1/monitoring`. */
export const alertRows: {
  readonly get: Route<OneAlert, Alert>;
  readonly outlook: Route<OneAlert, { readonly outlook: readonly AlertOutlook[] }>;
  readonly acknowledge: Route<OneAlert & { readonly body?: AcknowledgeOptions }, Alert>;
  readonly unacknowledge: Route<OneAlert, Alert>;
  readonly resolve: Route<OneAlert & { readonly body: { readonly comment: string } }, Alert>;
  readonly silences: Route<{ readonly ended?: boolean }, { readonly silences: readonly Silence[] }>;
  readonly silence: Route<{ readonly body: SilenceOptions }, Silence>;
  readonly endSilence: Route<OneSilence, Silence>;
  readonly rules: Route<
    { readonly deployment?: string },
    { readonly rules: readonly StoredAlertRule[] }
  >;
  readonly putRule: Route<Pick<OneRule, 'rule'> & { readonly body: NewRule }, StoredAlertRule>;
  readonly removeRule: Route<OneRule & { readonly reason?: string }, undefined>;
} = {
  get: {
    method: 'GET',
    path: '/monitoring/alerts/{alertId}',
    summary: 'An alert with its evidence',
    permission: 'monitor.read',
    answers: { as: 'json', schema: alert },
    example: { alertId: 'alert-1' },
    run: ({ services, input }) => services.monitoring.getAlert(input.alertId),
  },
  outlook: {
    method: 'GET',
    path: '/monitoring/alerts/{alertId}/outlook',
    summary: 'When the next message of it goes out, and why none does now',
    permission: 'monitor.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly outlook: readonly AlertOutlook[] }>('AlertOutlooks', {
        outlook: z.array(looseObject),
      }),
    },
    example: { alertId: 'alert-1' },
    run: async ({ services, input }) => ({
      outlook: await services.monitoring.explainAlert(input.alertId),
    }),
  },
  acknowledge: {
    method: 'POST',
    path: '/monitoring/alerts/{alertId}/acknowledge',
    revisions: ofAlert,
    summary: 'Somebody looks at it: reminders and escalation rest',
    permission: 'alert.respond',
    body: asked<AcknowledgeOptions>({
      comment: text.max(10_000).optional(),
      forMs: whole.describe('A day when left out').optional(),
    }).optional() as never,
    answers: { as: 'json', schema: alert },
    example: { alertId: 'alert-1', body: { comment: 'On it', forMs: 3_600_000 } },
    run: ({ services, input }) => services.monitoring.acknowledge(input.alertId, input.body ?? {}),
  },
  unacknowledge: {
    method: 'POST',
    path: '/monitoring/alerts/{alertId}/unacknowledge',
    revisions: ofAlert,
    summary: 'Nobody looks at it any more',
    permission: 'alert.respond',
    answers: { as: 'json', schema: alert },
    example: { alertId: 'alert-1' },
    run: ({ services, input }) => services.monitoring.unacknowledge(input.alertId),
  },
  resolve: {
    method: 'POST',
    path: '/monitoring/alerts/{alertId}/resolve',
    revisions: ofAlert,
    summary: 'It is over, as somebody says',
    permission: 'alert.respond',
    body: asked<{ readonly comment: string }>({ comment: text.min(1).max(10_000) }),
    answers: { as: 'json', schema: alert },
    example: { alertId: 'alert-2', body: { comment: 'The upstream feed is whole again' } },
    run: ({ services, input }) => services.monitoring.resolveAlert(input.alertId, input.body),
  },
  silences: {
    method: 'GET',
    path: '/monitoring/silences',
    summary: 'Of which alerts nobody is told now',
    permission: 'monitor.read',
    query: { ended: z.boolean().describe('Those that have ended too').optional() },
    answers: {
      as: 'json',
      schema: answered<{ readonly silences: readonly Silence[] }>('Silences', {
        silences: z.array(silence),
      }),
    },
    example: { ended: true },
    run: async ({ services, input }) => ({
      silences: await services.monitoring.silences.list(input),
    }),
  },
  silence: {
    method: 'POST',
    path: '/monitoring/silences',
    summary: 'Nobody is told of alerts that match, until an end',
    permission: 'alert.respond',
    body: asked<SilenceOptions>({
      match: looseObject.describe('Label → value, several, or { not }'),
      reason: text.min(1).max(10_000),
      untilAt: time.optional(),
      forMs: whole.optional(),
      startsAt: time.optional(),
      endWhenIdleForMs: whole.optional(),
    }),
    answers: { as: 'json', status: 201, schema: silence },
    example: {
      body: { match: { deployment: 'live' }, reason: 'Upgrade', forMs: 3_600_000 },
    },
    run: ({ services, input }) => services.monitoring.silence(input.body),
  },
  endSilence: {
    method: 'DELETE',
    path: '/monitoring/silences/{silenceId}',
    summary: 'Ends a silence now',
    permission: 'alert.respond',
    answers: { as: 'json', schema: silence },
    example: { silenceId: 'silence-1' },
    run: ({ services, input }) => services.monitoring.silences.end(input.silenceId),
  },
  rules: {
    method: 'GET',
    path: '/monitoring/rules',
    summary: 'By which rules alerts come; with a deployment those in force for it',
    permission: 'monitor.read',
    query: { deployment: text.optional() },
    answers: {
      as: 'json',
      schema: answered<{ readonly rules: readonly StoredAlertRule[] }>('AlertRules', {
        rules: z.array(storedRule),
      }),
    },
    example: { deployment: 'live' },
    run: async ({ services, input }) => ({
      rules: await services.monitoring.alertRules.list(input),
    }),
  },
  putRule: {
    method: 'PUT',
    path: '/monitoring/rules/{rule}',
    summary: 'Keeps an alert rule, in place of the one of its name and deployment',
    permission: 'alert.manage',
    body: asked<NewRule>(ruleFields as never),
    answers: { as: 'json', schema: storedRule },
    example: { rule: 'errors', body: { deployment: 'live', figure: 'error_rate', above: 0.05 } },
    run({ services, input: { rule: name, body } }) {
      const { reason, ...rule } = body;
      const why = reason === undefined ? {} : { reason };
      return services.monitoring.alertRules.put({ ...rule, name }, why);
    },
  },
  removeRule: {
    method: 'DELETE',
    path: '/monitoring/rules/{rule}',
    summary: 'Takes an alert rule away; open alerts of it are resolved',
    permission: 'alert.manage',
    query: {
      deployment: text.describe('The general rule when left out').optional(),
      reason: text.min(1).max(2000).optional(),
    },
    answers: { as: 'nothing' },
    example: { rule: 'errors', deployment: 'live' },
    async run({ services, input: { rule, ...options } }) {
      await services.monitoring.alertRules.remove(rule, options);
      return undefined;
    },
  },
};
