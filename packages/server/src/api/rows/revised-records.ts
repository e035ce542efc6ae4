import type { ExpectedRevision } from '@keelson/core';
import type { Call } from '../route.ts';
import type { OneVersion } from './model-schemas.ts';

type Of<I> = (call: Pick<Call<I>, 'services' | 'input'>) => Promise<ExpectedRevision>;

/** The record of a deployment, as it is now: what `If-Match` is held against. */
export const ofDeployment: Of<{ readonly deployment: string }> = async ({ services, input }) =>
  recordOf('deployment', await services.deployments.get(input.deployment));

/** That of a rollout. */
export const ofRollout: Of<{ readonly rolloutId: string }> = async ({ services, input }) =>
  recordOf('rollout', await services.deployments.getRollout(input.rolloutId));

/** That of an alert. */
export const ofAlert: Of<{ readonly alertId: string }> = async ({ services, input }) =>
  recordOf('alert', await services.monitoring.getAlert(input.alertId));

/** That of a trigger. NOT_FOUND where there is none. */
export const ofTrigger: Of<{ readonly trigger: string }> = async ({ services, input }) =>
  recordOf('pipeline_trigger', await services.pipelines.triggers.get(input.trigger));

/** That of a model. */
export const ofModel: Of<{ readonly name: string }> = async ({ services, input }) =>
  recordOf('model', await services.registry.getModel(input.name));

/** That of a version. */
export const ofVersion: Of<OneVersion> = async ({ services, input }) =>
  recordOf('model_version', await services.registry.resolve(`${input.name}@${input.version}`));

/** That of a transition between stages. */
export const ofTransition: Of<{ readonly transitionId: string }> = async ({ services, input }) =>
  recordOf('stage_transition', await services.registry.getTransition(input.transitionId));

function recordOf(
  kind: string,
  { id, revision }: { readonly id: string; readonly revision: number },
): ExpectedRevision {
  return { kind, id, revision };
}
