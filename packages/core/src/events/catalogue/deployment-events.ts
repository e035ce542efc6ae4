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

/** A deployment was made, or answers again after it was stopped. */
export interface DeploymentStarted {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  readonly versionId: string;
  readonly model?: string;
  readonly version?: string;
}

/** A deployment answers for the first time. */
export interface DeploymentHealthy {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  readonly versionId: string;
  readonly replicas: number;
}

/** A deployment answers again, or worse than it should. */
export interface DeploymentChanged {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  readonly reason: string;
}

/** A deployment does not answer. */
export interface DeploymentFailed {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  readonly versionId: string;
  readonly error: string;
  /** The version that answers instead, if one does. */
  readonly rollbackVersion?: string;
}

/** A deployment's configuration was changed. */
export interface DeploymentConfigured {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  /** The number of the revision that it is. */
  readonly revision: number;
  /** The parts that differ, such as `serving`. */
  readonly changed: readonly string[];
  readonly reason: string;
}

/** A version is no longer kept loaded for an instant return. */
export interface VersionReleased {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  readonly versionId: string;
}

/** Requests go to other versions, or in other shares. */
export interface TrafficShifted {
  /** The deployment's name. */
  readonly deployment: string;
  /** Version id → share, in percent. */
  readonly oldWeights: Readonly<Record<string, number>>;
  /** Version id → share, in percent. */
  readonly newWeights: Readonly<Record<string, number>>;
  readonly reason: string;
}

/** A rollout has begun. */
export interface RolloutStarted {
  /** The deployment's name. */
  readonly deployment: string;
  readonly rolloutId: string;
  readonly candidateVersionId: string;
  readonly baselineVersionId: string;
  /** How many there are. */
  readonly steps: number;
}

/** A rollout waits for a person, or has come to an end. */
export interface RolloutDecided {
  /** The deployment's name. */
  readonly deployment: string;
  readonly rolloutId: string;
  readonly candidateVersionId: string;
  readonly baselineVersionId: string;
  readonly reason: string;
}

/** All requests go to an earlier version again. */
export interface DeploymentRolledBack {
  /** The deployment's name. */
  readonly deployment: string;
  /** The rollout that was turned back, if it was one. */
  readonly rolloutId?: string;
  /** What is left. */
  readonly candidateVersionId: string;
  /** What answers now. */
  readonly baselineVersionId: string;
  readonly reason: string;
  /** The watch of the version that answers now, where it was watched. */
  readonly rollbackId?: string;
}

/** All requests go to an earlier version again, which is watched. */
export interface DeploymentRollingBack extends DeploymentRolledBack {
  readonly deploymentId: string;
  /** Why callers of the version that is left may be refused. */
  readonly signatureBreaks?: readonly string[];
}

/** A rollout has gone to its next step. */
export interface RolloutAdvanced extends RolloutDecided {
  /** From 0. */
  readonly stepIndex: number;
}

/** Callers whom the version that was gone back to refuses, by what they sent within an hour before. */
export interface CallersRefused {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  /** Of the watch. */
  readonly rollbackId: string;
  /** What answers now. */
  readonly versionId: string;
  /** Requests that were looked at. */
  readonly requests: number;
  readonly refused: number;
  /** The sticky keys of their requests; 100 at most. */
  readonly callers: readonly string[];
  /** Refused requests that came without a key. */
  readonly unnamed: number;
  readonly reasons: readonly string[];
}

/** A promotion to Production that a deployment followed came to nothing there. */
export interface PromotionTurnedBack {
  /** The deployment's name. */
  readonly deployment: string;
  readonly deploymentId: string;
  /** Left out where none could be started. */
  readonly rolloutId?: string;
  /** Of the promotion. */
  readonly transitionId: string;
  readonly versionId: string;
  /** What is in production again. */
  readonly reinstatedVersionId?: string;
  /** Why the version stays in production, or nothing took its place. */
  readonly problem?: string;
  readonly reason: string;
}

