import type { MonitorRule } from '../../src/monitoring/rule.ts';
import type { Services } from '../../src/open-platform.ts';
import { defineSaga } from '../../src/operations/saga.ts';
import { definePipeline } from '../../src/pipelines/define-pipeline.ts';
import { RuleRuntime, ruleSignature } from '../rule-runtime.ts';

/** Stands in everything that the world keeps, and in nothing that names it. */
export const secret = 'TOP-SECRET';

/** How things of the world are named from outside: no secret is in it. */
export interface WorldNames {
  readonly workspace: string;
  readonly experiment: string;
  readonly experimentId: string;
  readonly runIds: readonly [string, string];
  readonly artifact: string;
  readonly sha256: string;
  readonly model: string;
  readonly version: string;
  readonly versionId: string;
  readonly secondVersionId: string;
  readonly transitionId: string;
  readonly ruleVersionId: string;
  readonly reportId: string;
  readonly pipeline: string;
  readonly executionId: string;
  readonly deployment: string;
  readonly deploymentId: string;
  readonly rolloutId: string;
  readonly alertId: string;
  readonly silenceId: string;
  readonly requestId: string;
  readonly eventId: string;
  readonly correlationId: string;
  readonly subscription: string;
  readonly grantId: string;
  readonly incidentId: string;
  readonly keyId: string;
  readonly sagaId: string;
  readonly experimentsCursor: string;
  readonly runsCursor: string;
  readonly artifactsCursor: string;
  readonly executionsCursor: string;
}

export const secretPipeline = definePipeline('w-pipeline', { version: '1.0.0' }, (p) =>
  p.step('only', {}, () => ({ answer: secret })),
);

export const secretSaga = defineSaga<string>('w-saga', [
  { name: 'only', run: async ({ input }) => ({ result: input }) },
]);

const rule: MonitorRule = {
  name: 'accuracy',
  rule: 'accuracy',
  alpha: 0.01,
  tolerance: 0.02,
  minimumTrials: 20,
  severity: 'CRITICAL',
};
const begin = Date.UTC(2026, 0, 1);
const hourMs = 3_600_000;

