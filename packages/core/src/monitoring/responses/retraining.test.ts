import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { refusal } from '../../../test/registry-world.ts';
import { openResponseWorld, type ResponseWorld } from '../../../test/response-world.ts';
import { definePipeline } from '../../pipelines/define-pipeline.ts';
import { defaultStagePolicy } from '../../registry/stage-policy.ts';

const hourMs = 3_600_000;

describe('a retraining', () => {
  let world: ResponseWorld;
  beforeEach(async () => {
    world = await openResponseWorld();
    const { pipelines, monitoring } = world.platform;
    pipelines.add(train);
    await pipelines.putDefinition(train);
    world.behaves(world.one.id, { features: (i) => ({ x: i % 7 }) });
    await world.traffic(60, hourMs, { labels: true });
    const { deploymentId: id } = world;
    const rows = await monitoring.labelledRows(id, { from: 0, to: world.now() + 1 });
    await monitoring.watchLabels({
      ...{ deployment: { id, name: 'api' }, versionId: world.one.id, reference: rows, rules: [] },
      at: world.now(),
    });
    await monitoring.setBaseline({
      ...{ deployment: { id, name: 'api' }, versionId: world.one.id, prediction: 'answer' },
      reference: rows.map(({ prediction = null, features }) => ({
        ...features,
        answer: prediction,
      })),
    });
    await world.responses.put('api', {
      retrain: { pipeline: 'train', parameters: { text: 'three' }, minimumLabels: 60 },
    });
  });
  afterEach(() => world[Symbol.asyncDispose]());

  const act = async () => {
    const [decision] = await world.responses.decisions('api');
    const found = decision?.acts.find(({ action }) => action === 'retrain');
    if (found === undefined) throw new Error('No retraining was decided.');
    return found;
  };

  /** Up to the version's rollout; each move by another process, as if the one before were killed. */
  async function toRollout(): Promise<string> {
    await world.deliver(await world.alert({ driftKind: 'GRADUAL', features: ['age'] }));
    await (await world.another()).act();
    const { retraining } = await act();
    expect(retraining?.stage).toBe('TRAINING');
    await world.platform.pipelines.wait(retraining?.executionId ?? '');
    await (await world.another()).act();
    const found = (await act()).retraining;
    expect(found).toMatchObject({ stage: 'ROLLING_OUT', waits: expect.stringContaining('step 1') });
    return found?.rolloutId ?? '';
  }

  test('goes from the alert to the baseline under one correlation, with a lineage that names the drift', async () => {
    const { platform, deployments, ana } = world;
    const rolloutId = await toRollout();
    await deployments.promoteRollout(rolloutId, 'a test', { to: 'end' });
    await world.act();
    const waits = await act();
    expect(waits.retraining).toMatchObject({ stage: 'PROMOTING' });
    const versionId = waits.retraining?.versionId ?? '';
    const [pending] = await platform.registry.listTransitions(versionId);
    await ana.registry.approve(pending?.id ?? '');
    await (await world.another()).act();
    const over = await act();
    expect(over).toMatchObject({ state: 'DONE', outcome: expect.stringContaining('answers') });
    const version = await platform.registry.getVersionById(versionId);
    const { pipelineExecutionId, cause } = version.lineage;
    expect(version).toMatchObject({ version: '1.2.0', stage: 'PRODUCTION' });
    expect(pipelineExecutionId).toBe(over.retraining?.executionId);
    expect(cause).toMatchObject({ driftKind: 'GRADUAL', features: ['age'], rule: 'accuracy' });
    const execution = await platform.pipelines.get(pipelineExecutionId ?? '');
    const { from, to } = execution.parameters as Record<string, number>;
    expect((to ?? 0) - (from ?? 0)).toBe(30 * 24 * hourMs);
    expect(execution.parameters).toMatchObject({ search: true, text: 'three' });
    const { versionId: watched } = await platform.monitoring.getMonitor(world.deploymentId);
    expect(watched).toBe(versionId);
    const baseline = await platform.monitoring.getBaseline(world.deploymentId, { versionId });
    expect(baseline.reason).toContain('retrained by');
    expect(baseline.baseline.features.map(({ feature }) => feature)).toEqual(['x']);
    const { correlationId } = over;
    const types = (await Array.fromAsync(platform.events.each({ correlationId }))).map(
      ({ type }) => type,
    );
    expect(types).toEqual(
      expect.arrayContaining([
        ...['alert.triggered', 'response.decided', 'pipeline.completed', 'model.registered'],
        ...['model.promoted', 'rollout.started', 'rollout.completed', 'baseline.updated'],
        'response.acted',
      ]),
    );
    const { sentences } = await world.responses.why(versionId);
    expect(sentences.join(' ')).toMatch(/accuracy fell in age.*GRADUAL.*train 1\.0\.0.*COMPLETED/);
  });

  test('what mends a CRITICAL alert goes through its own freeze, and people wait for the acknowledgement', async () => {
    const { platform, deployments, ana } = world;
    const event = await world.alert({ driftKind: 'GRADUAL', severity: 'CRITICAL' });
    await world.deliver(event);
    await world.act();
    const alertId = String(event.payload['alertId']);
    expect(await deployments.freezes('api')).toMatchObject([{ alertId }]);
    await platform.pipelines.wait((await act()).retraining?.executionId ?? '');
    await (await world.another()).act();
    const { rolloutId = '' } = (await act()).retraining ?? {};
    await deployments.promoteRollout(rolloutId, 'a test', { to: 'end' });
    await (await world.another()).act();
    const { versionId = '', stage } = (await act()).retraining ?? {};
    expect(stage).toBe('PROMOTING');
    const [pending] = await platform.registry.listTransitions(versionId);
    const approve = () => ana.registry.approve(pending?.id ?? '');
    expect((await refusal(approve())).message).toContain(`frozen by alert ${alertId}`);
    await world.responses.unfreeze(alertId, { reason: 'looked at' });
    await approve();
    await (await world.another()).act();
    expect((await act()).state).toBe('DONE');
  });

  test('starts from the parameters of the best version; the next one within a day is LIMITED', async () => {
    await world.deployments.promoteRollout(await toRollout(), 'a test', { to: 'end' });
    const [first] = (await world.platform.registry.listVersions('m')).slice(-1);
    await world.responses.stop((await act()).id, 'enough for the test');
    await world.deliver(await world.alert({ driftKind: 'GRADUAL' }));
    expect((await act()).state).toBe('LIMITED');
    world.wait(24 * hourMs);
    await world.deliver(await world.alert({ driftKind: 'GRADUAL' }));
    await world.act();
    const { retraining } = await act();
    expect(retraining?.baseVersionId).toBe(first?.id);
    const { parameters } = await world.platform.pipelines.get(retraining?.executionId ?? '');
    expect(parameters).toMatchObject({ depth: 7 });
    expect(parameters).not.toHaveProperty('search');
  });

  test('stopped by a person, its pipeline is cancelled, or its rollout aborted, and nothing follows', async () => {
    const rolloutId = await toRollout();
    const stopped = await world.responses.stop((await act()).id, 'not now');
    expect(stopped).toMatchObject({ state: 'STOPPED', outcome: 'not now' });
    expect((await world.deployments.getRollout(rolloutId)).status).toBe('ROLLED_BACK');
    await world.act();
    expect((await act()).state).toBe('STOPPED');
    expect((await refusal(world.responses.stop(stopped.id, 'again'))).code).toBe('CONFLICT');
    world.wait(25 * hourMs);
    await world.deliver(await world.alert({ driftKind: 'GRADUAL' }));
    await world.act();
    const { id, retraining } = await act();
    await world.responses.stop(id, 'not now');
    const { status } = await world.platform.pipelines.get(retraining?.executionId ?? '');
    expect(status).toBe('CANCELLED');
  });

  test('what the gates or the rollout turn back ends FAILED with why, and the old version serves on', async () => {
    const rolloutId = await toRollout();
    await world.deployments.abortRollout(rolloutId, 'errors everywhere');
    await world.act();
    await world.act();
    const over = await act();
    expect(over.state).toBe('FAILED');
    expect(over.outcome).toContain('turned back (errors everywhere); m@1.0.0 answers');
    const { versionId } = await world.platform.monitoring.getMonitor(world.deploymentId);
    expect(versionId).toBe(world.one.id);
    world.wait(25 * hourMs);
    const checks = [{ check: 'own', name: 'never' } as const];
    const transitions = defaultStagePolicy.transitions.map((rule) =>
      rule.to === 'STAGING' ? { ...rule, checks } : rule,
    );
    world.platform.registry.addCheck('never', async () => {
      throw new Error('it never will be');
    });
    await world.platform.registry.setPolicy('m', { ...defaultStagePolicy, transitions });
    await world.responses.put('api', {
      retrain: { pipeline: 'train', parameters: { text: 'four' }, minimumLabels: 0 },
    });
    await world.deliver(await world.alert({ driftKind: 'GRADUAL' }));
    await world.act();
    await world.platform.pipelines.wait((await act()).retraining?.executionId ?? '');
    await (await world.another()).act();
    expect(await act()).toMatchObject({
      ...{ state: 'FAILED', outcome: expect.stringContaining('it never will be') },
    });
  });
});

const train = definePipeline(
  'train',
  {
    version: '1.0.0',
    parameters: {
      type: 'object',
      properties: {
        ...{ from: { type: 'number' }, to: { type: 'number' }, depth: { type: 'integer' } },
        ...{ search: { type: 'boolean' }, text: { type: 'string' } },
      },
      required: ['text'],
    } as const,
  },
  (p) =>
    p.step('fit', {}, async ({ parameters, run }) => {
      const { text, depth = 7 } = parameters as { text: string; depth?: number };
      if (run === undefined) throw new Error('This pipeline needs tracking.');
      await run.logParams({ depth });
      await run.logArtifact('model/model.json', Buffer.from(text));
      return { runId: run.id };
    }),
);
