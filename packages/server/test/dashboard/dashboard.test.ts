import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { openPlatform, type Platform } from '@keelson/core';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type RunningServer, startServer } from '../../src/index.ts';
import { builtDashboard, closeBrowser, look, test } from './browser.ts';

let platform: Platform;
let server: RunningServer;
const dir = mkdtempSync(join(tmpdir(), 'keelson-dashboard-'));

beforeAll(async () => {
  await builtDashboard();
  platform = await openPlatform({ dir: join(dir, '.keelson') });
  for (let i = 0; i < 30; i += 1) {
    const run = await platform.tracking.startRun({
      experiment: i % 3 === 0 ? 'rain' : 'weather',
      name: `run-${i}`,
      params: { depth: 4 + (i % 5), model: { type: ['tree', 'cnn', 'mlp'][i % 3] }, seed: 7 },
      tags: { team: i % 2 === 0 ? 'risk' : 'vision' },
      systemMetrics: false,
    });
    for (let step = 0; step < 50; step += 1) run.logMetric('loss', 1 / (step + 1 + i), { step });
    if (i === 0) {
      await run.logArtifact('notes.txt', Buffer.from('what was tried\n'));
      await run.logArtifact(
        'page.html',
        Buffer.from('<h1>Report</h1><script>parent.hacked = 1</script>'),
      );
      await run.logArtifact('table.csv', Buffer.from('a,b\n1,"x, ""y"""\n'));
    }
    await run.finish(i === 3 ? 'FAILED' : 'COMPLETED');
  }
  server = await startServer(platform, { port: 0 });
}, 60_000);

afterAll(async () => {
  await closeBrowser();
  await server.close({ timeoutMs: 1_000 });
  await platform.close();
  rmSync(dir, { recursive: true, force: true });
});

test('the budget: 120 kB at first load, 250 kB in all, gzipped', async () => {
  const ui = await builtDashboard();
  const zipped = (file: string): number =>
    gzipSync(readFileSync(join(ui, file)), { level: 9 }).length;
  const html = readFileSync(join(ui, 'index.html'), 'utf8');
  const first = [...html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map(([, file]) => file as string);
  // The page that is opened first is the overview.
  const overview = globSync('assets/overview-*', { cwd: ui });
  const firstBytes = ['index.html', ...first, ...overview].reduce(
    (sum, file) => sum + zipped(file),
    0,
  );
  const allBytes = globSync('**/*.{js,css,html,svg}', { cwd: ui }).reduce(
    (sum, file) => sum + zipped(file),
    0,
  );
  console.log(
    `${(firstBytes / 1000).toFixed(1)} kB at first load, ${(allBytes / 1000).toFixed(1)} kB in all`,
  );
  expect(first.length).toBeGreaterThan(1);
  expect(firstBytes).toBeLessThanOrEqual(120_000);
  expect(allBytes).toBeLessThanOrEqual(250_000);
});

describe('how it is served', () => {
  test('the root leads to it; names with a hash are kept, the page is asked for anew; the policy is strict', async () => {
    const root = await fetch(server.url, { redirect: 'manual' });
    expect([root.status, root.headers.get('location')]).toEqual([302, 'ui/']);
    const page = await fetch(`${server.url}/ui/`);
    expect(page.headers.get('cache-control')).toBe('no-cache');
    expect(page.headers.get('content-security-policy')).toMatch(
      /default-src 'none'.*script-src 'self'/,
    );
    expect(page.headers.get('content-security-policy')).not.toContain('unsafe');
    const again = await fetch(`${server.url}/ui/`, {
      headers: { 'if-none-match': page.headers.get('etag') ?? '' },
    });
    expect(again.status).toBe(304);
    const [, script = ''] = /src="\.\/([^"]+)"/.exec(await page.text()) ?? [];
    const asset = await fetch(`${server.url}/ui/${script}`);
    expect(asset.headers.get('cache-control')).toContain('immutable');
    expect(asset.headers.get('content-encoding')).toBe('gzip');
    for (const path of ['/ui/../package.json', '/ui/%2e%2e/package.json', '/ui/nothing.js']) {
      expect((await fetch(server.url + path)).status).toBe(404);
    }
  });

  test('below a prefix it works alike', async () => {
    const below = await startServer(platform, { port: 0, basePath: '/mlops' });
    try {
      const { page, errors } = await look(below.url);
      await page.getByRole('link', { name: 'Runs', exact: true }).click();
      await page.getByRole('link', { name: 'run-29' }).waitFor();
      const root = await fetch(below.url, { redirect: 'manual' });
      expect(root.headers.get('location')).toBe('/mlops/ui/');
      expect(errors).toEqual([]);
    } finally {
      await below.close({ timeoutMs: 1_000 });
    }
  });

  test('where keys are asked for, one is exchanged for a cookie, which no other site can use', async () => {
    const principal = { id: 'user:lead', roles: [] };
    const own = await openPlatform({ dir: join(dir, 'own'), access: true, principal });
    const guarded = await startServer(own, { port: 0 });
    try {
      const { access } = own.operations;
      await access.grant({ principal: 'user:reader', role: 'viewer' });
      const { secret } = await access.createApiKey({
        ...{ principal: 'user:reader', name: 'browser', scopes: ['*'] },
      });
      const { page, errors } = await look(guarded.url);
      await page.getByLabel('API key or token').fill('wrong');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('alert').waitFor();
      await page.getByLabel('API key or token').fill(secret);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('heading', { name: 'Overview' }).waitFor();
      const [cookie] = await page.context().cookies();
      expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict' });
      const asked = (headers: Record<string, string>): Promise<Response> =>
        fetch(`${guarded.url}/api/v1/experiments`, {
          headers: { cookie: `${cookie?.name}=${cookie?.value}`, ...headers },
        });
      expect((await asked({ 'sec-fetch-site': 'same-origin' })).status).toBe(200);
      expect((await asked({ 'sec-fetch-site': 'cross-site' })).status).toBe(401);
      expect((await asked({ origin: 'http://elsewhere.example' })).status).toBe(401);
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByLabel('API key or token').waitFor();
      expect(errors.filter((each) => !each.includes('401'))).toEqual([]);
    } finally {
      await guarded.close({ timeoutMs: 1_000 });
      await own.close();
    }
  });
});

