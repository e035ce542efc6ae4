import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findDebianProgram } from '../../../test/debian-program.ts';
import { dashboard, eventNouns, metricsPage, parts, rules } from '../../../test/observability.ts';
import { openTestPlatform, temporaryDirectory, until } from '../../../test/open-test-platform.ts';
import { openHttpReceiver } from '../../../test/receivers/http-receiver.ts';
import { eventCatalogue, eventTypes } from '../../events/event-catalogue.ts';
import { webhookNotifier } from '../notifiers/webhook-notifier.ts';
import { type MetricName, type MetricPart, metricCatalogue } from './metric-catalogue.ts';
import { Metrics, metricsContentType } from './metrics.ts';

const promtool = findDebianProgram('promtool');
const prometheus = findDebianProgram('prometheus');
const docs = '../../../../../docs/observability';
const rulesPath = fileURLToPath(new URL(`${docs}/rules.yml`, import.meta.url));

describe('the text', () => {
  test('has every kind of value, escaped, in the format', () => {
    const metrics = new Metrics();
    metrics.add('keelson_commits_total', ['ok'], 3);
    metrics.set('keelson_dead_letters', ['a "quoted"\\\nname'], Number.POSITIVE_INFINITY);
    for (const seconds of [0.0005, 0.001, 0.3, 99])
      metrics.observe('keelson_commit_duration_seconds', [], seconds);
    const text = metrics.text();
    expect(text).toContain(
      '# TYPE keelson_commits_total counter\nkeelson_commits_total{outcome="ok"} 3\n',
    );
    expect(text).toContain('keelson_dead_letters{subscription="a \\"quoted\\"\\\\\\nname"} +Inf\n');
    expect(text).toContain('keelson_commit_duration_seconds_bucket{le="0.001"} 2\n');
    expect(text).toContain('keelson_commit_duration_seconds_bucket{le="0.5"} 3\n');
    expect(text).toContain('keelson_commit_duration_seconds_bucket{le="10"} 3\n');
    expect(text).toContain('keelson_commit_duration_seconds_bucket{le="+Inf"} 4\n');
    expect(text).toContain('keelson_commit_duration_seconds_sum 99.3015\n');
    expect(text).toContain('keelson_commit_duration_seconds_count 4\n');
  });

  test('one label set too many is `other`, however many there are', () => {
    const metrics = new Metrics();
    for (let i = 0; i < 10_000; i += 1) metrics.add('keelson_events_emitted_total', [`t${i}.done`]);
    const lines = metrics
      .text()
      .split('\n')
      .filter((line) => line.startsWith('keelson_'));
    expect(lines.length).toBe(metricCatalogue.keelson_events_emitted_total.maxSeries);
    expect(lines.at(-1)).toBe('keelson_events_emitted_total{type="other"} 9851');
  });

  test.skipIf(promtool === undefined)('promtool finds nothing to say against it', async () => {
    const metrics = new Metrics();
    for (const [name, { type, labels }] of Object.entries(metricCatalogue)) {
      const values = labels.map((label) => `${label} "é"\n`);
      if (type === 'histogram') metrics.observe(name as MetricName, values, 0.2);
      else metrics.set(name as MetricName, values, 1.5e-7);
    }
    const child = spawn(promtool ?? '', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
    const said: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => said.push(part));
    child.stderr.on('data', (part: Buffer) => said.push(part));
    child.stdin.end(metrics.text());
    const [code] = (await once(child, 'close')) as [number];
    expect([code, Buffer.concat(said).toString()]).toEqual([0, '']);
  });
});

describe('docs/observability', () => {
  test('is what the catalogue says', async () => {
    await expect(metricsPage()).toMatchFileSnapshot(`${docs}/metrics.md`);
    await expect(rules()).toMatchFileSnapshot(`${docs}/rules.yml`);
    for (const part of parts) {
      await expect(dashboard(part)).toMatchFileSnapshot(`${docs}/dashboards/${part}.json`);
    }
  });

  test('dashboards and rules name only metrics that there are, and every metric is shown', async () => {
    const known = new Set(
      Object.entries(metricCatalogue).flatMap(([name, { type }]) =>
        type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
      ),
    );
    const shown = parts.map(dashboard).join('\n');
    const exprs = [...shown.matchAll(/"expr": (".*")/g), ...rules().matchAll(/expr: (".*")/g)];
    const named = exprs.flatMap(([, expr]) => [
      ...(JSON.parse(expr as string) as string).matchAll(/\b(?:keelson|process)_[a-z_]+/g),
    ]);
    expect(named.length).toBeGreaterThan(50);
    expect(named.map(([name]) => name).filter((name) => !known.has(name))).toEqual([]);
    const all = new Set(named.map(([name]) => name.replace(/_bucket$/, '')));
    expect(Object.keys(metricCatalogue).filter((name) => !all.has(name))).toEqual([]);
  });

  test('every event of the five parts is in the panel of its part', () => {
    for (const type of eventTypes) {
      const nouns = eventNouns[eventCatalogue[type].source as MetricPart];
      if (nouns !== undefined) expect(type).toMatch(new RegExp(`^(${nouns})\\.`));
    }
  });

  test.skipIf(promtool === undefined)('promtool takes the rules', async () => {
    const { stdout } = await promisify(execFile)(promtool ?? '', ['check', 'rules', rulesPath]);
    expect(stdout).toMatch(/SUCCESS: \d+ rules found/);
  });
});