/** Something of every sort that the services keep, with secrets in it. */
export async function fillSecretWorld(services: Services): Promise<WorldNames> {
  const { tracking, registry, pipelines, deployments, monitoring, events, operations } = services;
  const experiment = await tracking.createExperiment({
    name: 'w-experiment',
    description: secret,
    tags: { note: secret },
  });
  await tracking.createExperiment({ name: 'w-other', description: secret });
  await tracking.defineMetric({ name: 'w-loss', description: secret });
  const runIds: string[] = [];
  for (const name of ['one', 'two']) {
    await tracking.withRun(
      { experiment: experiment.name, name: `${secret} ${name}`, environment: false },
      async (run) => {
        runIds.push(run.id);
        run.logMetric('w-loss', 0.5);
        await run.logParam('note', secret);
        await run.setTags({ note: secret });
        await run.logText('w/model.txt', `${secret} ${name}`, { metadata: { note: secret } });
        await run.logText('w/other.txt', secret);
        await run.logDataset({ name: secret, digest: '1', role: 'train' });
      },
    );
  }
  const [first = '', second = ''] = runIds;
  const artifact = await tracking.getArtifact(first, 'w/model.txt');
  const versions = [];
  for (const id of runIds) {
    const from = { runId: id, path: 'w/model.txt' };
    const options = { model: 'w-model', from, format: 'CUSTOM', description: secret } as const;
    versions.push(await registry.register({ ...options, tags: { note: secret } }));
  }
  const [one, two] = versions;
  if (one === undefined || two === undefined) throw new Error('There are two versions.');
  await registry.setCard(one.id, { team: secret, custom: { note: secret } });
  await registry.setPolicy('w-model', {
    transitions: [
      { from: 'DEVELOPMENT', to: 'STAGING', checks: [], approvals: 1, approverRoles: [] },
    ],
    singleProduction: true,
    selfApproval: false,
  });
  const transition = await registry.requestTransition({
    model: 'w-model',
    version: one.version,
    to: 'STAGING',
    reason: secret,
  });
  const ruled = await registry.register({
    model: 'w-rule',
    from: { files: { 'model.json': Buffer.from(JSON.stringify({ a: 1, note: secret })) } },
    format: 'CUSTOM',
    signature: ruleSignature,
  });
  const suite = {
    name: 'w-suite',
    description: secret,
    tests: [
      {
        test: 'golden',
        name: secret,
        cases: [{ inputs: { a: 1, b: 1 }, expected: { label: secret } }],
      },
    ],
  } as const;
  await registry.setValidationSuite('w-model', suite);
  await registry.setValidationSuite('w-rule', suite);
  const runtime = new RuleRuntime();
  const report = await registry.validate(ruled.id, 'w-suite', { runtime });
  const execution = await pipelines.start(secretPipeline, {}, { tags: { note: secret } });
  await pipelines.wait(execution);
  await pipelines.wait(await pipelines.start(secretPipeline));
  const deployment = await deployments.create({
    name: 'w-deployment',
    versionId: one.id,
    environment: 'STAGING',
  });
  const rollout = await deployments.startRollout({
    deployment: deployment.name,
    versionId: two.id,
    steps: [{ weightPercent: 100, shadow: false, gates: [], minDurationMs: 1e12 }],
    reason: secret,
  });
  await monitoring.watchLabels({
    deployment,
    versionId: one.id,
    rules: [rule],
    reference: Array.from({ length: 100 }, () => ({
      features: { note: secret },
      prediction: 'a',
      label: 'a',
    })),
    at: begin,
  });
  await monitoring.setBaseline({
    ...{ deployment, versionId: one.id, prediction: 'answer', reason: secret },
    reference: Array.from({ length: 100 }, () => ({ note: secret, answer: secret })),
  });
  await monitoring.responses.put(deployment.name, {
    rules: [{ name: 'tell', when: 'true', do: [{ action: 'notify', text: secret }] }],
  });
  const watching = { name: 'w-rule', figure: 'error_rate', above: 0.5, description: secret };
  await monitoring.alertRules.put(watching, { reason: secret });
  await monitoring.alertRoutes.put({ name: 'w-route', match: { team: secret } });
  const match = { team: secret };
  const silence = await monitoring.silence({ match, reason: secret, forMs: 3_600_000 });
  for (let i = 0; i < 60; i += 1) {
    monitoring.predictions.record({
      deploymentId: deployment.id,
      versionId: one.id,
      requestId: `w-${i}`,
      role: 'primary',
      at: begin + i,
      features: { note: secret },
      prediction: secret,
      latencyMs: 1,
    });
  }
  const labels = Array.from({ length: 60 }, (_, i) => ({
    requestId: `w-${i}`,
    value: `not ${secret}`,
    observedAt: begin + i + 1,
  }));
  await monitoring.logLabels(deployment.id, labels);
  await monitoring.evaluate(deployment.id, { at: begin + hourMs });
  const [alert] = await monitoring.listAlerts(deployment.id);
  const eventId = await events.publish({
    type: 'invoice.sent',
    subject: 'w-invoice',
    payload: { note: secret },
  });
  const subscription = await events.subscribe(
    'w-subscription',
    { types: ['invoice.sent'], from: 'start', maxAttempts: 1 },
    () => {
      throw new Error(secret);
    },
  );
  await events.deliver();
  await subscription.unsubscribe();
  const { access } = operations;
  const grant = await access.grant({ principal: 'user:w', role: 'viewer', reason: secret });
  const { key } = await access.createApiKey({ name: secret, scopes: ['*'] });
  const [event] = await Array.fromAsync(events.each({ ids: [eventId] }));
  const next = async (page: Promise<{ readonly cursor?: string }>): Promise<string> =>
    (await page).cursor ?? never('a second page');
  operations.sagas.add(secretSaga);
  const { id: sagaId } = await operations.sagas.start(secretSaga, secret);
  await operations.sagas.wait(sagaId);
  const incident = await operations.incidents.open({ title: secret });
  return {
    workspace: services.workspace,
    experiment: experiment.name,
    experimentId: experiment.id,
    runIds: [first, second],
    artifact: artifact.path,
    sha256: artifact.sha256,
    model: 'w-model',
    version: one.version,
    versionId: one.id,
    secondVersionId: two.id,
    transitionId: transition.id,
    ruleVersionId: ruled.id,
    reportId: report.id,
    pipeline: 'w-pipeline',
    executionId: execution.id,
    deployment: deployment.name,
    deploymentId: deployment.id,
    rolloutId: rollout.id,
    silenceId: silence.id,
    alertId: alert?.id ?? never('an alert'),
    requestId: 'w-1',
    eventId,
    correlationId: event?.correlationId ?? never('the event'),
    subscription: 'w-subscription',
    grantId: grant.id,
    incidentId: incident.id,
    keyId: key.id,
    sagaId,
    experimentsCursor: await next(tracking.listExperiments({ limit: 1 })),
    runsCursor: await next(tracking.searchRuns({ limit: 1 })),
    artifactsCursor: await next(tracking.listArtifacts(first, { limit: 1 })),
    executionsCursor: await next(pipelines.list({ limit: 1 })),
  };
}

function never(what: string): never {
  throw new Error(`The world has no ${what}.`);
}
