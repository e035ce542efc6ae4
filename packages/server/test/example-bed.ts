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
import { afterAll, beforeAll } from 'vitest';
import { type AnyRoute, apiBase } from '../src/api/route.ts';
import { exampleRun, exampleRun2 } from '../src/api/schemas.ts';
import { createHandler, type Handler } from '../src/handler.ts';

/** What stands in what is stored, and must stand in no refusal. */
export const canary = 'canary-7f3a';

/** How a request differs from the row's example. */
export interface Asked {
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly method?: string;
}

/** A real platform, with access, that holds what the examples of the table name. */
export class ExampleBed {
  platform!: Platform;
  handler!: Handler;
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
    this.handler = createHandler(this.platform);
    const { secret } = await this.platform.operations.access.createApiKey({
      name: 'lead',
      scopes: ['*'],
    });
    this.token = secret;
    await this.#fill();
  }

  async close(): Promise<void> {
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
      headers: { ...json, ...asked.headers },
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
    let known = JSON.stringify(row.example);
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
    await this.#fillRegistry();
    await this.#fillPipelines();
    await this.#fillDeployments();
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
    const options = { versionId: second.id, strategy: 'canary', reason: canary } as const;
    this.ids.set('rollout-1', (await deployments.deploy('rolling', options)).id);
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

/** One bed for the tests of a file. */
export function shareExampleBed(): ExampleBed {
  const bed = new ExampleBed();
  beforeAll(() => bed.open());
  afterAll(() => bed.close());
  return bed;
}