describe('runs', () => {
  test('are filtered, ordered, grouped, chosen; the address holds all of it', async () => {
    const { page, go, errors } = await look(server.url);
    await go('#/runs');
    await page.getByRole('link', { name: 'run-29' }).waitFor();
    const filter = page.getByRole('combobox', { name: 'Filter' });
    await filter.fill('params.dep');
    await page.getByRole('option', { name: 'params.depth' }).waitFor();
    await filter.press('ArrowDown');
    await filter.press('Enter');
    await filter.pressSequentially('= 6 AND tags.team = ');
    await filter.press('Enter');
    // What is wrong is said, with its place.
    await page.getByRole('alert').waitFor();
    expect(await filter.getAttribute('aria-invalid')).toBe('true');
    await filter.fill("params.depth = 6 AND tags.team = 'risk'");
    await filter.press('Enter');
    await expect.poll(() => page.locator('tbody tr').count()).toBe(3);
    await page.getByRole('button', { name: 'loss' }).click();
    await expect.poll(() => page.url()).toContain('order=metrics.loss');
    await page.getByLabel('Choose run-2', { exact: true }).check();
    await page.getByLabel('Choose run-12', { exact: true }).check();
    const shown = page.url();
    await page.goto('about:blank');
    await page.goto(shown);
    await page.getByRole('button', { name: 'Compare 2' }).waitFor();
    expect(await filter.inputValue()).toBe("params.depth = 6 AND tags.team = 'risk'");
    expect(await page.getByLabel('Choose run-12', { exact: true }).isChecked()).toBe(true);
    expect(errors.filter((each) => !each.includes('400'))).toEqual([]);
  });

  test('that begin are shown as they do, and a curve grows while it is looked at', async () => {
    const { page, go, errors } = await look(server.url);
    await go('#/runs');
    const run = await platform.tracking.startRun({
      experiment: 'live',
      name: 'grows',
      systemMetrics: false,
    });
    try {
      await page.getByRole('link', { name: 'grows' }).waitFor();
      await page.getByRole('link', { name: 'grows' }).click();
      await page.getByText('No metrics yet').waitFor();
      for (let step = 0; step < 20; step += 1) run.logMetric('loss', 1 / (step + 1), { step });
      await run.finish();
      await page.getByText('completed').first().waitFor();
      await page.getByRole('img', { name: /loss: 20 points/ }).waitFor();
      expect(errors).toEqual([]);
    } finally {
      await run.finish().catch(() => undefined);
    }
  });

  test('a run shows its params and files; a page among them runs no script', async () => {
    const { page, go, errors } = await look(server.url);
    const { runs } = await platform.tracking.searchRuns({
      filter: "attributes.run_name = 'run-0'",
    });
    const id = runs[0]?.id ?? '';
    await go(`#/run/${id}?tab=params`);
    await page.getByRole('row', { name: 'model.type tree' }).waitFor();
    await go(`#/run/${id}?tab=artifacts`);
    await page.getByRole('button', { name: 'notes.txt' }).click();
    await page.getByText('what was tried').waitFor();
    await page.getByRole('button', { name: 'table.csv' }).click();
    await page.getByRole('cell', { name: 'x, "y"' }).waitFor();
    await page.getByRole('button', { name: 'page.html' }).click();
    await page.frameLocator('iframe.preview').getByRole('heading', { name: 'Report' }).waitFor();
    expect(await page.evaluate(() => 'hacked' in globalThis)).toBe(false);
    // The browser says that it has not run the script.
    expect(errors.filter((each) => !each.includes('sandboxed'))).toEqual([]);
  });
});

