import { describe, expect, test } from 'vitest';
import { createHandler } from '../src/handler.ts';
import { canary, signed } from './example-bed.ts';
import { shareExampleBed } from './share-example-bed.ts';

const bed = shareExampleBed();
const json = { 'content-type': 'application/json' };

async function send(
  method: string,
  path: string,
  body?: unknown,
  more: { readonly token?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<{
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: JSON, whose fields the tests look into
  readonly body: any;
}> {
  const answer = await bed.ask(path, {
    method,
    headers: { ...json, ...more.headers },
    ...(more.token === undefined ? {} : { token: more.token }),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: text.startsWith('{') ? JSON.parse(text) : text };
}

async function keyOf(principal: string, ...permissions: string[]): Promise<string> {
  const { access } = bed.platform.operations;
  const role = principal.replace('user:', '');
  await access.defineRole({ name: role, permissions });
  await access.grant({ principal, role });
  return (await access.createApiKey({ principal, name: role, scopes: ['*'] })).secret;
}

describe('inference beside the control plane', () => {
  const predict = {
    instances: [
      { wind: 3, cloud: 0.5 },
      { wind: -3, cloud: 0 },
    ],
  };

  test('the paths of serving are answered by it, at the same address', async () => {
    const answer = await send('POST', '/v1/models/scored:predict', predict);
    expect(answer).toMatchObject({ status: 200, body: { predictions: ['rain', 'sun'] } });
    expect((await send('GET', '/v1/models/scored/metadata')).status).toBe(200);
    expect((await send('POST', '/v2/models/scored/infer', { inputs: [] })).status).toBe(400);
    expect((await send('GET', '/v2/health/ready', undefined, { token: '' })).status).toBe(200);
    expect((await send('GET', '/v1/models/none/metadata')).status).toBe(404);
    // The control plane's own paths are not its.
    expect((await send('GET', '/api/v1/models/scored')).status).toBe(200);
  });

  test('/metrics has the figures of serving beside those of the platform, each family once', async () => {
    await send('POST', '/v1/models/scored:predict', predict);
    const { body } = await send('GET', '/metrics');
    expect(body).toMatch(/^keelson_serving_requests_total\{deployment="scored"/m);
    const families = [...body.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(new Set(families).size).toBe(families.length);
    expect(families.length).toBeGreaterThan(5);
    expect((await send('GET', '/metrics', undefined, { token: '' })).status).toBe(401);
  });

  test('callers take the right to predict, and strangers learn nothing', async () => {
    const reader = await keyOf('user:reader', 'deployment.read');
    const caller = await keyOf('user:caller', 'deployment.predict');
    const path = '/v1/models/scored:predict';
    expect((await send('POST', path, predict, { token: caller })).status).toBe(200);
    const refused = [
      await send('POST', path, predict, { token: reader }),
      await send('POST', '/v2/models/scored/infer', predict, { token: reader }),
      await send('GET', '/v1/models/scored/metadata', undefined, { token: caller }),
      await send('GET', '/v2/models/stats', undefined, { token: caller }),
      await send('POST', '/v2/repository/models/scored/unload', {}, { token: caller }),
    ];
    expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403]);
    for (const each of ['scored', 'none']) {
      const nobody = await send('POST', `/v1/models/${each}:predict`, predict, { token: '' });
      expect([nobody.status, JSON.stringify(nobody.body)]).toEqual([
        401,
        expect.stringMatching(/^\{"error":"Send an API key/),
      ]);
    }
  });

  test('POST /deployments/predict: one row or several, by model, with the faults of serving', async () => {
    const path = '/api/v1/deployments/predict';
    const asked = { model_name: 'scored', input_data: { wind: 3, cloud: 0.5 }, version: '1.0.0' };
    expect((await send('POST', path, asked)).body).toMatchObject({
      deployment: 'scored',
      version: '1.0.0',
      predictions: ['rain'],
    });
    const wrong = await send('POST', path, { name: 'scored', input: [{ wind: 'much' }] });
    expect(wrong).toMatchObject({ status: 400, body: { code: 'INVALID' } });
    expect(wrong.body.detail).toContain('instances[0]');
    const elsewhere = await send('POST', path, { name: 'live', input: [1] });
    expect(elsewhere.status).toBe(404);
    const handler = createHandler(bed.platform);
    const answer = await handler.fetch(
      new Request(`http://keelson.test${path}`, {
        method: 'POST',
        headers: { ...json, authorization: `Bearer ${bed.token}` },
        body: JSON.stringify(asked),
      }),
    );
    expect([answer.status, await answer.text()]).toEqual([
      422,
      expect.stringContaining('No deployment is served by this process'),
    ]);
  });
});

describe('webhooks', () => {
  const path = '/api/v1/webhooks/from-ci';
  const body = '{"branch":"main"}';
  const call = (
    headers: Record<string, string>,
    { at = path, bytes = body }: { readonly at?: string; readonly bytes?: string } = {},
  ): Promise<Response> =>
    bed.ask(at, { method: 'POST', body: bytes, token: '', headers: { ...json, ...headers } });
  const started = async (): Promise<number> => {
    const { executions } = await bed.platform.pipelines.list({ pipeline: 'train', limit: 1000 });
    return executions.filter(({ trigger }) => trigger === 'WEBHOOK').length;
  };

  test('a signed call starts the pipeline; the same again starts nothing', async () => {
    const before = await started();
    const headers = signed(body, { id: 'delivery-1' });
    const first = (await (await call(headers)).json()) as { execution: { id: string } };
    const again = (await (await call(headers)).json()) as { execution: { id: string } };
    // A sender that tries again signs anew.
    const later = await call(signed(body, { id: 'delivery-1', at: Date.now() - 1_000 }));
    expect(((await later.json()) as { execution: { id: string } }).execution.id).toBe(
      first.execution.id,
    );
    expect(again.execution.id).toBe(first.execution.id);
    expect(await started()).toBe(before + 1);
  });

  test.each<[string, (good: Record<string, string>) => Record<string, string>]>([
    ['no signature', () => ({})],
    [
      'another secret',
      () => signed(body, { secret: `whsec_${Buffer.alloc(32).toString('base64')}` }),
    ],
    ['a signature of six minutes ago', () => signed(body, { at: Date.now() - 360_000 })],
    ['one of the future', () => signed(body, { at: Date.now() + 360_000 })],
    ['another body', () => signed('{"branch":"evil"}')],
    ['another id', (good) => ({ ...good, 'webhook-id': 'other' })],
    [
      'another time',
      (good) => ({ ...good, 'webhook-timestamp': String(Math.floor(Date.now() / 1000) - 9) }),
    ],
  ])('%s is refused', async (_, change) => {
    const before = await started();
    const answer = await call(change(signed(body)));
    expect([answer.status, await answer.text()]).toEqual([
      401,
      expect.stringContaining('not to be believed'),
    ]);
    expect(await started()).toBe(before);
  });

  test('a trigger that takes no calls is refused as a wrong signature is', async () => {
    const texts = [];
    for (const at of [path, '/api/v1/webhooks/drift', '/api/v1/webhooks/none']) {
      const wrong = signed(body, { secret: `whsec_${Buffer.alloc(32).toString('base64')}` });
      const answer = await call(wrong, { at });
      const { correlationId: _, ...said } = (await answer.json()) as Record<string, unknown>;
      texts.push(JSON.stringify(said));
    }
    expect(new Set(texts).size).toBe(1);
    expect(() => createHandler(bed.platform, { webhooks: { a: { secrets: 'short' } } })).toThrow(
      /16 characters/,
    );
  });

  test('what is signed and no object, or too long, is refused', async () => {
    expect((await call(signed('[]'), { bytes: '[]' })).status).toBe(400);
    const long = JSON.stringify({ text: 'x'.repeat(2 ** 20) });
    expect((await call(signed(long), { bytes: long })).status).toBe(413);
  });
});

describe('predictions made elsewhere', () => {
  test('in the words of the design document, and visible at once', async () => {
    const entry = {
      model_name: 'scored',
      model_version: 'v1.0.0',
      input_features: { wind: 1.5, city: 'Oslo' },
      prediction: 0.85,
      latency_ms: 12.5,
      timestamp: Date.now() / 1000 - 5,
      request_id: 'elsewhere-1',
    };
    const logged = await send('POST', '/monitor/log_prediction', entry);
    expect(logged).toEqual({ status: 201, body: { accepted: 1, requestIds: ['elsewhere-1'] } });
    const { id } = await bed.platform.registry.resolve('scored@1.0.0');
    const { body } = await send('GET', '/monitor/predictions?model=scored&hours=1');
    const found = body.predictions.find(
      (each: { requestId: string }) => each.requestId === 'elsewhere-1',
    );
    expect(found).toMatchObject({
      versionId: id,
      features: { wind: 1.5, city: 'Oslo' },
      prediction: 0.85,
      latencyMs: 12.5,
    });
    const label = { labels: [{ request_id: 'elsewhere-1', value: 1, observed_at: Date.now() }] };
    const told = await send('POST', '/api/v1/monitoring/scored/labels', label);
    expect(told.body).toMatchObject({ accepted: 1, refused: [] });
    const unknown = await send('POST', '/api/v1/monitoring/scored/labels', {
      labels: [{ requestId: 'none', value: 1, observedAt: Date.now() }],
    });
    expect(unknown.body).toMatchObject({ accepted: 0, refused: [{ code: 'NOT_FOUND' }] });
  });

  test('a batch is taken whole or not at all', async () => {
    const good = { name: 'scored', features: { wind: 1 }, prediction: 1, requestId: 'whole-1' };
    const bad = await send('POST', '/api/v1/monitoring/predictions/batch', {
      entries: [good, { ...good, requestId: 'whole-2', confidence: 7 }],
    });
    expect(bad).toMatchObject({
      status: 400,
      body: { errors: [{ path: 'body.predictions.1.confidence' }] },
    });
    const none = { predictions: [good, { ...good, name: 'nowhere' }] };
    expect((await send('POST', '/api/v1/monitoring/predictions/batch', none)).status).toBe(404);
    const { body } = await send('GET', '/api/v1/monitoring/predictions?name=scored&limit=1000');
    const ids = body.predictions.map((each: { requestId: string }) => each.requestId);
    expect(ids).not.toContain('whole-1');
  });

  test('who may see what was predicted need not see from what, and of whom', async () => {
    const token = await keyOf('user:onlooker', 'deployment.read', 'prediction.read.output');
    const path = '/api/v1/monitoring/predictions?name=live&hours=10';
    const { body } = await send('GET', path, undefined, { token });
    expect(body.predictions.length).toBeGreaterThan(10);
    for (const each of body.predictions) {
      expect(each).toMatchObject({ features: {}, requestId: '' });
      expect(each).not.toHaveProperty('userId');
    }
    const whole = await send('GET', path);
    expect(whole.body.predictions[0].features).toHaveProperty('wind');
    // Pseudonyms, even so.
    expect(JSON.stringify(whole.body)).not.toContain(canary);
  });
});

describe('thresholds', () => {
  const path = '/api/v1/monitoring/models/live/thresholds';
  const bounds = async (figure: string): Promise<unknown[]> =>
    (await send('GET', path)).body.thresholds.filter(
      (each: { figure: string }) => each.figure === figure,
    );

  test('a figure that a rule is in force for keeps its rule, others get one, null takes it away', async () => {
    const { alertRules } = bed.platform.monitoring;
    await alertRules.put({
      ...{ name: 'slow', deployment: 'live', figure: 'latency_p95', above: 300, forMs: 60_000 },
    });
    const set = await send('PUT', path, {
      metric_thresholds: { latency_p95: { CRITICAL: 900 }, error_rate: 0.03 },
    });
    expect(set.status).toBe(200);
    expect(await bounds('latency_p95')).toEqual([
      { figure: 'latency_p95', rule: 'slow', above: { CRITICAL: 900 } },
    ]);
    expect((await alertRules.get('slow', { deployment: 'live' })).forMs).toBe(60_000);
    expect(await bounds('error_rate')).toMatchObject([{ above: 0.03 }]);
    await send('PUT', path, { thresholds: { error_rate: null } });
    expect(await bounds('error_rate')).toEqual([]);
  });

  test('what is no figure, and what several rules read, is refused by name', async () => {
    const unknown = await send('PUT', path, { thresholds: { happiness: 1 } });
    expect([unknown.status, unknown.body.detail]).toEqual([
      400,
      expect.stringContaining('happiness'),
    ]);
    const { alertRules } = bed.platform.monitoring;
    for (const name of ['one', 'two'])
      await alertRules.put({ name, deployment: 'live', figure: 'queue_p50', above: 1 });
    const several = await send('PUT', path, { thresholds: { queue_p50: 2 } });
    expect([several.status, several.body.detail]).toEqual([
      409,
      expect.stringContaining('one, two'),
    ]);
  });
});

test('a new key works at once, is told once, and is refused once it is revoked', async () => {
  const made = await send('POST', '/api/v1/access/keys', { name: 'ci', scopes: ['tracking.*'] });
  const { key, secret } = made.body;
  const read = '/api/v1/experiments/weather';
  expect((await send('GET', read, undefined, { token: secret })).status).toBe(200);
  const listed = JSON.stringify((await send('GET', '/api/v1/access/keys')).body);
  expect(listed).toContain(key.id);
  expect(listed).not.toContain(secret.slice(-20));
  // A key is kept nowhere, so that none can be answered twice.
  const kept = await send(
    'POST',
    '/api/v1/access/keys',
    { name: 'ci', scopes: ['*'] },
    { headers: { 'idempotency-key': 'once' } },
  );
  expect(kept).toMatchObject({ status: 400, body: { code: 'INVALID' } });
  expect((await send('DELETE', `/api/v1/access/keys/${key.id}`)).status).toBe(200);
  expect((await send('GET', read, undefined, { token: secret })).status).toBe(401);
});