/** A deployment has more replicas, or fewer. */
export interface ScalingDecided {
  /** The deployment's name. */
  readonly deployment: string;
  readonly oldReplicas: number;
  readonly newReplicas: number;
  readonly reason: string;
}

/** Requests are dealt out among versions, to find the best. */
export interface AbTestStarted {
  /** The deployment's name. */
  readonly deployment: string;
  readonly testId: string;
  /** Arm → version id. */
  readonly arms: Readonly<Record<string, string>>;
  readonly reason: string;
}

/** An A/B test has ended: by a decision, or broken off. */
export interface AbTestDecided {
  /** The deployment's name. */
  readonly deployment: string;
  readonly testId: string;
  readonly decision: string;
  /** The better one, where the decision names one. */
  readonly winnerVersionId?: string;
  readonly figures: Readonly<Record<string, number>>;
  readonly reason?: string;
}

/** The events of deployments. */
export interface DeploymentEventPayloads {
  readonly 'deployment.started': DeploymentStarted;
  readonly 'deployment.healthy': DeploymentHealthy;
  readonly 'deployment.degraded': DeploymentChanged;
  readonly 'deployment.recovered': DeploymentChanged;
  readonly 'deployment.failed': DeploymentFailed;
  readonly 'deployment.configured': DeploymentConfigured;
  readonly 'deployment.stopped': DeploymentChanged;
  readonly 'deployment.removed': DeploymentChanged;
  readonly 'deployment.version_released': VersionReleased;
  readonly 'deployment.rolling_back': DeploymentRollingBack;
  readonly 'deployment.rolled_back': DeploymentRolledBack;
  readonly 'traffic.shifted': TrafficShifted;
  readonly 'rollout.started': RolloutStarted;
  readonly 'rollout.paused': RolloutDecided;
  readonly 'rollout.resumed': RolloutDecided;
  readonly 'rollout.failed': RolloutDecided;
  readonly 'rollout.advanced': RolloutAdvanced;
  readonly 'rollout.completed': RolloutDecided;
  readonly 'deployment.callers_refused': CallersRefused;
  readonly 'deployment.promotion_turned_back': PromotionTurnedBack;
  readonly 'scaling.decided': ScalingDecided;
  readonly 'abtest.started': AbTestStarted;
  readonly 'abtest.decided': AbTestDecided;
}

const ofDeployment = { source: 'deployments', subject: 'deployment:{deployment}' } as const;
const deployment = 'fraud-api';
const deploymentId = '0198c0de-0000-7000-8000-000000000030';
const versionId = '0198c0de-0000-7000-8000-000000000011';
const former = '0198c0de-0000-7000-8000-000000000012';
const rollout = {
  deployment,
  rolloutId: '0198c0de-0000-7000-8000-000000000031',
  candidateVersionId: versionId,
  baselineVersionId: former,
};
const rolloutFields = {
  deployment: text,
  rolloutId: text,
  candidateVersionId: text,
  baselineVersionId: text,
};
const decidedFields = { ...rolloutFields, reason: z.string() };
const rolledBackFields = {
  ...decidedFields,
  rolloutId: text.optional(),
  rollbackId: text.optional(),
};
const changedFields = { deployment: text, deploymentId: text, reason: z.string() };