describe('charts and comparison', () => {
  test('curves are drawn of chosen runs; what is dragged over is read anew; smoothing and axes are in the address', async () => {
    const { page, go, errors, faults } = await look(server.url);
    const ids = await idsOf("params.depth = 6 AND tags.team = 'risk'");
    await go(`#/charts?runs=${ids.join('~')}`);
    const curve = page.getByRole('img', { name: /^loss: 50 points/ });
    const box = await curve.boundingBox();
    if (box === null) throw new Error('The curve is not there.');
    await page.mouse.move(box.x + box.width * 0.3, box.y + 80);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 80, { steps: 5 });
    await page.mouse.up();
    await expect.poll(() => page.url()).toMatch(/zoom=\d+-\d+/);
    await expect
      .poll(
        async () =>
          /loss: (\d+) points/.exec(
            (await page.getByRole('img', { name: /^loss:/ }).getAttribute('aria-label')) ?? '',
          )?.[1],
      )
      .not.toBe('50');
    await page.getByRole('button', { name: 'Zoomed in: show all' }).click();
    await curve.waitFor();
    await page.getByLabel('Over').selectOption('relative');
    await page.getByRole('img', { name: /^loss:/ }).waitFor();
    await page.getByText('Table', { exact: true }).first().click();
    expect(await faults()).toEqual([]);
    expect(errors).toEqual([]);
  });

  test('params against metrics: a brush keeps what lies between and leads to the same runs in the table', async () => {
    const { page, go, errors, faults } = await look(server.url);
    await go('#/charts?kind=params&experiment=weather');
    await page.getByText('20 of 20 runs').waitFor();
    const [axis] = await page.locator('.grip').all();
    const box = await axis?.boundingBox();
    if (box === undefined || box === null) throw new Error('There is no axis.');
    await page.mouse.move(box.x + 14, box.y + box.height * 0.3);
    await page.mouse.down();
    await page.mouse.move(box.x + 14, box.y + box.height * 0.7, { steps: 5 });
    await page.mouse.up();
    const status = page.getByText(/^\d+ of 20 runs$/);
    await expect
      .poll(async () => Number.parseInt((await status.textContent()) ?? '20', 10))
      .toBeLessThan(20);
    const kept = Number.parseInt((await status.textContent()) ?? '', 10);
    expect(kept).toBeGreaterThan(0);
    await page.getByText('What loss goes with').waitFor();
    expect(await faults()).toEqual([]);
    await page.getByRole('link', { name: 'Show them in the table' }).click();
    await page.getByLabel('Experiment').selectOption({ label: 'weather' });
    await expect.poll(() => page.locator('tbody tr').count()).toBe(kept);
    expect(errors).toEqual([]);
  });

  test('runs beside each other: metrics against a baseline, params that differ, groups and their tests', async () => {
    const { page, go, errors, faults } = await look(server.url);
    const ids = await idsOf('params.depth IN (4, 5)');
    await go(`#/compare?runs=${ids.slice(0, 8).join('~')}`);
    await page.getByRole('heading', { name: '8 runs compared' }).waitFor();
    await page.getByText('Welch, p after Holm').waitFor();
    await page
      .getByRole('row', { name: /^depth / })
      .first()
      .waitFor();
    expect(await page.getByTitle('The best of these').count()).toBe(1);
    expect(await faults()).toEqual([]);
    expect(errors).toEqual([]);
  });
});

async function idsOf(filter: string): Promise<readonly string[]> {
  const { runs } = await platform.tracking.searchRuns({ filter });
  return runs.map(({ id }) => id);
}

test.each([
  ['#/', 1280, 'light'],
  ['#/', 390, 'dark'],
  ['#/runs', 1280, 'dark'],
  ['#/runs', 390, 'light'],
] as const)(
  '%s at %i in %s: nothing serious for axe, nothing wider than the window',
  async (hash, width, theme) => {
    const { page, go, faults, errors } = await look(server.url, { width, theme });
    await go(hash);
    await page.getByRole('link', { name: /^run-/ }).first().waitFor();
    expect(await faults()).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    expect(errors).toEqual([]);
  },
);
