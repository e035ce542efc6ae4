import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { definePipeline, type Execution, openPlatform, type Platform } from '@keelson/core';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type RunningServer, startServer } from '../../src/index.ts';
import { builtDashboard, closeBrowser, look, type Sight, test } from './browser.ts';

const dir = mkdtempSync(join(tmpdir(), 'keelson-dashboard-'));
let platform: Platform;
let server: RunningServer;
/** Whether the step `judge` finds the model good enough. */
let isGood = true;
/** Lets the step `hold` of an execution end. */
const gates = new Map<string, () => void>();

const train = definePipeline(
  'train',
  {
    version: '1.0.0',
    description: 'Loads, trains and judges.',
    parameters: {
      type: 'object',
      properties: {
        gate: { type: 'string', default: '' },
        rate: { type: 'number', default: 0.1 },
      },
    },
    triggers: [{ name: 'data', on: 'data.arrived', when: 'event.payload.rows > 100' }],
  },
  (p) => {
    const rows = p.step(
      'load',
      {},
      ({ logger }) => {
        logger.info({}, 'read 1461 days');
        return { rows: 1461 };
      },
      { version: '1', cache: { parameters: ['rate'] } },
    );
    const held = p.step(
      'hold',
      { rows },
      async ({ parameters, attempt, logger, signal }) => {
        if (attempt === 1) throw new Error('the store did not answer');
        const { gate = '' } = parameters;
        logger.info({}, 'holding on');
        if (gate !== '') {
          await new Promise<void>((resolve, reject) => {
            gates.set(gate, resolve);
            signal.addEventListener('abort', () => reject(signal.reason));
          });
          logger.info({}, 'let go');
        }
        return { accuracy: 0.94 };
      },
      { retries: { limit: 2, delayMs: 1 }, cache: false },
    );
    return p.step('judge', { held }, ({ inputs, outputs }) => {
      if (!isGood) throw new TypeError('No model is good enough: 0.71 is below 0.8.');
      return outputs.json('verdict.json', inputs.held);
    });
  },
);

beforeAll(async () => {
  await builtDashboard();
  platform = await openPlatform({ dir: join(dir, '.keelson') });
  const { pipelines, events } = platform;
  pipelines.add(train);
  await pipelines.putDefinition(train);
  await pipelines.schedules.put({ name: 'nightly', pipeline: 'train', cron: '0 3 * * *' });
  server = await startServer(platform, { port: 0 });
  await events.subscribe('mail', { types: ['invoice.paid'], maxAttempts: 1 }, () => {
    if (!isGood) throw new Error('smtp: 421 service not available');
  });
  platform.start();
}, 60_000);

afterAll(async () => {
  await closeBrowser();
  await server.close({ timeoutMs: 1_000 });
  await platform.close();
  rmSync(dir, { recursive: true, force: true });
});

