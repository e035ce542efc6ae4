import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { findDebianProgram } from '../../../core/test/debian-program.ts';
import { type InferenceServer, serve } from '../serve.ts';
import { ServingBed, weatherBody } from '../testing/serving-bed.ts';
import { ServingMetrics } from './serving-metrics.ts';

const promtool = findDebianProgram('promtool');

test('requests are counted by deployment, version and status, whoever asks for what', async () => {
  await using bed = await ServingBed.open();
  await bed.addModel('a');
  bed.setRoute({ a: 100 });
  await using server = await serve(bed.source, { deployments: ['weather'], replicas: 1 });
  const ask = async (deployment: string, body: string): Promise<void> => {
    const answer = await fetch(`${server.url}/v2/models/${deployment}/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    await answer.arrayBuffer();
  };
  for (let i = 0; i < 3; i += 1) await ask('weather', weatherBody([[1, 2]]));
  await ask('weather', weatherBody([[1, 2]], { parameters: { throw: 'no' } }));
  await ask('weather', '{');
  await ask(
    'weather',
    JSON.stringify({ inputs: [{ name: 'y', shape: [0], datatype: 'FP64', data: [] }] }),
  );
  for (let i = 0; i < 20; i += 1) await ask(`invented-${i}`, weatherBody([[1, 2]]));
  const answer = await fetch(`${server.url}/metrics`);
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  const text = await answer.text();
  const requests = text.split('\n').filter((line) => /^keelson_serving_requests_total/.test(line));
  const labels = (version: string, replica: string, deployment = 'weather'): string =>
    `deployment="${deployment}",version="${version}",replica="${replica}"`;
  const one = labels('1.0.a', replicaOf(server));
  expect(requests).toEqual([
    `keelson_serving_requests_total{${one},status="200"} 3`,
    `keelson_serving_requests_total{${one},status="500"} 1`,
    `keelson_serving_requests_total{${labels('', '')},status="400"} 1`,
    `keelson_serving_requests_total{${labels('1.0.a', '')},status="422"} 1`,
    `keelson_serving_requests_total{${labels('', '', 'unknown')},status="404"} 20`,
  ]);
  expect(text).toContain(`keelson_serving_request_duration_seconds_count{${one}} 4\n`);
  for (const phase of ['queue', 'model']) {
    const count = `keelson_serving_${phase}_duration_seconds_count{deployment="weather",version="1.0.a"} 3\n`;
    expect(text).toContain(count);
  }
  expect(text).toContain(
    'keelson_serving_ready_replicas{deployment="weather",version="1.0.a"} 1\n',
  );
  expect(server.metrics()).toBe(text);
});

function replicaOf(server: InferenceServer): string {
  return server.status()[0]?.versions[0]?.replicas[0]?.id ?? '';
}

test.skipIf(promtool === undefined)('promtool finds nothing to say against it', async () => {
  const hosts = new Map();
  const metrics = new ServingMetrics(hosts);
  const job = {
    outputs: [],
    replica: 'r "1"',
    queueMs: 0.2,
    inferenceMs: 3,
    attempts: 1,
    batchRows: 8,
  };
  const answered = {
    deployment: 'd',
    version: 'é\n',
    replica: job.replica,
    status: 200,
    latencyMs: 4,
    job,
  };
  metrics.note(answered);
  const child = spawn(promtool ?? '', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
  const said: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => said.push(part));
  child.stderr.on('data', (part: Buffer) => said.push(part));
  child.stdin.end(metrics.text());
  const [code] = (await once(child, 'close')) as [number];
  expect([code, Buffer.concat(said).toString()]).toEqual([0, '']);
});

test('the buckets tell quantiles as the histogram has them, and replicas that come and go stay bounded', () => {
  const metrics = new ServingMetrics(new Map());
  const answered = { deployment: 'd', version: '1', status: 200, job: undefined };
  const latencies = [0.01, 0.1, 0.5, 3, 3.1, 70, 900, 80_000];
  for (const latencyMs of latencies) metrics.note({ ...answered, replica: 'a', latencyMs });
  const upTo = [...metrics.text().matchAll(/duration_seconds_bucket\{.*le="(.*?)"\} (\d+)/g)].map(
    ([, le, count]) =>
      [Number(le === '+Inf' ? Number.POSITIVE_INFINITY : le) * 1000, Number(count)] as const,
  );
  expect(upTo.length).toBe(82);
  for (const [bound, count] of upTo)
    expect([bound, count]).toEqual([bound, latencies.filter((latency) => latency < bound).length]);
  expect(metrics.text()).toContain('_sum{deployment="unknown",version="1",replica="a"} 80.97');
  for (let i = 0; i < 2_000; i += 1) metrics.note({ ...answered, replica: `r${i}`, latencyMs: 1 });
  const counts = metrics.text().match(/request_duration_seconds_count/g) ?? [];
  expect(counts.length).toBe(250);
  expect(metrics.text()).toMatch(
    /duration_seconds_count\{deployment="other",version="other",replica="other"\} 17/,
  );
});