/** The definitions of the events of deployments. */
export const deploymentEvents: {
  readonly [T in keyof DeploymentEventPayloads]: EventDefinition<DeploymentEventPayloads[T]>;
} = {
  'deployment.started': defineEvent<DeploymentStarted>({
    ...ofDeployment,
    meaning: 'A deployment was made, or answers again after it was stopped.',
    alias: 'model.deployed',
    fields: {
      deployment: text,
      deploymentId: text,
      versionId: text,
      model: text.optional(),
      version: text.optional(),
    },
    example: { deployment, deploymentId, versionId, model: 'fraud', version: '1.2.0' },
  }),
  'deployment.healthy': defineEvent<DeploymentHealthy>({
    ...ofDeployment,
    meaning: 'A deployment answers for the first time; monitoring waits for it.',
    fields: { deployment: text, deploymentId: text, versionId: text, replicas: count },
    example: { deployment, deploymentId, versionId, replicas: 2 },
  }),
  'deployment.degraded': defineEvent<DeploymentChanged>({
    ...ofDeployment,
    meaning: 'A deployment answers worse than it should.',
    fields: changedFields,
    example: { deployment, deploymentId, reason: '1 of 2 replicas is not ready' },
  }),
  'deployment.recovered': defineEvent<DeploymentChanged>({
    ...ofDeployment,
    meaning: 'A deployment answers again as it should.',
    fields: changedFields,
    example: { deployment, deploymentId, reason: '2 of 2 replicas are ready' },
  }),
  'deployment.failed': defineEvent<DeploymentFailed>({
    ...ofDeployment,
    meaning:
      'A deployment does not answer: its version cannot be loaded, or none of its replicas lives.',
    fields: {
      deployment: text,
      deploymentId: text,
      versionId: text,
      error: text,
      rollbackVersion: text.optional(),
    },
    example: {
      deployment,
      deploymentId,
      versionId,
      error: 'the model could not be loaded: weights.json is missing',
      rollbackVersion: former,
    },
  }),
  'deployment.configured': defineEvent<DeploymentConfigured>({
    ...ofDeployment,
    meaning: 'A deployment is run in another way from now on.',
    fields: {
      deployment: text,
      deploymentId: text,
      revision: count,
      changed: texts,
      reason: z.string(),
    },
    example: {
      deployment,
      deploymentId,
      revision: 4,
      changed: ['serving'],
      reason: 'more traffic',
    },
  }),
  'deployment.stopped': defineEvent<DeploymentChanged>({
    ...ofDeployment,
    meaning: 'A deployment answers nothing until it is started again.',
    fields: changedFields,
    example: { deployment, deploymentId, reason: 'nobody asks any more' },
  }),
  'deployment.removed': defineEvent<DeploymentChanged>({
    ...ofDeployment,
    meaning: 'A deployment is being removed; what it has done stays in history and audit.',
    fields: changedFields,
    example: { deployment, deploymentId, reason: 'replaced by fraud-api-2' },
  }),
  'deployment.version_released': defineEvent<VersionReleased>({
    ...ofDeployment,
    meaning: 'A version that answers no longer is not kept loaded any more.',
    fields: { deployment: text, deploymentId: text, versionId: text },
    example: { deployment, deploymentId, versionId: former },
  }),
  'deployment.rolling_back': defineEvent<DeploymentRollingBack>({
    ...ofDeployment,
    meaning: 'All requests go to an earlier version again, which is watched from now on.',
    fields: { ...rolledBackFields, deploymentId: text, signatureBreaks: texts.optional() },
    example: { ...rollout, deploymentId, reason: 'failed: error-rate' },
  }),
  'deployment.rolled_back': defineEvent<DeploymentRolledBack>({
    ...ofDeployment,
    meaning: 'All requests go to an earlier version again, and it has stood its watch.',
    alias: 'deployment.rollback',
    fields: rolledBackFields,
    example: { ...rollout, reason: 'more errors than before' },
  }),
  'traffic.shifted': defineEvent<TrafficShifted>({
    ...ofDeployment,
    meaning: 'Requests go to other versions, or in other shares.',
    fields: { deployment: text, oldWeights: figures, newWeights: figures, reason: z.string() },
    example: {
      deployment,
      oldWeights: { [former]: 100 },
      newWeights: { [former]: 90, [versionId]: 10 },
      reason: 'new version',
    },
  }),
  'rollout.started': defineEvent<RolloutStarted>({
    ...ofDeployment,
    meaning: 'A rollout has begun.',
    fields: { ...rolloutFields, steps: count },
    example: { ...rollout, steps: 3 },
  }),
  'rollout.paused': defineEvent<RolloutDecided>({
    ...ofDeployment,
    meaning: 'A rollout waits for a person.',
    fields: decidedFields,
    example: { ...rollout, reason: 'the gates could not tell within the longest time of the step' },
  }),
  'rollout.resumed': defineEvent<RolloutDecided>({
    ...ofDeployment,
    meaning: 'A person lets a rollout go on.',
    fields: decidedFields,
    example: { ...rollout, reason: 'the errors were of another service' },
  }),
  'rollout.failed': defineEvent<RolloutDecided>({
    ...ofDeployment,
    meaning: 'A rollout could not go on in its time, and is turned back.',
    fields: decidedFields,
    example: { ...rollout, reason: 'inconclusive in its time: accuracy' },
  }),
  'rollout.advanced': defineEvent<RolloutAdvanced>({
    ...ofDeployment,
    meaning: 'A rollout has gone to its next step.',
    fields: { ...decidedFields, stepIndex: count },
    example: { ...rollout, reason: 'every gate has passed', stepIndex: 1 },
  }),
  'rollout.completed': defineEvent<RolloutDecided>({
    ...ofDeployment,
    meaning: 'A rollout has ended: all requests go to the new version.',
    fields: decidedFields,
    example: { ...rollout, reason: 'every gate has passed' },
  }),
  'deployment.callers_refused': defineEvent<CallersRefused>({
    ...ofDeployment,
    meaning:
      'Callers send what the version refuses that was gone back to; they are known by their sticky keys.',
    fields: {
      ...{ deployment: text, deploymentId: text, rollbackId: text, versionId: text },
      ...{ requests: count, refused: count, callers: texts, unnamed: count, reasons: texts },
    },
    example: {
      ...{ deployment, deploymentId, versionId: former, requests: 5000, refused: 12 },
      rollbackId: '0198c0de-0000-7000-8000-000000000033',
      ...{
        callers: ['shop-7'],
        unnamed: 0,
        reasons: ['it sends age, which the version does not take'],
      },
    },
  }),
  'deployment.promotion_turned_back': defineEvent<PromotionTurnedBack>({
    ...ofDeployment,
    meaning:
      'A promotion to Production came to nothing in a deployment that follows them; the registry goes back, unless something newer was promoted.',
    fields: {
      ...{ deployment: text, deploymentId: text, rolloutId: text.optional() },
      ...{ transitionId: text, versionId: text, reinstatedVersionId: text.optional() },
      problem: text.optional(),
      reason: z.string(),
    },
    example: {
      ...{ deployment, deploymentId, rolloutId: rollout.rolloutId, versionId },
      transitionId: '0198c0de-0000-7000-8000-000000000014',
      reinstatedVersionId: former,
      reason: 'failed: error-rate',
    },
  }),
  'scaling.decided': defineEvent<ScalingDecided>({
    ...ofDeployment,
    meaning: 'A deployment gets more replicas, or fewer.',
    fields: { deployment: text, oldReplicas: count, newReplicas: count, reason: z.string() },
    example: { deployment, oldReplicas: 2, newReplicas: 4, reason: '40 requests wait' },
  }),
  'abtest.started': defineEvent<AbTestStarted>({
    ...ofDeployment,
    meaning: 'Requests are dealt out among versions, to find the best.',
    fields: {
      deployment: text,
      testId: text,
      arms: z.record(z.string(), text),
      reason: z.string(),
    },
    example: {
      deployment,
      testId: '0198c0de-0000-7000-8000-000000000032',
      arms: { A: former, B: versionId },
      reason: 'does the new one sell more?',
    },
  }),
  'abtest.decided': defineEvent<AbTestDecided>({
    ...ofDeployment,
    meaning: 'An A/B test has ended: by a decision, or broken off.',
    fields: {
      deployment: text,
      testId: text,
      decision: text,
      winnerVersionId: text.optional(),
      figures: z.record(z.string(), figure),
      reason: z.string().optional(),
    },
    example: {
      deployment,
      testId: '0198c0de-0000-7000-8000-000000000032',
      decision: 'WINNER',
      winnerVersionId: versionId,
      figures: { difference: 0.012, eValue: 41.5 },
    },
  }),
};
