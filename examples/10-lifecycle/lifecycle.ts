import {
  type Deployment,
  defaultStagePolicy,
  type Gate,
  type KnownRow,
  type ModelVersion,
  type MonitorRule,
  type Platform,
  type RolloutStep,
} from '@keelson/core';
import { serve } from '@keelson/serve';
import { weatherSignature } from '../weather/model-package.ts';
import { classes, type Day, featureNames, featuresOf } from '../weather/weather-data.ts';
import { type LabelMode, labelledDays } from './labels.ts';
import { labelsComeAfterMs, trainPipeline } from './train-pipeline.ts';

const dayMs = 86_400_000;
const replayBegins = Date.parse('2013-01-01');

/** A time that the replay sets. */
export class ReplayClock {
  #now = replayBegins;

  now(): number {
    return this.#now;
  }

  set(at: number): void {
    this.#now = at;
  }
}

/** What a lifecycle is run with. */
export interface LifecycleOptions {
  readonly seed: number;
  readonly labels: LabelMode;
  /** How retrained candidates grow; a crippled one is worse, and must be found out. */
  readonly retraining: 'sound' | 'crippled';
  /** The time of the replay; the platform goes by it. */
  readonly clock: ReplayClock;
  /** Tells of progress; `share` is how much of the replay is done. */
  readonly onProgress: (message: string, share?: number) => void;
}

/** A training, as the pipeline's last step tells of it. */
interface Trained {
  readonly modelRunId: string;
  readonly digest: string;
  readonly accuracy: number;
  readonly metrics: { readonly accuracy: number };
  readonly days: number;
  readonly reference: { json<T>(): Promise<T> };
}

const weekMs = 7 * dayMs;
/** A week after the last day, when its label has come. */
export const replayEnds: number = Date.parse('2016-01-01') + 2 * weekMs;

const name = 'weather';
const quarter = [
  { feature: 'season_cos', edges: [0] },
  { feature: 'season_sin', edges: [0] },
];

/** Together they raise a false alarm with a chance of at most 5 %, over the whole replay. */
export const rules: readonly MonitorRule[] = [
  {
    name: 'labels given the input',
    rule: 'label-distribution',
    strata: [{ feature: 'precipitation', edges: [0.05] }, ...quarter],
    alpha: 0.02,
    tolerance: 0.02,
    minimumTrials: 30,
    severity: 'WARNING',
  },
  {
    name: 'rates of the classes',
    rule: 'label-distribution',
    strata: quarter,
    alpha: 0.02,
    tolerance: 0.02,
    minimumTrials: 30,
    severity: 'WARNING',
  },
  {
    name: 'accuracy',
    rule: 'accuracy',
    alpha: 0.01,
    tolerance: 0.05,
    minimumTrials: 30,
    severity: 'CRITICAL',
  },
];

const paired = (needs: 'better' | 'no-worse', margin: number): Gate => ({
  gate: 'paired-accuracy',
  needs,
  margin,
  alpha: 0.05,
  minimumItems: 28,
});

const errors: Gate = {
  gate: 'error-rate',
  alpha: 0.05,
  worse: { ratio: 1, margin: 0.01 },
  noWorse: { ratio: 1, margin: 0.5 },
  minimumCanaryRequests: 5,
};

/** Every label scores both versions throughout: the candidate shadows what it does not answer. */
const shadowStep: RolloutStep = {
  weightPercent: 0,
  shadow: true,
  gates: [paired('no-worse', 0.05)],
  minDurationMs: 8 * weekMs,
  maxDurationMs: 40 * weekMs,
};
const canaryStep = (weightPercent: number): RolloutStep => ({
  weightPercent,
  shadow: true,
  gates: [paired('no-worse', 0.05), errors],
  minDurationMs: 4 * weekMs,
  maxDurationMs: 26 * weekMs,
});
const lastStep: RolloutStep = {
  weightPercent: 100,
  shadow: true,
  gates: [],
  minDurationMs: weekMs,
};
const steps: readonly RolloutStep[] = [shadowStep, canaryStep(25), canaryStep(50), lastStep];
/** Straight to a canary: what a crippled candidate is caught by. */
const canaryOnly: readonly RolloutStep[] = [canaryStep(25), canaryStep(50), lastStep];

/**
 * The whole lifecycle on Seattle's weather: train on 2012, register, check, approve, promote, deploy,
 * serve; replay 2013–2015 a week at a time with labels a week late; watch; on an alert retrain, shadow,
 * canary, and promote or roll back. Killed at any moment and run again, it goes on where it was: each
 * step is idempotent under a key of its own, and the monitor's last analysis says which weeks are done.
 */
