import { z } from 'zod';
import { defineEvent, type EventDefinition, text, texts } from './define-event.ts';

/** How bad something is. */
type Severity = 'WARNING' | 'CRITICAL' | 'EMERGENCY';

/** An alert keeps something from happening until somebody acknowledges it. */
export interface FreezePlaced {
  readonly alertId: string;
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  /** What is frozen: `promotions`, `rollouts`, `scale-down`. */
  readonly acts: readonly string[];
  readonly reason: string;
}

/** What an alert was answered with was decided. */
export interface ResponseDecided {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  readonly decisionId: string;
  readonly alertId?: string;
  /** The row of the response matrix, or the name of the policy's own rule. */
  readonly matched: string;
  /** What is done, or would be in a dry run. */
  readonly actions: readonly string[];
  readonly dryRun: boolean;
}

/** An act of a decision has come to its end. */
export interface ResponseActed {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  readonly decisionId: string;
  readonly action: string;
  readonly state: 'DONE' | 'FAILED' | 'STOPPED';
  /** What it came to, in words. */
  readonly outcome: string;
}

/** A policy has people told of something. */
export interface ResponseTold {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  readonly decisionId: string;
  readonly alertId?: string;
  readonly severity: Severity;
  /** What has happened, and what was done, in words. */
  readonly text: string;
}

/** A retraining has come a stage further. */
export interface RetrainingAdvanced {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  /** The act of the decision that it is. */
  readonly actId: string;
  readonly stage: 'TRAINING' | 'CHECKING' | 'ROLLING_OUT' | 'PROMOTING' | 'SETTLING';
  readonly executionId?: string;
  readonly versionId?: string;
  readonly rolloutId?: string;
}

/** The events of responses and freezes. */
export interface ResponseEventPayloads {
  readonly 'freeze.placed': FreezePlaced;
  readonly 'freeze.lifted': FreezePlaced;
  readonly 'response.decided': ResponseDecided;
  readonly 'response.acted': ResponseActed;
  readonly 'response.notified': ResponseTold;
  readonly 'response.paged': ResponseTold;
  readonly 'retraining.advanced': RetrainingAdvanced;
}

const ofDeployment = { source: 'monitoring', subject: 'deployment:{deployment}' } as const;
const severity: z.ZodType<Severity> = z.enum(['WARNING', 'CRITICAL', 'EMERGENCY']);
const of = { deployment: 'fraud-api', deploymentId: '0198c0de-0000-7000-8000-000000000030' };
const ofFields = { deployment: text, deploymentId: text };
const alertId = '0198c0de-0000-7000-8000-000000000040';
const decisionId = '0198c0de-0000-7000-8000-0000000000a0:0198c0de-0000-7000-8000-000000000050';
const freezeFields = { ...ofFields, alertId: text, acts: texts, reason: z.string() };
const toldFields = {
  ...ofFields,
  decisionId: text,
  alertId: text.optional(),
  severity,
  text: z.string(),
};
const told = {
  ...of,
  ...{ decisionId, alertId, severity: 'CRITICAL' as const },
  text: 'accuracy 84.1 % of 2200 labels, 91.0 % in the reference; the rollout was paused',
} as const;

/** The definitions of the events of responses and freezes. */
export const responseEvents: {
  readonly [T in keyof ResponseEventPayloads]: EventDefinition<ResponseEventPayloads[T]>;
} = {
  'freeze.placed': defineEvent<FreezePlaced>({
    ...{ ...ofDeployment, source: 'operations' },
    meaning: 'An alert keeps something from happening until somebody acknowledges it.',
    fields: freezeFields,
    example: {
      ...{ ...of, alertId, acts: ['promotions', 'rollouts', 'scale-down'] },
      reason: 'accuracy is CRITICAL',
    },
  }),
  'freeze.lifted': defineEvent<FreezePlaced>({
    ...{ ...ofDeployment, source: 'operations' },
    meaning: 'What an alert kept from happening may happen again.',
    fields: freezeFields,
    example: {
      ...{ ...of, alertId, acts: ['promotions', 'rollouts', 'scale-down'] },
      reason: 'acknowledged by user:ana',
    },
  }),
  'response.decided': defineEvent<ResponseDecided>({
    ...ofDeployment,
    meaning: 'What an alert is answered with was decided.',
    fields: {
      ...{ ...ofFields, decisionId: text, alertId: text.optional(), matched: text },
      ...{ actions: texts, dryRun: z.boolean() },
    },
    example: {
      ...of,
      decisionId,
      alertId,
      matched: 'GRADUAL',
      actions: ['retrain'],
      dryRun: false,
    },
  }),
  'response.acted': defineEvent<ResponseActed>({
    ...ofDeployment,
    meaning: 'An act of a decision has come to its end.',
    fields: {
      ...{ ...ofFields, decisionId: text, action: text },
      ...{ state: z.enum(['DONE', 'FAILED', 'STOPPED']), outcome: z.string() },
    },
    example: {
      ...{ ...of, decisionId, action: 'retrain', state: 'DONE' },
      outcome: 'fraud@1.3.0 serves',
    },
  }),
  'response.notified': defineEvent<ResponseTold>({
    ...ofDeployment,
    meaning: 'A policy has people told of something.',
    fields: toldFields,
    example: told,
  }),
  'response.paged': defineEvent<ResponseTold>({
    ...ofDeployment,
    meaning: 'A policy asks for a person at once.',
    fields: toldFields,
    example: told,
  }),
  'retraining.advanced': defineEvent<RetrainingAdvanced>({
    ...ofDeployment,
    meaning: 'A retraining that answers an alert has come a stage further.',
    fields: {
      ...{ ...ofFields, actId: text },
      stage: z.enum(['TRAINING', 'CHECKING', 'ROLLING_OUT', 'PROMOTING', 'SETTLING']),
      ...{ executionId: text.optional(), versionId: text.optional(), rolloutId: text.optional() },
    },
    example: {
      ...{ ...of, actId: `${decisionId}:retrain`, stage: 'CHECKING' },
      versionId: '0198c0de-0000-7000-8000-000000000012',
    },
  }),
};
