import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, type Platform } from '@keelson/core';
import { afterAll, beforeAll, expect } from 'vitest';
import { type RunningServer, startServer } from '../../src/index.ts';
import { closeBrowser, look, test } from './browser.ts';

const dir = mkdtempSync(join(tmpdir(), 'keelson-dashboard-'));
const minuteMs = 60_000;
let platform: Platform;
let server: RunningServer;

/** A deployment whose wind has turned in the last hour, and one whose labels say that it is wrong. */
async function fill(): Promise<void> {
  const { registry, deployments, monitoring } = platform;
  await registry.createModel({ name: 'weather' });
  const tensor = { name: 'x', datatype: 'FP64', shape: [-1, 2] } as const;
  const { id: versionId } = await registry.register({
    ...{ model: 'weather', version: '1.0.0', format: 'CUSTOM' },
    from: { files: { 'model.bin': Buffer.from('weights') } },
    signature: { inputs: [tensor], outputs: [{ ...tensor, name: 'y' }] },
  });
  const create = (name: string) => deployments.create({ name, versionId, environment: 'STAGING' });
  const live = await create('live');
  const row = (i: number, shift: number) => ({
    features: { wind: ((i * 7919) % 1000) / 100 + shift, cloud: (i * 31) % 100 },
    prediction: i % 2 === 0 ? 'rain' : 'sun',
  });
  const reference = Array.from({ length: 2_000 }, (_, i) => row(i, 0));
  await monitoring.setBaseline({
    ...{ deployment: live, versionId, prediction: 'prediction', reason: 'the training data' },
    reference: reference.map(({ features, prediction }) => ({ ...features, prediction })),
  });
  const now = Date.now();
  await monitoring.logPredictions(
    live.id,
    Array.from({ length: 1_500 }, (_, i) => ({
      ...row(i, i < 750 ? 6 : 0),
      ...{ versionId, requestId: `l${i}`, role: 'primary' as const, latencyMs: 2 + (i % 9) },
      at: now - 5 * minuteMs - Math.floor(i / 50) * minuteMs * 2,
    })),
  );
  const wrong = await create('wrong');
  const begin = now - 200 * 60 * minuteMs;
  const rows = Array.from({ length: 200 }, (_, i) => ({
    ...row(i, 0),
    label: row(i, 0).prediction,
  }));
  await monitoring.watchLabels({
    ...{ deployment: wrong, versionId, reference: rows, at: begin },
    rules: [
      {
        name: 'accuracy',
        rule: 'accuracy',
        tolerance: 0.02,
        alpha: 0.01,
        minimumTrials: 20,
        severity: 'CRITICAL',
      },
    ],
  });
  await monitoring.logPredictions(
    wrong.id,
    rows.slice(0, 100).map(({ features, prediction }, i) => ({
      ...{
        features,
        prediction,
        versionId,
        requestId: `w${i}`,
        role: 'primary' as const,
        latencyMs: 1,
      },
      at: begin + (i + 1) * 60 * minuteMs,
    })),
  );
  await monitoring.logLabels(
    wrong.id,
    rows.slice(0, 100).map((_, i) => ({
      requestId: `w${i}`,
      value: 'snow',
      observedAt: begin + (i + 2) * 60 * minuteMs,
    })),
  );
  await monitoring.evaluate(wrong.id, { at: begin + 150 * 60 * minuteMs });
}

beforeAll(async () => {
  platform = await openPlatform({ dir: join(dir, '.keelson') });
  await fill();
  server = await startServer(platform, { port: 0 });
}, 60_000);

afterAll(async () => {
  await closeBrowser();
  await server?.close({ timeoutMs: 1_000 });
  await platform?.close();
  rmSync(dir, { recursive: true, force: true });
});

test('figures over time, drift by feature, the baseline; the window is in the address', async () => {
  const { page, go, errors, faults } = await look(server.url);
  await go('#/monitoring');
  await page.getByRole('row', { name: /^live weather/ }).waitFor();
  await page.getByRole('link', { name: 'live', exact: true }).click();
  await page.getByRole('img', { name: /^Predictions: / }).waitFor();
  await page.getByRole('row', { name: /^wind .*(low|medium|high|critical)/i }).waitFor();
  await page.getByRole('row', { name: /^cloud .*none/i }).waitFor();
  await page.getByText('the training data').waitFor();
  expect(await faults()).toEqual([]);
  await page.getByLabel('Last').selectOption('7d');
  await expect.poll(() => page.url()).toContain('span=7d');
  expect(errors).toEqual([]);
});

test('an alert is acknowledged, taken back and silenced with a reason, and the platform knows', async () => {
  const { page, go, errors, faults } = await look(server.url, { width: 390, theme: 'dark' });
  await go('#/monitoring/wrong');
  const active = page.locator('section', { hasText: 'Active alerts' });
  await active.getByRole('button', { name: 'Acknowledge' }).click();
  await active.getByText(/seen by/).waitFor();
  const deployment = await platform.deployments.get('wrong');
  const [alert] = await platform.monitoring.listAlerts(deployment.id);
  expect(alert?.acknowledged).toBeDefined();
  expect(await faults()).toEqual([]);
  await active.getByRole('button', { name: 'Take back' }).click();
  await active.getByRole('button', { name: 'Acknowledge' }).waitFor();
  await active.getByRole('button', { name: 'Silence' }).click();
  const dialog = page.getByRole('dialog', { name: /^Silence/ });
  await dialog.getByLabel('For').selectOption('8 h');
  await dialog.getByLabel('Why').fill('the sensor is being repaired');
  await dialog.getByRole('button', { name: 'Silence' }).click();
  await dialog.waitFor({ state: 'hidden' });
  const [silence] = await platform.monitoring.silences.list();
  expect(silence).toMatchObject({
    reason: 'the sensor is being repaired',
    match: { deployment: 'wrong' },
  });
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
  // This one has no baseline, which is asked for all the same.
  expect(errors.filter((each) => !each.includes('404'))).toEqual([]);
});