export async function runLifecycle(platform: Platform, options: LifecycleOptions): Promise<void> {
  platform.pipelines.add(trainPipeline);
  const { onProgress } = options;
  const deployment = await ensureDeployment(platform, options);
  await answerAlerts(platform, options);
  const telling = new AbortController();
  const told = tellResponses(platform, options, telling.signal);
  const server = await serve(platform, { deployments: [name], replicas: 1 });
  try {
    onProgress(`Serving ${name} at ${server.url}/v2/models/${name}`);
    const days = labelledDays(options.labels, options.seed).filter((day) => day.year >= 2013);
    const monitor = await platform.monitoring.getMonitor(deployment.id);
    // What a killed process may have left undone in the last week that was analysed.
    await react(platform, monitor.evaluatedAt, options);
    for (let end = monitor.evaluatedAt + weekMs; end <= replayEnds; end += weekMs) {
      await server.refresh();
      const week = days.filter((day) => noon(day) >= end - weekMs && noon(day) < end);
      for (const day of week) await ask(server.url, day);
      await server.settled();
      await tellLabels(platform, deployment, days, end);
      options.clock.set(end);
      await platform.monitoring.evaluate(deployment.id, { at: end });
      await react(platform, end, options);
      const share = (end - replayBegins) / (replayEnds - replayBegins);
      onProgress(`Replayed to ${isoDate(end)}`, share);
    }
  } finally {
    await server.close();
    telling.abort();
    await told;
  }
}

/** Trains on 2012 and brings the version into production, as far as that is not done yet. */
async function ensureDeployment(
  platform: Platform,
  options: LifecycleOptions,
): Promise<Deployment> {
  const { onProgress } = options;
  onProgress('Training on 2012: load → validate → split → train → evaluate');
  const trained = await train(platform, 'initial', {
    from: Date.parse('2011-12-31') + labelsComeAfterMs,
    to: Date.parse('2012-12-31') + labelsComeAfterMs,
    seed: options.seed,
    labels: options.labels,
    growth: 'sound',
  });
  const version = await registerTrained(platform, trained);
  onProgress(
    `Registered ${name} ${version.version}: accuracy ${trained.accuracy.toFixed(3)} in cross-validation over ${trained.days} days`,
  );
  await promote(platform, version, 'the first version');
  const deployment = await platform.deployments.create({
    name,
    versionId: version.id,
    environment: 'PRODUCTION',
    // Hashing by names that every run of this job shares: the same seed takes the same routes.
    sticky: { header: 'x-request-key', salt: 'weather' },
    ifExists: 'reuse',
  });
  await platform.monitoring.watchLabels({
    deployment,
    versionId: version.id,
    rules,
    reference: await trained.reference.json<readonly KnownRow[]>(),
    at: replayBegins,
  });
  return deployment;
}

type TrainParameters = {
  readonly from: number;
  readonly to: number;
  readonly seed: number;
  readonly labels: LabelMode;
  readonly growth: 'sound' | 'crippled';
};

async function train(
  platform: Platform,
  idempotencyKey: string,
  parameters: TrainParameters,
): Promise<Trained & { readonly executionId: string }> {
  const execution = await platform.pipelines.start(trainPipeline, parameters, { idempotencyKey });
  const done = await platform.pipelines.wait(execution);
  if (done.status !== 'COMPLETED') {
    throw new Error(
      `Training ${execution.id} ended ${done.status}: ${done.failure?.message ?? ''}`,
    );
  }
  return { ...(done.output as Trained), executionId: execution.id };
}

function registerTrained(
  platform: Platform,
  trained: Trained & { readonly executionId: string },
): Promise<ModelVersion> {
  return platform.registry.register({
    model: name,
    from: { runId: trained.modelRunId, path: 'model' },
    format: 'JS',
    signature: weatherSignature(featureNames, classes),
    metrics: trained.metrics,
    bump: 'minor',
    lineage: { pipelineExecutionId: trained.executionId },
  });
}