describe('pipelines', () => {
  test('an execution is watched: its graph, times and log change while it runs, and its outputs come', async () => {
    const { page, go, errors, faults } = await look(server.url);
    const { id } = await platform.pipelines.start('train', { gate: 'watched' });
    await go('#/pipelines');
    await page.getByRole('link', { name: new RegExp(id.slice(-8)) }).click();
    const node = (name: RegExp) => page.getByRole('button', { name });
    await node(/^hold, .*running/).waitFor();
    await node(/^judge, .*pending/).waitFor();
    await node(/^hold, /).click();
    const log = page.getByRole('log');
    await expect.poll(() => log.textContent()).toBe('info  holding on\n');
    expect(await log.textContent()).not.toContain('let go');
    expect(await faults()).toEqual([]);
    gates.get('watched')?.();
    await node(/^judge, .*completed/).waitFor();
    await expect.poll(() => log.textContent()).toContain('let go');
    await page.getByRole('heading', { level: 1 }).getByText('train').waitFor();
    // The attempt that failed is told beside the one that did not.
    await page.locator('.gantt summary').click();
    await page.getByRole('row', { name: /^hold 1 retried .* the store did not answer/ }).waitFor();
    await page.getByRole('row', { name: /^hold 2 completed/ }).waitFor();
    await node(/^judge, .*completed/).click();
    await expect.poll(() => page.url()).toContain('step=judge');
    const file = page.getByRole('link', { name: 'verdict.json' });
    const [download] = await Promise.all([page.waitForEvent('download'), file.click()]);
    expect(download.suggestedFilename()).toBe('verdict.json');
    expect(await faults()).toEqual([]);
    expect(errors).toEqual([]);
  }, 60_000);

  test('a result from the cache says where it is from and why', async () => {
    const { page, go, errors } = await look(server.url, { theme: 'dark' });
    const ended: Execution[] = [];
    for (let i = 0; i < 2; i += 1) {
      ended.push(
        await platform.pipelines.wait(await platform.pipelines.start('train', { rate: 7 })),
      );
    }
    await go(`#/pipelines/train/${ended[1]?.id}?step=load`);
    const explained = await platform.pipelines.explainCache(ended[1]?.id ?? '', 'load');
    expect(explained.outcome).toBe('hit');
    await page.getByText(explained.explanation).first().waitFor();
    await page.getByRole('link', { name: 'the execution that computed it' }).click();
    await expect.poll(() => page.url()).toContain(ended[0]?.id ?? '-');
    await page.getByText(/"rows": 1461/).waitFor();
    expect(errors).toEqual([]);
  }, 60_000);

  test('it is cancelled, begun again, paused and resumed, each once it is confirmed; what fails says why', async () => {
    const { page, go, errors, faults } = await look(server.url);
    const { pipelines } = platform;
    const { id } = await pipelines.start('train', { gate: 'first' });
    await go(`#/pipelines/train/${id}`);
    const act = async (name: string, reason?: string): Promise<void> => {
      await page.getByRole('button', { name, exact: true }).first().click();
      const dialog = page.getByRole('dialog');
      if (reason !== undefined) await dialog.getByLabel(/^Reason/).fill(reason);
      await dialog.getByRole('button', { name, exact: true }).click();
      await dialog.waitFor({ state: 'hidden' });
    };
    await act('Pause');
    await page.getByRole('button', { name: 'Resume', exact: true }).waitFor();
    expect((await pipelines.get(id)).paused).toBe(true);
    await act('Resume');
    await page.getByRole('button', { name: 'Pause', exact: true }).waitFor();
    // Nothing happens unless it is confirmed.
    await page.getByRole('button', { name: 'Cancel', exact: true }).click();
    expect(await faults()).toEqual([]);
    await page.getByRole('button', { name: 'Leave it' }).click();
    expect((await pipelines.get(id)).status).not.toBe('CANCELLED');
    await act('Cancel', 'Wrong data');
    await page.getByText('Wrong data').waitFor();
    expect(await pipelines.get(id)).toMatchObject({
      status: 'CANCELLED',
      cancelReason: 'Wrong data',
    });
    isGood = false;
    gates.delete('first');
    await act('Retry');
    await expect.poll(() => gates.has('first')).toBe(true);
    gates.get('first')?.();
    await page
      .getByRole('alert')
      .getByText(/No model is good enough/)
      .waitFor();
    isGood = true;
    // From the step that failed, with what the steps before have put out.
    await act('Run from here');
    await expect.poll(() => page.url()).not.toContain(id);
    await page.getByText('completed').first().waitFor();
    const { executions } = await pipelines.list({ pipeline: 'train', limit: 1 });
    expect(executions[0]?.partial).toEqual({ steps: ['judge'], reuse: id });
    expect(errors).toEqual([]);
  }, 60_000);

  test('a pipeline is started with parameters; its schedule is paused and fired; nothing is wider than a telephone', async () => {
    const { page, go, errors, faults } = await look(server.url, { width: 390 });
    await go('#/pipelines/train');
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('textbox').fill('{ "rate": "high" }');
    await dialog.getByRole('button', { name: 'Start', exact: true }).click();
    await dialog.getByRole('alert').getByText(/rate/).waitFor();
    await dialog.getByRole('textbox').fill('{ "rate": 3 }');
    await dialog.getByRole('button', { name: 'Start', exact: true }).click();
    await page.getByText('"rate": 3').waitFor();
    await go('#/pipelines?tab=schedules');
    await page
      .getByRole('row', { name: /^nightly/ })
      .getByRole('button', { name: 'Pause' })
      .click();
    await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('row', { name: /^nightly.*paused/ }).waitFor();
    expect((await platform.pipelines.schedules.get('nightly')).active).toBe(false);
    await page.getByRole('row', { name: /data\.arrived/ }).waitFor();
    for (const place of [
      '#/pipelines',
      '#/pipelines?tab=definitions',
      '#/pipelines?tab=schedules',
      '#/pipelines?tab=queue',
      '#/events',
      '#/system',
    ]) {
      await go(place);
      await page.locator('main h2').first().waitFor();
      expect(await widthOf(page), place).toBeLessThanOrEqual(390);
      // The others are looked at by the tests of what they show.
      if (place.includes('tab=')) expect(await faults(), place).toEqual([]);
    }
    // The start that was refused is the browser's own line.
    expect(errors.filter((each) => !each.includes('400'))).toEqual([]);
  }, 60_000);
});

