export type { Freeze, FrozenAct } from '../operations/freezes.ts';
export type {
  AbTest,
  AbTestArm,
  AbTestGuardrail,
  AbTestMetric,
  AbTestOutcome,
  StartAbTest,
} from './ab-test.ts';
export type { AbTestReport, ArmFigures, MetricReport } from './ab-test-report.ts';
export type { AbTests } from './ab-tests.ts';
export type {
  Deployment,
  DeploymentStatus,
  Environment,
  WarmVersion,
} from './deployment.ts';
export type { DeploymentChanges } from './deployment-changes.ts';
export type {
  DeploymentChange,
  DeploymentConfig,
  DeploymentResources,
  HealthCheckConfig,
  TrafficConfig,
} from './deployment-config.ts';
export type { CreateDeployment } from './deployment-creation.ts';
export type { DeploymentHealth, ScalingReport, VersionHealth } from './deployment-health.ts';
export type { DeploymentFilter, DeploymentPage } from './deployment-lists.ts';
export type { Deployments } from './deployments.ts';
export type { FigureQuery } from './figures.ts';
export {
  decideGate,
  type FigureBounds,
  type FrozenLatency,
  type Gate,
  type GateVerdict,
} from './gate.ts';
export type { MonitorWindow } from './monitor-window.ts';
export type { FollowedPromotions, PromotionPolicy } from './promotion-policy.ts';
export type {
  DeploymentState,
  Revision,
  RevisionStatus,
  Strategy,
} from './revision.ts';
export type { RevisionFilter, Revisions } from './revisions.ts';
export type { Risk, RiskReason, StrategySuggestion } from './risk.ts';
export type { DeploymentRollback, RollbackDeployment } from './rollbacks.ts';
export type {
  OnInconclusive,
  Rollout,
  RolloutDecision,
  RolloutPromotion,
  RolloutStatus,
  RolloutStep,
} from './rollout.ts';
export type { DeployVersion, StartRollout } from './rollout-start.ts';
export type { Rollouts } from './rollouts.ts';
export type {
  AccuracyPolicy,
  CanaryStep,
  ErrorPolicy,
  LatencyPolicy,
  MetricPolicy,
  RolloutPolicy,
} from './strategy-policy.ts';
