import { createHmac, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  defaultStagePolicy,
  definePipeline,
  type ModelVersion,
  openPlatform,
  type Platform,
} from '@keelson/core';
import { openServing, type Serving } from '@keelson/serve';
import { type AnyRoute, apiBase } from '../src/api/route.ts';
import { exampleRun, exampleRun2, exampleTime } from '../src/api/schemas.ts';
import { createHandler, type Handler, type HandlerOptions } from '../src/handler.ts';

/** What stands in what is stored, and must stand in no refusal. */
export const canary = 'canary-7f3a';

/** What callers of the webhook `from-ci` sign with. */
export const webhookSecret = `whsec_${Buffer.from('thirty-two bytes of a test, here').toString('base64')}`;

/** The headers of a webhook's call, as Standard Webhooks has them. */
export function signed(
  body: string,
  {
    id = randomUUID(),
    at = Date.now(),
    secret = webhookSecret,
  }: { readonly id?: string; readonly at?: number; readonly secret?: string } = {},
): Record<string, string> {
  const seconds = String(Math.floor(at / 1000));
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const mac = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': seconds,
    'webhook-signature': `v1,${mac}`,
  };
}

/** How a request differs from the row's example. */
export interface Asked {
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly method?: string;
}

const scoredModule = `
export const load = () => ({
  predict: ({ x }, { rowCount }) => ({
    label: Array.from({ length: rowCount }, (_, i) => (x.data[2 * i] > 0 ? 'rain' : 'sun')),
  }),
});
`;

/** A real platform, with access, that holds what the examples of the table name. */
export class ExampleBed {
  platform!: Platform;
  handler!: Handler;
  serving!: Serving;
  /** Of the owner. */
  token = '';
  /** Ids that the platform has given, by those of the examples. */
  readonly ids = new Map<string, string>();
  #dir = '';
  #later = 0;

