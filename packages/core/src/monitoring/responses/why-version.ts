import type { Deployments } from '../../deployments/deployments.ts';
import { isKeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import type { Pipelines } from '../../pipelines/pipelines-types.ts';
import type { Registry } from '../../registry/registry.ts';
import type { ResponseDecision } from './response-records.ts';

/** Why a version exists. Plain JSON. */
export interface VersionStory {
  /** As `model@version`. */
  readonly version: string;
  readonly stage: string;
  /** What its lineage names as its cause; missing for one that a person made. */
  readonly cause?: JsonObject;
  readonly decision?: ResponseDecision;
  /** The story in sentences, from the drift to now. */
  readonly sentences: readonly string[];
}

/** The story of a version, from what is stored. NOT_FOUND for an id that is none. */
export async function whyVersion(
  versionId: string,
  rooms: {
    readonly registry: Pick<Registry, 'getVersionById'>;
    readonly pipelines: Pick<Pipelines, 'get'>;
    readonly deployments: Pick<Deployments, 'getRollout'>;
    decision(id: string): Promise<ResponseDecision>;
  },
): Promise<VersionStory> {
  const version = await rooms.registry.getVersionById(versionId);
  const { model, version: number, stage, lineage, createdBy, createdAt } = version;
  const name = `${model}@${number}`;
  const { cause, sourceRunId, pipelineExecutionId, datasets = [] } = lineage;
  const decisionId = cause?.['decisionId'];
  const decision =
    typeof decisionId === 'string' ? await ifThere(rooms.decision(decisionId)) : undefined;
  if (cause === undefined || decision === undefined) {
    const by = `${name} was registered by ${createdBy} at ${iso(createdAt)}; no response made it.`;
    return { version: name, stage, ...(cause === undefined ? {} : { cause }), sentences: [by] };
  }
  const { trouble, facts } = decision.inputs;
  const act = decision.acts.find(({ id }) => id === cause['actId']);
  const rolloutId = act?.retraining?.rolloutId;
  const [execution, rollout] = await Promise.all([
    pipelineExecutionId === undefined
      ? undefined
      : ifThere(rooms.pipelines.get(pipelineExecutionId)),
    rolloutId === undefined ? undefined : ifThere(rooms.deployments.getRollout(rolloutId)),
  ]);
  const serving = await ifThere(rooms.registry.getVersionById(facts.servingVersionId));
  const served = serving === undefined ? 'another version' : `${serving.model}@${serving.version}`;
  const features = trouble.features.length === 0 ? '' : ` in ${trouble.features.join(', ')}`;
  const data = datasets.map(({ name: set, digest }) => set ?? digest).join(', ');
  const sentences = [
    `At ${iso(trouble.at)} ${trouble.rule ?? trouble.type} told of ${decision.deployment}, where ${served} served: ${trouble.summary}${features}.`,
    `The row ${decision.matched} of its response policy decided: ${decision.acts.map(({ action, state }) => `${action} (${state})`).join(', ')}.`,
    ...(execution === undefined
      ? []
      : [
          `${execution.pipeline} ${execution.version} (execution ${execution.id}) trained it on ${data || periodOf(execution.parameters)}, in run ${sourceRunId}.`,
        ]),
    ...(rollout === undefined
      ? []
      : [
          `Its rollout took ${rollout.decisions.length} decisions from ${iso(rollout.beganAt)} to ${iso(rollout.evaluatedAt)} and is ${rollout.status}.`,
        ]),
    `${name} is in ${stage}${act?.outcome === undefined ? '' : `: ${act.outcome}`}.`,
    `All of it is correlation ${decision.correlationId}.`,
  ];
  return { version: name, stage, cause, decision, sentences };
}

function periodOf({ from, to }: JsonObject): string {
  if (typeof from !== 'number' || typeof to !== 'number') return 'recent data';
  return `data from ${iso(from)} to ${iso(to)}`;
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

async function ifThere<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isKeelsonError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}
