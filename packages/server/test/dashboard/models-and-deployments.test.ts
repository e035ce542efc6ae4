import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  defaultStagePolicy,
  type Gate,
  type ModelVersion,
  openPlatform,
  type Platform,
} from '@keelson/core';
import { openServing, type Serving } from '@keelson/serve';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type RunningServer, startServer } from '../../src/index.ts';
import { closeBrowser, look, test } from './browser.ts';

const module = `
export const load = () => ({
  predict: ({ x }, { rowCount }) => ({
    label: Array.from({ length: rowCount }, (_, i) => (x.data[2 * i] > 0 ? 'rain' : 'sun')),
  }),
});
`;
const dir = mkdtempSync(join(tmpdir(), 'keelson-dashboard-'));
let platform: Platform;
let server: RunningServer;
let serving: Serving;
let versions: readonly ModelVersion[];

beforeAll(async () => {
  platform = await openPlatform({ dir: join(dir, '.keelson') });
  const { registry, tracking, deployments } = platform;
  const run = await tracking.startRun({
    ...{ experiment: 'sky', name: 'trained', systemMetrics: false, environment: false },
  });
  await run.logDataset({ name: 'days', digest: 'sha256:f00d', role: 'train' });
  await run.logArtifact('model/model.mjs', Buffer.from(module));
  await run.finish();
  await registry.createModel({
    name: 'sky',
    policy: {
      ...defaultStagePolicy,
      selfApproval: true,
      transitions: [
        { from: 'DEVELOPMENT', to: 'STAGING', checks: [], approvals: 0, approverRoles: [] },
        { from: 'STAGING', to: 'PRODUCTION', checks: [], approvals: 1, approverRoles: [] },
      ],
    },
  });
  versions = [];
  for (const [i, version] of ['1.0.0', '1.1.0', '1.2.0'].entries()) {
    const registered = await registry.register({
      ...{ model: 'sky', version, format: 'JS', metrics: { accuracy: 0.8 + i / 20 } },
      from: { runId: run.id, path: 'model' },
      signature: {
        inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['wind', 'cloud'] }],
        outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
      },
    });
    versions = [...versions, registered];
  }
  await deployments.create({ name: 'live', versionId: idOf(0), environment: 'STAGING' });
  serving = await openServing(platform, { deployments: ['live'], replicas: 1 });
  server = await startServer(platform, { port: 0, serving });
}, 60_000);

afterAll(async () => {
  await closeBrowser();
  await server?.close({ timeoutMs: 1_000 });
  await serving?.close();
  await platform?.close();
  rmSync(dir, { recursive: true, force: true });
});

function idOf(i: number): string {
  return versions[i]?.id ?? '';
}

describe('models', () => {
  test('what waits is approved and rejected there; the audit trail is verified there', async () => {
    const { registry } = platform;
    const { page, go, errors } = await look(server.url);
    await go('#/models');
    await page.getByRole('link', { name: 'sky' }).click();
    await page.getByRole('heading', { name: '3 versions' }).waitFor();
    for (const version of ['1.0.0', '1.1.0']) {
      const ask = { model: 'sky', version, reason: 'it is good' } as const;
      await registry.requestTransition({ ...ask, to: 'STAGING' });
      await registry.requestTransition({ ...ask, to: 'PRODUCTION' });
    }
    // It shows by itself.
    await expect.poll(() => page.getByRole('button', { name: 'Approve' }).count()).toBe(2);
    await page.getByRole('button', { name: 'Approve' }).first().click();
    const approve = page.getByRole('dialog', { name: 'Approve 1.0.0 for production?' });
    await approve.getByLabel('Comment').fill('The evidence is in the record.');
    await approve.getByRole('button', { name: 'Approve' }).click();
    await expect.poll(async () => (await registry.resolve('sky@1.0.0')).stage).toBe('PRODUCTION');
    await expect.poll(() => page.getByRole('button', { name: 'Reject' }).count()).toBe(1);
    await page.getByRole('button', { name: 'Reject' }).click();
    const reject = page.getByRole('dialog', { name: 'Reject 1.1.0 for production?' });
    await reject.getByLabel('Comment').fill('Not measured on this year.');
    await reject.getByRole('button', { name: 'Reject' }).click();
    await page
      .getByRole('heading', { name: 'Waits for a decision' })
      .waitFor({ state: 'detached' });
    const [last] = await registry.listTransitions(idOf(1));
    expect(last).toMatchObject({
      status: 'REJECTED',
      approvals: [{ comment: 'Not measured on this year.' }],
    });
    await page.getByRole('button', { name: 'Verify the trail' }).click();
    await page.getByText('Everything is as it was written').waitFor();
    expect(errors).toEqual([]);
  });

  test('a version shows its origin as a graph that keys walk; versions are compared', async () => {
    const { page, go, errors } = await look(server.url);
    await go('#/models/sky/1.0.0?tab=lineage');
    const graph = page.getByRole('group', { name: /What led to sky 1.0.0/ });
    await graph.getByRole('link', { name: /trained/ }).focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.url()).toContain('#/run/');
    await page.goBack();
    await graph.getByRole('link', { name: /live/ }).click();
    await page.getByRole('heading', { name: 'live' }).waitFor();
    await go('#/models/sky');
    await page.getByLabel('Choose 1.0.0').check();
    await page.getByLabel('Choose 1.2.0').check();
    await page.getByRole('link', { name: 'Compare 2' }).click();
    await page.getByRole('cell', { name: /0.9 best \+0.1/ }).waitFor();
    expect(errors).toEqual([]);
  });
});