  async open(): Promise<void> {
    this.#dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
    this.platform = await openPlatform({
      dir: join(this.#dir, '.keelson'),
      access: true,
      principal: { id: 'user:lead', roles: [] },
      clock: { now: () => Date.now() + this.#later },
    });
    const { secret } = await this.platform.operations.access.createApiKey({
      name: 'lead',
      scopes: ['*'],
    });
    this.token = secret;
    await this.#fill();
    this.serving = await openServing(this.platform, { deployments: ['scored'], replicas: 1 });
    this.handler = this.createHandler();
  }

  /** Another handler of the same platform. */
  createHandler(more: HandlerOptions = {}): Handler {
    const webhooks = { 'from-ci': { secrets: webhookSecret } };
    return createHandler(this.platform, { serving: this.serving, webhooks, ...more });
  }

  async close(): Promise<void> {
    await this.serving?.close();
    await this.platform.close();
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  /** Lets time pass for the platform. */
  pass(ms: number): void {
    this.#later += ms;
  }

  /** Asks a path, by the Web face. */
  ask(
    path: string,
    { token = this.token, headers, body, method = 'GET' }: Asked = {},
  ): Promise<Response> {
    return this.handler.fetch(
      new Request(`http://keelson.test${path}`, {
        method,
        headers: { ...(token === '' ? {} : { authorization: `Bearer ${token}` }), ...headers },
        ...(body === undefined ? {} : { body: body as NonNullable<RequestInit['body']> }),
      }),
    );
  }

  /** Asks what the example of a row asks. */
  askExample(row: AnyRoute, asked: Asked = {}): Promise<Response> {
    const { path, body } = this.requestOf(row);
    const json = body === undefined ? {} : { 'content-type': 'application/json' };
    const bytes = row.upload !== undefined && body === undefined ? 'bytes' : undefined;
    const sent = asked.body ?? body ?? bytes;
    return this.ask(path, {
      method: row.method,
      ...asked,
      headers: {
        ...json,
        ...(row.isSigned === true ? signed(String(sent)) : {}),
        ...asked.headers,
      },
      ...(sent === undefined ? {} : { body: sent }),
    });
  }

  /** Path and body of a row's example, with the ids that are really there. */
  requestOf(row: AnyRoute): { readonly path: string; readonly body?: string } {
    const { body, ...fields } = JSON.parse(this.exampleOf(row));
    const path = row.path.replace(/\{(\w+)(\+?)\}/g, (_, name: string, rest: string) => {
      const value = String(fields[name]);
      delete fields[name];
      return rest === '+' ? value : encodeURIComponent(value);
    });
    const query = new URLSearchParams(
      Object.entries(fields).map(([name, of]): [string, string] => [name, String(of)]),
    );
    const search = query.size === 0 ? '' : `?${query}`;
    return {
      path: `${apiBase}${path}${search}`,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    };
  }

  /** A row's example as JSON, with the ids that are really there. */
  exampleOf(row: AnyRoute): string {
    return this.withIds(JSON.stringify(row.example));
  }

  /** A text with the ids that are really there in place of those of the examples. */
  withIds(text: string): string {
    let known = text;
    for (const [example, id] of this.ids) known = known.replaceAll(example, id);
    return known;
  }

  async #fill(): Promise<void> {
    const { tracking } = this.platform;
    await tracking.createExperiment({ name: 'weather', description: canary });
    const old = await tracking.createExperiment({ name: 'old' });
    this.ids.set('deleted-experiment-id', old.id);
    for (const [i, id] of [exampleRun, exampleRun2, 'deep-1', 'deep-2'].entries()) {
      const run = await tracking.startRun({
        experiment: 'weather',
        id,
        name: `run-${i}`,
        tags: { secret: canary },
        params: { depth: 6 + i },
        environment: false,
      });
      for (let step = 0; step < 5; step += 1)
        run.logMetric('loss', (1 + i / 10) / (step + 1), { step });
      await run.logText('model/weights.txt', `weights ${i}`, { type: 'MODEL' });
      await run.logText('notes.txt', `${canary} of run ${i}`);
      await run.flush();
    }
    await tracking.elsewhere.start({ experiment: 'weather', id: 'run-of-remote' });
    await this.#fillRegistry();
    await this.#fillPipelines();
    await this.#fillDeployments();
    await this.#fillMonitoring();
    await this.#fillAccess();
    await this.platform.events.subscribe('mail', { types: ['run.completed'] }, () => undefined);
  }

  async #fillRegistry(): Promise<void> {
    const { registry } = this.platform;
    await registry.createModel({
      name: 'churn',
      policy: { ...defaultStagePolicy, selfApproval: true },
    });
    await this.#register('churn', '1.0.0');
    await this.#register('churn', '1.1.0');
    await registry.createModel({ name: 'plain' });
    const free = { checks: [], approvals: 0, approverRoles: [] };
    const transitions = [
      { ...free, from: 'DEVELOPMENT', to: 'STAGING' },
      { ...free, from: 'STAGING', to: 'PRODUCTION' },
    ] as const;
    await registry.createModel({ name: 'rolled', policy: { ...defaultStagePolicy, transitions } });
    for (const version of ['1.0.0', '2.0.0']) {
      await this.#register('rolled', version);
      for (const to of ['STAGING', 'PRODUCTION'] as const)
        await registry.requestTransition({ model: 'rolled', version, to, reason: 'it is good' });
    }
    const waiting = [transitions[0], { ...transitions[1], approvals: 1 }];
    for (const i of [1, 2, 3, 4]) {
      const model = `review-${i}`;
      const policy = { ...defaultStagePolicy, transitions: waiting, selfApproval: true };
      await registry.createModel({ name: model, policy });
      await this.#register(model, '1.0.0');
      const asked = { model, version: '1.0.0', reason: 'it is good' };
      await registry.requestTransition({ ...asked, to: 'STAGING' });
      const { id } = await registry.requestTransition({ ...asked, to: 'PRODUCTION' });
      this.ids.set(`transition-${i}`, id);
    }
  }

  async #fillPipelines(): Promise<void> {
    const { pipelines } = this.platform;
    const options = {
      version: '1.0.0',
      parameters: { type: 'object', properties: { rate: { type: 'number', default: 0.1 } } },
      triggers: [{ name: 'drift', on: 'drift.detected' }],
    } as const;
    const train = definePipeline('train', options, (p) => {
      p.step('train', {}, async ({ logger, outputs }) => {
        logger.info({}, canary);
        return await outputs.artifact('weights', Buffer.from(canary));
      });
    });
    pipelines.add(train);
    await pipelines.putDefinition(train);
    await pipelines.schedules.put({ name: 'nightly', pipeline: 'train', cron: '0 3 * * *' });
    for (const name of ['from-ci', 'idle'])
      await pipelines.triggers.put({ name, pipeline: 'train' });
    const { id } = await pipelines.start('train');
    await pipelines.wait(id);
    this.ids.set('execution-1', id);
    for (const name of ['execution-2', 'execution-3'])
      this.ids.set(name, (await pipelines.start('train')).id);
  }

