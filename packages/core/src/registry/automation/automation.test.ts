import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openRegistryWorld, type RegistryWorld, refusal } from '../../../test/registry-world.ts';
import { definePipeline, openPlatform } from '../../index.ts';
import type { Registry } from '../registry.ts';
import { defaultStagePolicy } from '../stage-policy.ts';
import type { AutomationOutcome, NewAutomation } from './automation.ts';

let world: RegistryWorld;
let registry: Registry;
let skewMs: number;

beforeEach(async () => {
  skewMs = 0;
  world = await openRegistryWorld({ clock: { now: () => Date.now() + skewMs } });
  registry = world.platform.registry;
  await world.platform.tracking.createExperiment({ name: 'e' });
});

afterEach(() => world[Symbol.asyncDispose]());

const nightly: NewAutomation = {
  ...{ name: 'nightly', experiment: 'e', model: 'm', path: 'model', format: 'CUSTOM' },
  criteria: [{ metric: 'accuracy', min: 0.9 }],
};

/** A model whose policy asks for no signature on the way to Staging. */
async function easyModel(): Promise<void> {
  const transitions = defaultStagePolicy.transitions.map((rule) =>
    rule.to === 'STAGING' ? { ...rule, checks: [{ check: 'integrity' } as const] } : rule,
  );
  await registry.createModel({ name: 'm', policy: { ...defaultStagePolicy, transitions } });
}

async function train(accuracy: number, text = String(accuracy)): Promise<string> {
  return await world.platform.tracking.withRun({ experiment: 'e' }, async (run) => {
    run.logMetric('accuracy', accuracy);
    await run.logArtifact('model/weights.json', Buffer.from(text));
    return run.id;
  });
}

async function ended(runId: string): Promise<AutomationOutcome> {
  let found: AutomationOutcome | undefined;
  await expect
    .poll(
      async () => {
        const outcomes = await registry.automationOutcomes('nightly');
        found = outcomes.find((each) => each.runId === runId);
        return found?.state ?? '';
      },
      { timeout: 30_000, interval: 50 },
    )
    .toMatch(/^(NOT_TAKEN|LIMITED|DONE|FAILED)$/);
  return found as AutomationOutcome;
}

describe('a run that ends', () => {
  test('over the criteria becomes a version in Staging, all under one correlation', async () => {
    await easyModel();
    await registry.setAutomation(nightly);
    world.platform.start();
    const runId = await train(0.95);
    const outcome = await ended(runId);
    expect(outcome.reasons).toEqual([]);
    expect(outcome.state).toBe('DONE');
    const version = await registry.getVersionById(outcome.versionId ?? '');
    expect(version).toMatchObject({
      ...{ stage: 'STAGING', version: '1.0.0', metrics: { accuracy: 0.95 } },
      lineage: { sourceRunId: runId },
    });
    const { correlationId } = outcome;
    const types = (await Array.fromAsync(world.platform.events.each({ correlationId }))).map(
      ({ type }) => type,
    );
    for (const type of [
      'run.completed',
      'model.registered',
      'model.promoted',
      'automation.completed',
    ]) {
      expect(types).toContain(type);
    }
  });

  test('below them is left alone, and it is said which', async () => {
    await registry.setAutomation({
      ...nightly,
      criteria: [...nightly.criteria, { metric: 'loss', max: 0.1 }],
    });
    world.platform.start();
    const outcome = await ended(await train(0.5));
    expect(outcome).toMatchObject({
      state: 'NOT_TAKEN',
      reasons: ['accuracy: 0.5 is below 0.9', 'loss: the run has no such metric'],
    });
    expect(await registry.findModel('m')).toBeUndefined();
    expect(await ended(await train(Number.NaN, 'nan'))).toMatchObject({ state: 'NOT_TAKEN' });
  });

  test('is left alone while the automation is paused, and beyond its rate', async () => {
    await easyModel();
    await registry.setAutomation({ ...nightly, maxPerHour: 2 });
    await registry.pauseAutomation('nightly');
    world.platform.start();
    expect((await ended(await train(0.95, 'a'))).reasons).toEqual(['the automation is paused']);
    await registry.resumeAutomation('nightly');
    const runs = await Promise.all(['b', 'c', 'd', 'e'].map((text) => train(0.95, text)));
    const states = (await Promise.all(runs.map(ended))).map(({ state }) => state);
    expect(states.toSorted()).toEqual(['DONE', 'DONE', 'LIMITED', 'LIMITED']);
    expect(await registry.listVersions('m')).toHaveLength(2);
  });

  test('that cannot be registered or promoted says why', async () => {
    await registry.setAutomation({ ...nightly, path: 'elsewhere' });
    world.platform.start();
    const outcome = await ended(await train(0.95));
    expect(outcome.state).toBe('FAILED');
    expect(outcome.reasons[0]).toContain('no artifact at elsewhere');
  });

  test('told twice, and to two processes, makes one version', async () => {
    await easyModel();
    await registry.setAutomation(nightly);
    const other = await openPlatform({ dir: world.dir });
    world.platform.start();
    other.start();
    const runs = await Promise.all(['a', 'b', 'c'].map((text) => train(0.95, text)));
    await Promise.all(runs.map(ended));
    // Once more from the first event on: all of it is found done.
    await world.platform.events.replay('registry-automations');
    await world.platform.events.deliver();
    await other.close();
    expect(await registry.listVersions('m')).toHaveLength(3);
  });
});

describe('with a pipeline', () => {
  test.each([true, false])('that validates: it passes (%s)', async (passes) => {
    await easyModel();
    const seen: unknown[] = [];
    const validate = definePipeline('validate', { version: '1.0.0' }, (p) => {
      p.step('look', {}, async ({ parameters }) => {
        seen.push(parameters);
        if (!passes) throw new Error('it answers 0.5 to everything');
        return {};
      });
    });
    world.platform.pipelines.add(validate);
    await world.platform.pipelines.putDefinition(validate);
    await registry.setAutomation({ ...nightly, pipeline: 'validate' });
    world.platform.start();
    const outcome = await ended(await train(0.95));
    expect(outcome.state).toBe(passes ? 'DONE' : 'FAILED');
    const version = await registry.getVersionById(outcome.versionId ?? '');
    expect(version.stage).toBe(passes ? 'STAGING' : 'DEVELOPMENT');
    expect(seen).not.toEqual([]);
  });
});

test('its experiment and model stay; what it cannot use is refused', async () => {
  const made = await registry.setAutomation(nightly);
  const changed = await registry.setAutomation({ ...nightly, maxPerHour: 3, promote: false });
  expect(changed).toMatchObject({ id: made.id, maxPerHour: 3, promote: false });
  const moved = registry.setAutomation({ ...nightly, model: 'other' });
  expect((await refusal(moved)).code).toBe('IMMUTABLE');
  for (const broken of [
    { ...nightly, criteria: [{ metric: 'a' }] },
    { ...nightly, name: '' },
    { ...nightly, maxPerHour: 0 },
    { ...nightly, promte: true },
  ]) {
    expect((await refusal(registry.setAutomation(broken))).code).toBe('INVALID');
  }
  expect((await refusal(registry.setAutomation({ ...nightly, experiment: 'x' }))).code).toBe(
    'NOT_FOUND',
  );
  await registry.removeAutomation('nightly');
  expect(await registry.listAutomations()).toEqual([]);
  expect((await refusal(registry.pauseAutomation('nightly'))).code).toBe('NOT_FOUND');
});
