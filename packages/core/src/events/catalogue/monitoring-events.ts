import { z } from 'zod';
import type { DriftKind } from './alert-events.ts';
import {
  count,
  defineEvent,
  type EventDefinition,
  figure,
  figures,
  text,
  texts,
} from './define-event.ts';

/** How bad something is. */
type Severity = 'WARNING' | 'CRITICAL' | 'EMERGENCY';

/** What a model meets, or how right it is, has changed since the reference. */
export interface DriftDetected {
  readonly driftType: 'CONCEPT' | 'LABEL' | 'DATA' | 'PREDICTION';
  readonly severity: Severity;
  /** The features that it shows in; none where it is in no feature. */
  readonly features: readonly string[];
  /** What it was decided by, such as `eValue`. */
  readonly metrics: Readonly<Record<string, number>>;
  /** What the deciding figure had to exceed; 0 in events of version 1, which did not tell. */
  readonly threshold: number;
  readonly alertId: string;
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  /** The rule that found it. */
  readonly rule: string;
  /** What was found, in words. */
  readonly summary: string;
  /** Up to when data were looked at, in epoch ms. */
  readonly at: number;
}

/** A model does worse than it did. */
export interface PerformanceDegraded {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  readonly metric: string;
  readonly currentValue: number;
  readonly baselineValue: number;
  readonly severity: Severity;
  /** The analysis that found it. */
  readonly analysisId?: string;
  /** The version that it is of, where it is of one. */
  readonly versionId?: string;
  /** In which manner it became worse, where that is known. */
  readonly driftKind?: DriftKind;
  /** Since when, in epoch ms, where that is known. */
  readonly since?: number;
}

/** A monitor compares with another period from now on. */
export interface BaselineUpdated {
  /** The deployment's name. */
  readonly deployment?: string;
  readonly deploymentId: string;
  readonly versionId: string;
  /** When the reference was set, in epoch ms. */
  readonly at: number;
  readonly reason?: string;
}

/** How many predictions were logged in a while. */
export interface PredictionLogged {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  readonly predictions: number;
  readonly errors: number;
  /** Epoch ms. */
  readonly from: number;
  /** Epoch ms. */
  readonly to: number;
}

/** The events of monitoring. */
export interface MonitoringEventPayloads {
  readonly 'drift.detected': DriftDetected;
  readonly 'performance.degraded': PerformanceDegraded;
  readonly 'baseline.updated': BaselineUpdated;
  readonly 'prediction.logged': PredictionLogged;
}

const ofDeployment = { source: 'monitoring', subject: 'deployment:{deployment}' } as const;
const severity: z.ZodType<Severity> = z.enum(['WARNING', 'CRITICAL', 'EMERGENCY']);
const of = { deployment: 'fraud-api', deploymentId: '0198c0de-0000-7000-8000-000000000030' };
const ofFields = { deployment: text, deploymentId: text };
const alertId = '0198c0de-0000-7000-8000-000000000040';
const found = {
  ...of,
  alertId,
  rule: 'accuracy',
  severity: 'CRITICAL',
  summary: 'accuracy 84.1 % of 2200 labels, 91.0 % in the reference (e-value 3.1e+4)',
  at: 1767225600000,
} as const;
const foundFields = {
  ...ofFields,
  alertId: text,
  rule: text,
  severity,
  summary: z.string(),
  at: figure,
};

/** The definitions of the events of monitoring. */
export const monitoringEvents: {
  readonly [T in keyof MonitoringEventPayloads]: EventDefinition<MonitoringEventPayloads[T]>;
} = {
  'drift.detected': defineEvent<DriftDetected>({
    ...ofDeployment,
    meaning: 'What a model meets, or how right it is, has changed since the reference.',
    alias: 'monitoring.drift_detected',
    fields: {
      ...foundFields,
      driftType: z.enum(['CONCEPT', 'LABEL', 'DATA', 'PREDICTION']),
      features: texts,
      metrics: figures,
      threshold: figure,
    },
    example: {
      ...found,
      driftType: 'CONCEPT',
      features: [],
      metrics: { eValue: 31_000 },
      threshold: 1000,
    },
    // Version 1 did not tell what it was decided by.
    upcasts: [(payload) => ({ ...payload, features: [], metrics: {}, threshold: 0 })],
  }),
  'performance.degraded': defineEvent<PerformanceDegraded>({
    ...ofDeployment,
    meaning: 'A model does worse than it did.',
    fields: {
      ...ofFields,
      metric: text,
      currentValue: figure,
      baselineValue: figure,
      severity,
      analysisId: text.optional(),
      versionId: text.optional(),
      driftKind: z.enum(['SUDDEN', 'GRADUAL', 'INCREMENTAL', 'RECURRING', 'BLIP']).optional(),
      since: figure.optional(),
    },
    example: {
      ...of,
      metric: 'error_rate',
      currentValue: 0.16,
      baselineValue: 0.09,
      severity: 'CRITICAL',
      analysisId: '0198c0de-0000-7000-8000-000000000041',
      driftKind: 'SUDDEN',
      since: 1767222000000,
    },
  }),
  'baseline.updated': defineEvent<BaselineUpdated>({
    ...ofDeployment,
    meaning: 'A monitor compares with another period from now on.',
    fields: {
      deployment: text.optional(),
      deploymentId: text,
      versionId: text,
      at: figure,
      reason: z.string().optional(),
    },
    example: {
      ...of,
      versionId: '0198c0de-0000-7000-8000-000000000011',
      at: 1767225600000,
      reason: 'new version',
    },
  }),
  'prediction.logged': defineEvent<PredictionLogged>({
    ...ofDeployment,
    meaning: 'Predictions were logged: how many, in a while.',
    reserved: true,
    fields: { ...ofFields, predictions: count, errors: count, from: figure, to: figure },
    example: { ...of, predictions: 1200, errors: 3, from: 1767225600000, to: 1767225660000 },
  }),
};