describe('events', () => {
  test('are filtered by what the address says, come by themselves, and lead to all of their correlation', async () => {
    const { page, go, errors, faults } = await look(server.url);
    const { events } = platform;
    const paid = (n: number) =>
      events.publish({ type: 'invoice.paid', subject: `invoice:${n}`, payload: { amount: n } });
    await paid(1);
    await go('#/events');
    await page.getByLabel('Type').fill('invoice.paid');
    await page.getByLabel('Type').press('Enter');
    await expect.poll(() => page.url()).toContain('type=invoice.paid');
    await page.getByRole('cell', { name: 'invoice:1', exact: true }).waitFor();
    await paid(2);
    await page.getByRole('cell', { name: 'invoice:2', exact: true }).waitFor();
    expect(await page.locator('.event-table tbody tr').count()).toBe(2);
    await page.getByRole('button', { name: 'show' }).first().click();
    await page.getByText('"amount": 2').waitFor();
    expect(await faults()).toEqual([]);
    const shown = page.url();
    await page.goto('about:blank');
    await page.goto(shown);
    await page.getByRole('cell', { name: 'invoice:1', exact: true }).waitFor();
    await page.getByLabel('Since').fill('yesterday');
    await page.getByLabel('Since').press('Enter');
    await page.getByText(/"yesterday" is no time/).waitFor();
    const [execution] = (await platform.pipelines.list({ pipeline: 'train', limit: 1 })).executions;
    await go(`#/events/correlation/${execution?.correlationId}`);
    await page.locator('ul.tree').getByText('pipeline.completed').waitFor();
    await page.getByRole('heading', { name: 'Waterfall' }).waitFor();
    expect(await faults()).toEqual([]);
    await page.getByRole('button', { name: 'step judge' }).click();
    await expect.poll(() => page.url()).toContain(`/pipelines/train/${execution?.id}`);
    await page.getByRole('link', { name: 'what it took and made' }).click();
    await page.getByRole('button', { name: /^judge \(train\)/ }).waitFor();
    expect(errors).toEqual([]);
  }, 60_000);

  test('what was given up is handed over again from its page', async () => {
    const { page, go, errors, faults } = await look(server.url);
    isGood = false;
    await platform.events.publish({ type: 'invoice.paid', subject: 'invoice:lost', payload: {} });
    await go('#/events?tab=dead-letters');
    const row = page.getByRole('row', { name: /invoice:lost.*smtp: 421/ });
    await row.waitFor();
    expect(await faults()).toEqual([]);
    await go('#/events?tab=subscriptions');
    await page.getByRole('row', { name: /^mail .*gave up events/ }).waitFor();
    isGood = true;
    await go('#/events?tab=dead-letters');
    await row.getByRole('button', { name: 'Replay' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Replay' }).click();
    await expect.poll(async () => (await platform.events.deadLetters('mail')).length).toBe(0);
    await page.reload();
    await page.getByText('Nothing was given up').waitFor();
    expect(errors).toEqual([]);
  }, 60_000);

  test('lineage is drawn of anything that has an id', async () => {
    const { page, go, errors, faults } = await look(server.url);
    const [execution] = (await platform.pipelines.list({ pipeline: 'train', limit: 1 })).executions;
    await go('#/events?tab=lineage');
    await page.getByLabel(/^Id of a run/).fill(execution?.id ?? '');
    await page.getByLabel(/^Id of a run/).press('Enter');
    await page.getByRole('button', { name: /^judge \(train\)/ }).waitFor();
    expect(await faults()).toEqual([]);
    expect(errors).toEqual([]);
  }, 60_000);
});

describe('the system', () => {
  test('checks are run and looked into; loops, times and failures are told; a correlation id is looked up', async () => {
    const { page, go, errors, faults } = await look(server.url);
    await go('#/system');
    await page.getByRole('button', { name: 'Run all checks now' }).click();
    await page.getByRole('row', { name: /^database healthy/ }).waitFor();
    await page.getByRole('button', { name: 'disk', exact: true }).click();
    await page.getByText('Changes of machine').waitFor();
    expect(await faults()).toEqual([]);
    await go('#/system?tab=work');
    await page.getByRole('row', { name: /^pipelines runs/ }).waitFor();
    await page.getByRole('row', { name: /^Step of a pipeline train/ }).waitFor();
    await page.getByRole('row', { name: /^Handlers mail failed 1/ }).waitFor();
    expect(await faults()).toEqual([]);
    await platform.operations.quotas.set({ resource: 'storage', limit: 2 ** 30 });
    await go('#/system?tab=storage');
    await page.getByText(/of 1\.0 GiB/).waitFor();
    const incident = await platform.operations.incidents.open({ title: 'Scores are late' });
    await go('#/system?tab=incidents');
    await page.getByRole('link', { name: 'Scores are late' }).waitFor();
    expect(await faults()).toEqual([]);
    await page.getByLabel('Correlation id').fill(incident.correlationId);
    await page.getByLabel('Correlation id').press('Enter');
    await page.locator('ul.tree').getByText('incident.opened').waitFor();
    expect(errors).toEqual([]);
  }, 60_000);
});

/** How wide the page is, what does not fit included. */
function widthOf(page: Sight['page']): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth');
}
