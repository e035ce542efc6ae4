import { expect, test } from 'vitest';
import { serve } from '../serve.ts';
import { ServingBed, weatherBody } from '../testing/serving-bed.ts';

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
  await ask('weather', '{');
  for (let i = 0; i < 20; i += 1) await ask(`invented-${i}`, weatherBody([[1, 2]]));
  const answer = await fetch(`${server.url}/metrics`);
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  const text = await answer.text();
  const requests = text.split('\n').filter((line) => /^keelson_serving_requests_total/.test(line));
  const of = (version: string, status: number, deployment = 'weather'): string =>
    `keelson_serving_requests_total{deployment="${deployment}",version="${version}",status="${status}"}`;
  expect(requests).toEqual([
    `${of('1.0.a', 200)} 3`,
    `${of('', 400)} 1`,
    `${of('', 404, 'unknown')} 20`,
  ]);
  expect(text).toContain(
    'keelson_serving_request_duration_seconds_count{deployment="weather"} 4\n',
  );
  expect(text).toContain(
    'keelson_serving_ready_replicas{deployment="weather",version="1.0.a"} 1\n',
  );
  expect(server.metrics()).toBe(text);
});