describe('deployments', () => {
  const gate: Gate = {
    ...{ gate: 'error-limit', goAt: 0.1, backAbove: 0.5, alpha: 0.05, minimumRequests: 5 },
  };

  test('a rollout goes from 5 % to 100 % before one’s eyes, with the evidence of its gates', async () => {
    const { deployments, monitoring } = platform;
    const { page, go, errors } = await look(server.url);
    await go('#/deployments/live');
    await page.getByText('No version was rolled out yet').waitFor();
    const { id, deploymentId } = await deployments.startRollout({
      ...{ deployment: 'live', versionId: idOf(1), reason: 'retrained' },
      steps: [5, 25, 50, 100].map((weightPercent) => ({
        ...{ weightPercent, shadow: false, gates: [gate], minDurationMs: 0 },
      })),
    });
    const steps = page.getByRole('list', { name: 'Steps' });
    for (const weight of [5, 25, 50, 100]) {
      await expect
        .poll(() => steps.locator('[aria-current=step]').innerText())
        .toContain(`${weight} %`);
      await page.getByText(`1.1.0 ${weight} %`).waitFor();
      const at = Date.now();
      await monitoring.logPredictions(
        deploymentId,
        Array.from({ length: 10 }, (_, i) => ({
          ...{ features: { wind: i, cloud: 0 }, prediction: 'rain', versionId: idOf(1) },
          ...{ requestId: `at-${weight}-${i}`, role: 'primary', at: at + i, latencyMs: 2 },
        })),
      );
      await deployments.evaluateRollout(id, { at: at + 1000 });
    }
    await page.getByRole('heading', { name: /1.0.0 → 1.1.0 completed/ }).waitFor();
    await page.getByText('lets it go on').first().waitFor();
    await page.getByRole('img', { name: /^sky@1.1.0: 0 %.* of 40/ }).waitFor();
    expect(await page.getByRole('img', { name: /^Share of requests, %/ }).count()).toBe(1);
    expect(errors).toEqual([]);
  });

  test('a rollout is paused, resumed and aborted there; what is refused says why', async () => {
    const { deployments } = platform;
    const { id } = await deployments.deploy('live', {
      ...{ versionId: idOf(2), strategy: 'canary', reason: 'another' },
    });
    const { page, go, errors } = await look(server.url);
    await go('#/deployments/live');
    const act = async (name: string, reason: string): Promise<void> => {
      await page.getByRole('button', { name, exact: true }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Reason').fill(reason);
      await dialog.getByRole('button', { name, exact: true }).click();
      await dialog.waitFor({ state: 'hidden' });
    };
    await act('Pause', 'lunch');
    await act('Resume', 'back');
    await act('Abort', 'not today');
    await page.getByRole('heading', { name: /1.1.0 → 1.2.0 rolled back/ }).waitFor();
    const { status, decisions } = await deployments.getRollout(id);
    expect([status, ...decisions.map(({ action }) => action)]).toEqual([
      ...['ROLLED_BACK', 'pause', 'resume', 'rollback'],
    ]);
    await go('#/deployments/live?tab=revisions');
    await page
      .getByRole('row', { name: /^1 1.0.0/ })
      .getByRole('button', { name: 'Go back' })
      .click();
    const back = page.getByRole('dialog');
    await back.getByRole('button', { name: 'Go back' }).click();
    // A reason is needed.
    expect(await back.isVisible()).toBe(true);
    await back.getByLabel('Reason').fill('complaints');
    await back.getByRole('button', { name: 'Go back' }).click();
    await page.getByRole('row', { name: /1.0.0 in force/ }).waitFor();
    await page.getByText('1.0.0 100 %').waitFor();
    expect(errors).toEqual([]);
  });

  test('the form of the signature asks it; an A/B test is decided there', async () => {
    const { deployments } = platform;
    await serving.refresh();
    const { page, go, errors } = await look(server.url);
    await go('#/deployments/live?tab=try');
    await page.getByLabel('wind').fill('3.5');
    await page.getByLabel('cloud').fill('0');
    await page.getByRole('button', { name: 'Predict' }).click();
    await page.getByText('"rain"').waitFor();
    await go('#/deployments/live?tab=ab');
    await page.getByText('No A/B test yet').waitFor();
    const { id } = await deployments.startAbTest({
      ...{ deployment: 'live', stickyHeader: 'x-user', reason: 'which is better?' },
      arms: [
        { name: 'old', versionId: idOf(0), weightPercent: 50 },
        { name: 'new', versionId: idOf(1), weightPercent: 50 },
      ],
      metrics: [{ name: 'errors', outcome: { source: 'errors' }, goal: 'lower' }],
    });
    await page.getByText('cannot tell yet').waitFor();
    await page.getByRole('button', { name: 'Decide' }).click();
    const dialog = page.getByRole('dialog', { name: 'End the test?' });
    await dialog.getByLabel('Winner').selectOption('new');
    await dialog.getByLabel('Reason').fill('it costs less');
    await dialog.getByRole('button', { name: 'Decide' }).click();
    await page.getByText('new by').waitFor();
    expect(await deployments.getAbTest(id)).toMatchObject({
      status: 'DECIDED',
      decision: { winner: 'new' },
    });
    expect(errors).toEqual([]);
  });
});

test.each([
  ['#/models/sky/1.1.0?tab=stages', 1280, 'light', 'Not measured'],
  ['#/models/sky/1.0.0?tab=lineage', 390, 'dark', 'model version'],
  ['#/models/sky/compare?of=1.0.0~1.1.0', 390, 'light', 'Same in all'],
  ['#/deployments', 1280, 'dark', 'Versions that answer'],
  ['#/deployments/live', 390, 'dark', 'All rollouts'],
  ['#/deployments/live?tab=revisions', 1280, 'light', 'complaints'],
] as const)(
  '%s at %i in %s: nothing serious for axe, nothing wider than the window',
  async (hash, width, theme, text) => {
    const { page, go, faults, errors } = await look(server.url, { width, theme });
    await go(hash);
    await page.getByText(text).first().waitFor({ state: 'attached' });
    expect(await faults()).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    expect(errors).toEqual([]);
  },
);

test('who may not is told what it takes, before they try', async () => {
  const principal = { id: 'user:lead', roles: [] };
  const own = await openPlatform({ dir: join(dir, 'own'), access: true, principal });
  const guarded = await startServer(own, { port: 0 });
  try {
    const { id: versionId } = await own.registry.register({
      ...{ model: 'sky', version: '1.0.0', format: 'JS' },
      from: { files: { 'model.mjs': Buffer.from(module) } },
    });
    await own.deployments.create({ name: 'live', versionId, environment: 'STAGING' });
    const { access } = own.operations;
    await access.grant({ principal: 'user:reader', role: 'viewer' });
    const { secret } = await access.createApiKey({
      ...{ principal: 'user:reader', name: 'browser', scopes: ['*'] },
    });
    const { page, go } = await look(guarded.url);
    await page.getByLabel('API key or token').fill(secret);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await go('#/deployments/live');
    const stop = page.getByRole('button', { name: 'Stop' });
    await expect.poll(() => stop.isDisabled()).toBe(true);
    expect(await stop.getAttribute('title')).toContain(
      'It takes the permission deployment.deploy on deployment:live',
    );
    await access.grant({ principal: 'user:reader', role: 'admin' });
    await page.reload();
    await expect.poll(() => stop.isEnabled()).toBe(true);
  } finally {
    await guarded.close({ timeoutMs: 1_000 });
    await own.close();
  }
});
