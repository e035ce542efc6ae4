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
export type { DeploymentHealth, VersionHealth } from './deployment-health.ts';
export type { DeploymentFilter, DeploymentPage } from './deployment-lists.ts';
export type { Deployments } from './deployments.ts';
export { decideGate, type Gate, type GateVerdict } from './gate.ts';
export type {
  DeploymentState,
  Revision,
  RevisionStatus,
  Strategy,
} from './revision.ts';
export type { RevisionFilter, Revisions } from './revisions.ts';
export type {
  Rollout,
  RolloutDecision,
  RolloutStatus,
  RolloutStep,
} from './rollout.ts';
export type { Rollouts, StartRollout } from './rollouts.ts';
