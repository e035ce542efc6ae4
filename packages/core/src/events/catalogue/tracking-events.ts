import { z } from 'zod';
import {
  count,
  defineEvent,
  type EventDefinition,
  figure,
  figures,
  text,
  texts,
} from './define-event.ts';

/** A run has begun. */
export interface RunStarted {
  readonly runId: string;
  readonly experimentId: string;
  /** The run's name, as people see it. */
  readonly name: string;
}

/** A run has ended, well or not. */
export interface RunCompleted {
  readonly runId: string;
  readonly experimentId: string;
  /** `RUNNING` never; a run whose process died is `FAILED`. */
  readonly status: 'COMPLETED' | 'FAILED' | 'KILLED';
  /** The last value of each metric. */
  readonly finalMetrics: Readonly<Record<string, number>>;
  /** The paths of its artifacts. */
  readonly artifactPaths: readonly string[];
  /** There are more metrics or artifacts than an event can carry. */
  readonly truncated?: boolean;
}

/** A run was put aside, or taken back. */
export interface RunMoved {
  readonly runId: string;
}

/** A logged metric has crossed a bound that was set for it. */
export interface MetricThresholdExceeded {
  readonly runId: string;
  readonly experimentId: string;
  readonly metric: string;
  /** Which bound it was. */
  readonly bound: 'above' | 'below' | 'notFinite';
  readonly value: number;
  /** When it was logged, in epoch ms. */
  readonly timestamp: number;
  /** The bound; missing where a value was not finite. */
  readonly threshold?: number;
  readonly step?: number;
  /** The last that is told of this metric in this run. */
  readonly last?: boolean;
}

/** A run has an artifact more, or another content under a path. */
export interface ArtifactLogged {
  readonly runId: string;
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Such as `MODEL`, `DATASET`, `OTHER`. */
  readonly artifactType: string;
}

/** An experiment has come in from an archive. */
export interface ExperimentImported {
  readonly experimentId: string;
  readonly name: string;
}

/** The events of tracking. */
export interface TrackingEventPayloads {
  readonly 'run.started': RunStarted;
  readonly 'run.completed': RunCompleted;
  readonly 'run.deleted': RunMoved;
  readonly 'run.restored': RunMoved;
  readonly 'metric.threshold_exceeded': MetricThresholdExceeded;
  readonly 'artifact.logged': ArtifactLogged;
  readonly 'experiment.imported': ExperimentImported;
}

const runId = '0198c0de-0000-7000-8000-000000000001';
const experimentId = '0198c0de-0000-7000-8000-000000000002';
const ofRun = { source: 'tracking', subject: 'run:{runId}' } as const;

/** The definitions of the events of tracking. */
export const trackingEvents: {
  readonly [T in keyof TrackingEventPayloads]: EventDefinition<TrackingEventPayloads[T]>;
} = {
  'run.started': defineEvent<RunStarted>({
    ...ofRun,
    meaning: 'A run has begun.',
    fields: { runId: text, experimentId: text, name: text },
    example: { runId, experimentId, name: 'brave-heron' },
  }),
  'run.completed': defineEvent<RunCompleted>({
    ...ofRun,
    meaning: 'A run has ended, well or not.',
    alias: 'experiment.completed',
    fields: {
      runId: text,
      experimentId: text,
      status: z.enum(['COMPLETED', 'FAILED', 'KILLED']),
      finalMetrics: figures,
      artifactPaths: texts,
      truncated: z.boolean().optional(),
    },
    example: {
      runId,
      experimentId,
      status: 'COMPLETED',
      finalMetrics: { accuracy: 0.94, loss: 0.21 },
      artifactPaths: ['model/weights.json'],
    },
  }),
  'run.deleted': defineEvent<RunMoved>({
    ...ofRun,
    meaning: 'A run was deleted; it can be restored until it is purged.',
    fields: { runId: text },
    example: { runId },
  }),
  'run.restored': defineEvent<RunMoved>({
    ...ofRun,
    meaning: 'A deleted run was restored.',
    fields: { runId: text },
    example: { runId },
  }),
  'metric.threshold_exceeded': defineEvent<MetricThresholdExceeded>({
    ...ofRun,
    meaning: 'A logged metric has crossed a bound that was set for it.',
    fields: {
      runId: text,
      experimentId: text,
      metric: text,
      bound: z.enum(['above', 'below', 'notFinite']),
      value: figure,
      timestamp: figure,
      threshold: figure.optional(),
      step: figure.optional(),
      last: z.boolean().optional(),
    },
    example: {
      runId,
      experimentId,
      metric: 'loss',
      bound: 'above',
      value: 12.5,
      timestamp: 1767225600000,
      threshold: 10,
      step: 40,
    },
  }),
  'artifact.logged': defineEvent<ArtifactLogged>({
    ...ofRun,
    meaning: 'A run has an artifact more, or another content under a path.',
    fields: { runId: text, path: text, sha256: text, sizeBytes: count, artifactType: text },
    example: {
      runId,
      path: 'model/weights.json',
      sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      sizeBytes: 48123,
      artifactType: 'MODEL',
    },
  }),
  'experiment.imported': defineEvent<ExperimentImported>({
    source: 'tracking',
    subject: 'experiment:{experimentId}',
    meaning: 'An experiment has come in from an archive.',
    fields: { experimentId: text, name: text },
    example: { experimentId, name: 'weather' },
  }),
};