  async #fillDeployments(): Promise<void> {
    const { deployments, registry } = this.platform;
    await registry.createModel({ name: 'served' });
    const first = await this.#register('served', '1.0.0');
    const second = await this.#register('served', '2.0.0');
    const common = {
      versionId: first.id,
      environment: 'STAGING',
      tags: { secret: canary },
    } as const;
    for (const name of ['live', 'unused', 'fresh', 'rolling', 'back'])
      await deployments.create({ name, ...common });
    await deployments.setVersion('back', second.id, 'it is better');
    const scored = await registry.register({
      ...{ model: 'scored', version: '1.0.0', format: 'JS', description: canary },
      from: { files: { 'model.mjs': Buffer.from(scoredModule) } },
      signature: {
        inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['wind', 'cloud'] }],
        outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
      },
    });
    await deployments.create({ ...common, name: 'scored', versionId: scored.id });
    const options = { versionId: second.id, strategy: 'canary', reason: canary } as const;
    this.ids.set('rollout-1', (await deployments.deploy('rolling', options)).id);
    for (const [i, name] of ['tested', 'tested-2'].entries()) {
      await deployments.create({ name, ...common });
      const { id } = await deployments.startAbTest({
        ...{ deployment: name, stickyHeader: 'x-user', reason: canary },
        arms: [
          { name: 'A', versionId: first.id, weightPercent: 50 },
          { name: 'B', versionId: second.id, weightPercent: 50 },
        ],
        metrics: [{ name: 'errors', outcome: { source: 'errors' }, goal: 'lower' }],
      });
      this.ids.set(`ab-test-${i + 1}`, id);
    }
  }

  async #fillMonitoring(): Promise<void> {
    const { deployments, monitoring, registry } = this.platform;
    const { id: versionId } = await registry.resolve('served@1.0.0');
    const hourMs = 3_600_000;
    const begin = Date.now() - 200 * hourMs;
    const rows = Array.from({ length: 200 }, (_, i) => ({
      features: { wind: (i % 20) - 10 },
      prediction: i % 2 === 0 ? 'rain' : 'sun',
      label: i % 2 === 0 ? 'rain' : 'sun',
    }));
    const live = await deployments.get('live');
    await monitoring.setBaseline({
      ...{ deployment: live, versionId, prediction: 'prediction' },
      reference: rows.map(({ features, prediction }) => ({ ...features, prediction })),
    });
    await monitoring.logPredictions(
      live.id,
      rows.slice(0, 50).map(({ features, prediction }, i) => ({
        ...{ features, prediction, versionId, requestId: `request-${i}`, role: 'primary' },
        ...{ at: Date.now() - 60_000 * (i + 1), latencyMs: 3, userId: canary },
      })),
    );
    const watched = await deployments.create({
      name: 'watched',
      versionId,
      environment: 'STAGING',
    });
    const rule = { alpha: 0.01, minimumTrials: 20, severity: 'CRITICAL' } as const;
    await monitoring.watchLabels({
      ...{ deployment: watched, versionId, reference: rows, at: begin },
      rules: [
        { ...rule, name: 'labels', rule: 'label-distribution', tolerance: 0, strata: [] },
        { ...rule, name: 'accuracy', rule: 'accuracy', tolerance: 0.02 },
      ],
    });
    await monitoring.logPredictions(
      watched.id,
      rows.slice(0, 100).map(({ features, prediction }, i) => ({
        ...{ features, prediction, versionId, requestId: `r${i}`, role: 'primary', latencyMs: 1 },
        at: begin + (i + 1) * hourMs,
      })),
    );
    await monitoring.logLabels(
      watched.id,
      rows.slice(0, 100).map((_, i) => ({
        ...{ requestId: `r${i}`, value: canary, observedAt: begin + (i + 2) * hourMs },
      })),
    );
    await monitoring.evaluate(watched.id, { at: begin + 150 * hourMs });
    for (const [i, { id }] of (await monitoring.listAlerts(watched.id)).entries())
      this.ids.set(`alert-${i + 1}`, id);
    const { id } = await monitoring.silence({
      ...{ match: { deployment: 'unused' }, reason: canary, forMs: hourMs },
    });
    this.ids.set('silence-1', id);
  }

  async #fillAccess(): Promise<void> {
    const { access } = this.platform.operations;
    const { key } = await access.createApiKey({ name: 'spare', scopes: ['run.*'] });
    this.ids.set('key-1', key.id);
    const { id } = await access.grant({ principal: 'user:ana', role: 'viewer', reason: canary });
    this.ids.set('grant-1', id);
    this.ids.set(String(exampleTime), String(Date.now() + 3_600_000));
  }

  #register(model: string, version: string): Promise<ModelVersion> {
    const tensor = { name: 'x', datatype: 'FP64', shape: [-1, 2] } as const;
    return this.platform.registry.register({
      model,
      version,
      from: { files: { 'model.bin': Buffer.from(`${canary} ${model} ${version}`) } },
      format: 'CUSTOM',
      signature: { inputs: [tensor], outputs: [{ ...tensor, name: 'y' }] },
      metrics: { auc: 0.9 },
      tags: { team: 'sales' },
      description: canary,
    });
  }
}