describe('operations.metrics', () => {
  test('tells of commits, events, handlers, loops, points and what the store knows', async () => {
    const receiver = await openHttpReceiver(() => ({ status: 503 }));
    const to = webhookNotifier({ url: receiver.url, secret: 's' });
    const { platform } = await openTestPlatform({
      notifiers: [{ to, types: ['run.completed'] }],
    });
    const { events, operations, tracking } = platform;
    await events.subscribe('broken', { types: ['run.started'], maxAttempts: 1 }, () => {
      throw new Error('no');
    });
    const open = await tracking.startRun({ experiment: 'e', environment: false });
    await tracking.withRun({ experiment: 'e', environment: false }, (run) => {
      for (let i = 0; i < 100; i += 1) run.logMetric('loss', i);
    });
    platform.start();
    const value = async (line: string): Promise<number> => {
      const text = await operations.metrics();
      const found = text.split('\n').find((each) => each.startsWith(`${line} `));
      return found === undefined ? Number.NaN : Number(found.slice(line.length + 1));
    };
    await until(
      'dead letters',
      async () => (await value('keelson_dead_letters{subscription="broken"}')) === 2,
    );
    await until('an attempt', async () => receiver.received.length > 0);
    expect(await value('keelson_events_emitted_total{type="run.started"}')).toBe(2);
    expect(
      await value('keelson_event_handlings_total{subscription="broken",outcome="failed"}'),
    ).toBe(2);
    expect(await value('keelson_runs_open')).toBe(1);
    // Those of probes are among them.
    expect(await value('keelson_points_logged_total')).toBeGreaterThanOrEqual(100);
    expect(await value('keelson_points_lost_total')).toBe(0);
    expect(await value('keelson_notifications_pending{notifier="webhook"}')).toBe(1);
    expect(await value('keelson_commits_total{outcome="ok"}')).toBeGreaterThan(5);
    expect(await value('keelson_loop_rounds_total{loop="reaper",outcome="ok"}')).toBeGreaterThan(0);
    const last = await value('keelson_loop_last_success_timestamp_seconds{loop="reaper"}');
    expect(Math.abs(Date.now() / 1000 - last)).toBeLessThan(60);
    await open.finish();
    expect(await value('keelson_runs_open')).toBe(0);
  });

  test.skipIf(prometheus === undefined)(
    'a real Prometheus scrapes them and runs the rules',
    async () => {
      const { platform } = await openTestPlatform();
      await platform.tracking.withRun({ experiment: 'e', environment: false }, () => undefined);
      const server = createServer((_, response) => {
        const answer = async (): Promise<void> => {
          const text = await platform.operations.metrics();
          response.writeHead(200, { 'content-type': metricsContentType }).end(text);
        };
        answer().catch((error: unknown) => response.destroy(error as Error));
      });
      const target = await listen(server);
      onTestFinished(() => void server.close());
      const dir = await temporaryDirectory();
      const free = createServer();
      const port = await listen(free);
      await new Promise((resolve) => free.close(resolve));
      await writeFile(join(dir, 'rules.yml'), await readFile(rulesPath));
      await writeFile(
        join(dir, 'prometheus.yml'),
        JSON.stringify({
          global: {
            scrape_interval: '200ms',
            scrape_timeout: '200ms',
            evaluation_interval: '200ms',
          },
          rule_files: ['rules.yml'],
          scrape_configs: [
            { job_name: 'keelson', static_configs: [{ targets: [`127.0.0.1:${target}`] }] },
          ],
        }),
      );
      const child = spawn(
        prometheus ?? '',
        [
          `--config.file=${join(dir, 'prometheus.yml')}`,
          `--storage.tsdb.path=${join(dir, 'data')}`,
          `--web.listen-address=127.0.0.1:${port}`,
        ],
        { stdio: 'ignore' },
      );
      onTestFinished(async () => {
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        if (child.exitCode === null && child.signalCode === null) await gone;
      });
      const ask = async (path: string): Promise<unknown> => {
        const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`).catch(
          () => undefined,
        );
        return answer?.status === 200
          ? ((await answer.json()) as { data: unknown }).data
          : undefined;
      };
      const query = encodeURIComponent('keelson_events_emitted_total{type="run.completed"}');
      await until('the scrape', async () => {
        const data = (await ask(`query?query=${query}`)) as {
          result: { value: [number, string] }[];
        };
        return data?.result[0]?.value[1] === '1';
      });
      type Group = { rules: { name: string; health: string }[] };
      const ruled = async (): Promise<Group[]> =>
        ((await ask('rules')) as { groups: Group[] }).groups;
      await until('all rules have run', async () =>
        (await ruled()).every((group) => group.rules.every(({ health }) => health !== 'unknown')),
      );
      const bad = (await ruled())
        .flatMap((group) => group.rules)
        .filter(({ health }) => health !== 'ok');
      expect(bad).toEqual([]);
      const targets = (await ask('targets')) as {
        activeTargets: { health: string; lastError: string }[];
      };
      expect(targets.activeTargets).toMatchObject([{ health: 'up', lastError: '' }]);
    },
  );
});

async function listen(server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}
