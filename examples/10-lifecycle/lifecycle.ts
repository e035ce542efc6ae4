import {
  type Alert,
  type Deployment,
  type Gate,
  type KnownRow,
  type ModelVersion,
  type MonitorRule,
  type Platform,
  type Rollout,
  type RolloutStep,
  withCorrelation,
} from '@keelson/core';
import { serve } from '@keelson/serve';
import { weatherSignature } from '../weather/model-package.ts';
import { classes, type Day, featureNames, featuresOf } from '../weather/weather-data.ts';
import { type LabelMode, labelledDays } from './labels.ts';
import { trainPipeline } from './train-pipeline.ts';

/** What a lifecycle is run with. */
export interface LifecycleOptions {
  readonly seed: number;
  readonly labels: LabelMode;
  /** How retrained candidates grow; a crippled one is worse, and must be found out. */
  readonly retraining: 'sound' | 'crippled';
  /** Tells of progress; `share` is how much of the replay is done. */
  readonly onProgress: (message: string, share?: number) => void;
}

/** A training, as the pipeline's last step tells of it. */
interface Trained {
  readonly modelRunId: string;
  readonly digest: string;
  readonly accuracy: number;
  readonly days: number;
  readonly reference: { json<T>(): Promise<T> };
}

const dayMs = 86_400_000;
const weekMs = 7 * dayMs;
const replayBegins = Date.parse('2013-01-01');
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
  await subscribeRetraining(platform, deployment, options);
  const server = await serve(platform, { deployments: [name], replicas: 1 });
  try {
    onProgress(`Serving ${name} at ${server.url}/v2/models/${name}`);
    const days = labelledDays(options.labels, options.seed).filter((day) => day.year >= 2013);
    const monitor = await platform.monitoring.getMonitor(deployment.id);
    // What a killed process may have left undone in the last week that was analysed.
    await react(platform, deployment, monitor.evaluatedAt, options);
    for (let end = monitor.evaluatedAt + weekMs; end <= replayEnds; end += weekMs) {
      await server.refresh();
      const week = days.filter((day) => noon(day) >= end - weekMs && noon(day) < end);
      for (const day of week) await ask(server.url, day);
      await server.settled();
      await tellLabels(platform, deployment, days, end);
      await platform.monitoring.evaluate(deployment.id, { at: end });
      await react(platform, deployment, end, options);
      const share = (end - replayBegins) / (replayEnds - replayBegins);
      onProgress(`Replayed to ${isoDate(end)}`, share);
    }
  } finally {
    await server.close();
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
    from: '2012-01-01',
    until: '2012-12-31',
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
  readonly from: string;
  readonly until: string;
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
  alert?: Alert,
): Promise<ModelVersion> {
  return platform.registry.register({
    model: name,
    from: { runId: trained.modelRunId, path: 'model' },
    format: 'JS',
    signature: weatherSignature(featureNames, classes),
    metrics: { accuracy: trained.accuracy },
    bump: 'minor',
    lineage: {
      pipelineExecutionId: trained.executionId,
      ...(alert === undefined ? {} : { cause: { alertId: alert.id, rule: alert.rule } }),
    },
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

/** The policy: an alert starts a retraining on the last 365 days whose labels are known. */
async function subscribeRetraining(
  platform: Platform,
  deployment: Deployment,
  options: LifecycleOptions,
): Promise<void> {
  await platform.events.subscribe(
    'retrain-on-alert',
    { types: ['alert.triggered'], from: 'start' },
    async (event) => {
      if (event.payload['deploymentId'] !== deployment.id) return;
      const alert = await platform.monitoring.getAlert(String(event.payload['alertId']));
      if (await answers(platform, deployment, alert))
        await startRetraining(platform, alert, options);
    },
  );
}

/** Whether it is this alert that a retraining answers: the first that was open at its time. */
async function answers(platform: Platform, deployment: Deployment, alert: Alert): Promise<boolean> {
  const alerts = await platform.monitoring.listAlerts(deployment.id);
  const before = alerts.filter((each) => each.firstAt <= alert.firstAt && each.state === 'FIRING');
  const [first] = before.sort(byTimeThenRule);
  return first === undefined || first.id === alert.id;
}

async function startRetraining(
  platform: Platform,
  alert: Alert,
  options: LifecycleOptions,
): Promise<void> {
  const parameters = retrainingParameters(alert, options);
  await platform.pipelines.start(trainPipeline, parameters, {
    idempotencyKey: alert.id,
    trigger: 'EVENT',
  });
}

function retrainingParameters(alert: Alert, options: LifecycleOptions): TrainParameters {
  const until = alert.firstAt - 8 * dayMs;
  return {
    from: isoDate(until - 364 * dayMs),
    until: isoDate(until),
    seed: options.seed,
    labels: options.labels,
    growth: options.retraining,
  };
}

/** What follows from the analysis at `at`; whatever of it is done already is not done again. */
async function react(
  platform: Platform,
  deployment: Deployment,
  at: number,
  options: LifecycleOptions,
): Promise<void> {
  await platform.events.deliver();
  const active = await platform.deployments.activeRollout(name);
  if (active !== undefined) {
    const rollout = await platform.deployments.evaluateRollout(active.id, { at });
    for (const decision of rollout.decisions.slice(active.decisions.length)) {
      options.onProgress(
        `${isoDate(decision.at)} rollout of ${rollout.candidate}: ${decision.action} (${decision.reason})`,
      );
    }
  }
  await settleRollouts(platform, deployment, options);
  if ((await platform.deployments.activeRollout(name)) !== undefined) return;
  const [alert] = (await platform.monitoring.listAlerts(deployment.id))
    .filter((each) => each.state === 'FIRING')
    .sort(byTimeThenRule);
  if (alert !== undefined) await answer(platform, alert, at, options);
}

/** Retrains, registers, and lets the candidate follow the one in production, all under the alert's id. */
async function answer(
  platform: Platform,
  alert: Alert,
  at: number,
  options: LifecycleOptions,
): Promise<void> {
  const { onProgress } = options;
  await withCorrelation(
    { correlationId: alert.correlationId, causationId: alert.eventId },
    async () => {
      onProgress(`${isoDate(alert.firstAt)} ALERT ${alert.rule}: ${alert.summary}`);
      const trained = await train(platform, alert.id, retrainingParameters(alert, options));
      const version = await registerTrained(platform, trained, alert);
      await toStaging(platform, version, `answers alert ${alert.rule}`);
      await platform.deployments.startRollout({
        deployment: name,
        versionId: version.id,
        steps: options.retraining === 'crippled' ? canaryOnly : steps,
        onInconclusive: 'rollback',
        reason: `alert: ${alert.rule}`,
        requestKey: alert.id,
        at,
      });
      onProgress(`${isoDate(at)} ${name} ${version.version}, retrained, begins its rollout`);
    },
  );
}

/** Promotes what a finished rollout let through, and gives the monitor a new reference either way. */
async function settleRollouts(
  platform: Platform,
  deployment: Deployment,
  options: LifecycleOptions,
): Promise<void> {
  const last = (await platform.deployments.listRollouts(name)).at(-1);
  if (last === undefined || last.status === 'IN_PROGRESS' || last.status === 'PAUSED') return;
  const monitor = await platform.monitoring.getMonitor(deployment.id);
  if (monitor.referenceSetAt >= last.evaluatedAt) return;
  await withCorrelation({ correlationId: last.correlationId }, async () => {
    if (last.status === 'COMPLETED') {
      const version = await platform.registry.getVersionById(last.candidateVersionId);
      await promote(platform, version, `rollout ${last.id} was completed`);
    }
    await rebaseline(platform, deployment, last);
  });
  options.onProgress(
    `${isoDate(last.evaluatedAt)} rollout of ${last.candidate} ended ${last.status}; the monitor has a new reference`,
  );
}

/** The reference is what the last 365 days brought, judged by the version that goes on serving. */
async function rebaseline(
  platform: Platform,
  deployment: Deployment,
  rollout: Rollout,
): Promise<void> {
  const completed = rollout.status === 'COMPLETED';
  const versionId = completed ? rollout.candidateVersionId : rollout.baselineVersionId;
  const at = rollout.evaluatedAt;
  await platform.monitoring.rebaseline({
    deployment,
    versionId,
    at,
    reference: await platform.monitoring.labelledRows(
      deployment.id,
      { from: at - 365 * dayMs, to: at },
      { versionId },
    ),
    reason: `rollout of ${rollout.candidate} ended ${rollout.status}`,
  });
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

// Ids differ from run to run; names do not.
function byTimeThenRule(a: Alert, b: Alert): number {
  return a.firstAt - b.firstAt || (a.rule < b.rule ? -1 : 1);
}