/** Development → Staging by checks, Staging → Production by an approval of another person. */
async function promote(platform: Platform, version: ModelVersion, reason: string): Promise<void> {
  await toStaging(platform, version, reason);
  const request = await platform.registry.requestTransition({
    model: name,
    version: version.version,
    to: 'PRODUCTION',
    reason,
    requestKey: `${version.id}:PRODUCTION`,
  });
  if (request.status === 'PENDING') {
    const ana = platform.as({ principal: { id: 'user:ana', roles: ['approver'] } });
    await ana.registry.approve(request.id, { comment: 'The evidence is in the record.' });
  } else if (request.status !== 'DONE') {
    const failed = request.checks.filter((check) => !check.passed);
    throw new Error(`${version.version} may not go to production: ${JSON.stringify(failed)}`);
  }
}

async function toStaging(platform: Platform, version: ModelVersion, reason: string): Promise<void> {
  await platform.registry.requestTransition({
    model: name,
    version: version.version,
    to: 'STAGING',
    reason,
    requestKey: `${version.id}:STAGING`,
  });
}

/**
 * The policy: an alert is answered by a retraining on the last 365 days whose labels are known; what it makes shadows,
 * then has a canary, and the monitor's reference moves with it. From here on nobody's hand is in it.
 */
async function answerAlerts(platform: Platform, options: LifecycleOptions): Promise<void> {
  const { seed, labels, retraining } = options;
  // The first version was approved by a person; those that answer alerts are let through by checks and gates.
  const transitions = defaultStagePolicy.transitions.map((rule) => ({ ...rule, approvals: 0 }));
  await platform.registry.setPolicy(name, { ...defaultStagePolicy, transitions });
  await platform.monitoring.responses.put(name, {
    retrain: {
      pipeline: trainPipeline.definition.name,
      parameters: { seed, labels, growth: retraining },
      recentMs: 365 * dayMs,
      rollout: {
        steps: retraining === 'crippled' ? canaryOnly : steps,
        onInconclusive: 'rollback',
      },
    },
  });
}

/** What follows from the analysis at `at`; whatever of it is done already is not done again. */
async function react(
  platform: Platform,
  at: number,
  { clock, onProgress }: LifecycleOptions,
): Promise<void> {
  clock.set(at);
  const { responses } = platform.monitoring;
  await responses.advance();
  const active = await platform.deployments.activeRollout(name);
  if (active === undefined) return;
  const rollout = await platform.deployments.evaluateRollout(active.id, { at });
  for (const decision of rollout.decisions.slice(active.decisions.length)) {
    onProgress(
      `${isoDate(decision.at)} rollout of ${rollout.candidate}: ${decision.action} (${decision.reason})`,
    );
  }
  await responses.advance();
}

/** Tells of alerts and of what answers them, as it happens. */
async function tellResponses(
  platform: Platform,
  { onProgress }: LifecycleOptions,
  signal: AbortSignal,
): Promise<void> {
  const types = ['alert.triggered', 'response.decided', 'retraining.advanced', 'response.acted'];
  for await (const { type, payload, at } of platform.events.follow({ types }, { signal })) {
    const said = {
      'alert.triggered': `ALERT ${payload['rule']}: ${payload['summary']}`,
      'response.decided': `${payload['matched']} is answered by ${payload['actions']}`,
      'retraining.advanced': `retraining: ${payload['stage']}`,
      'response.acted': `${payload['action']} is ${payload['state']}: ${payload['outcome']}`,
    }[type];
    onProgress(`${isoDate(at)} ${said}`);
  }
}

/** One day as a request by the Open Inference Protocol. */
async function ask(url: string, day: Day): Promise<void> {
  const response = await fetch(`${url}/v2/models/${name}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-key': day.date },
    body: JSON.stringify({
      id: day.date,
      parameters: { at: noon(day) },
      inputs: [
        {
          name: 'features',
          datatype: 'FP64',
          shape: [1, featureNames.length],
          data: featuresOf(day),
        },
      ],
    }),
  });
  if (!response.ok) throw new Error(`${day.date}: ${response.status} ${await response.text()}`);
  await response.arrayBuffer();
}

/** The labels that came in the week before `end`: those of the week before that. */
async function tellLabels(
  platform: Platform,
  deployment: Deployment,
  days: readonly Day[],
  end: number,
): Promise<void> {
  const labels = days
    .map((day) => ({ requestId: day.date, value: day.weather, observedAt: noon(day) + weekMs }))
    .filter(({ observedAt }) => observedAt > end - weekMs && observedAt <= end);
  const { refused } = await platform.monitoring.logLabels(deployment.id, labels);
  if (refused[0] !== undefined) throw new Error(refused[0].message);
}

function noon(day: Day): number {
  return Date.parse(day.date) + dayMs / 2;
}

/** Such as `2013-05-07`. */
export function isoDate(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
