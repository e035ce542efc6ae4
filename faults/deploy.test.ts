import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openPlatform, type Platform } from '@keelson/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { metricCatalogue } from '../packages/core/src/operations/metrics/metric-catalogue.ts';
import { configKeys, variableOf } from '../packages/server/src/config/config-keys.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import { describeOnPg } from '../packages/store-pg/test/server/test-database.ts';
import { s3Backend } from '../packages/store-s3/src/index.ts';
import { credentials, S3Gateway } from '../packages/store-s3/test/server/gateway.ts';

// The server reads YAML; this workspace's root does not.
const { parse, parseAllDocuments } = createRequire(
  new URL('../packages/server/package.json', import.meta.url),
)('yaml') as {
  parse(text: string, options: object): unknown;
  parseAllDocuments(text: string): readonly { toJS(): unknown }[];
};
const deploy = new URL('../examples/deploy/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, deploy), 'utf8');
// biome-ignore lint/suspicious/noExplicitAny: YAML whose fields the tests look into
type Yaml = any;
const compose: Yaml = parse(read('compose.yaml'), { merge: true });
const manifests = parseAllDocuments(read('kubernetes.yaml')).map((one): Yaml => one.toJS());
const variables = new Set([...Object.keys(configKeys)].map(variableOf));
const program = fileURLToPath(new URL('../packages/server/src/cli/keelson.ts', import.meta.url));

describe('the templates', () => {
  test('name only settings that there are', () => {
    const texts = ['Dockerfile', 'compose.yaml', 'kubernetes.yaml', 'keelson.service'].map(read);
    const named = texts.join('\n').match(/\bKEELSON_[A-Z_]+\b/g) ?? [];
    const own = ['KEELSON_DB_PASSWORD', 'KEELSON_S3_SECRET'];
    expect(
      [...new Set(named)].filter((name) => !variables.has(name) && !own.includes(name)),
    ).toEqual([]);
    expect(named.length).toBeGreaterThan(20);
  });

  test('give no rights, no room to write, and more time to end than requests are given', () => {
    const image = read('Dockerfile');
    expect(image).toMatch(/^USER 10001:10001$/m);
    expect(image).toMatch(/^HEALTHCHECK .*\n.*\/health\/live/m);
    for (const name of ['api-1', 'api-2', 'worker', 'monitor']) {
      const service = compose.services[name];
      expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], tmpfs: ['/tmp'] });
      const graceMs = Number(service.environment.KEELSON_SERVER_GRACE_MS);
      expect(1000 * Number.parseInt(service.stop_grace_period, 10)).toBeGreaterThan(graceMs);
    }
    const unit = read('keelson.service');
    expect(unit).toMatch(/^ProtectSystem=strict$/m);
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(30);
    const graceS = Number(manifests[0].data.KEELSON_SERVER_GRACE_MS) / 1000;
    for (const { spec } of manifests.filter(({ kind }) => kind === 'Deployment')) {
      const pod = spec.template.spec;
      const [container] = pod.containers;
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 10001 });
      expect(container.securityContext).toMatchObject({
        ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
        capabilities: { drop: ['ALL'] },
      });
      const pause = Number(container.lifecycle?.preStop.exec.command[1] ?? 0);
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(graceS + pause);
      const paths = ['startupProbe', 'livenessProbe', 'readinessProbe'].map(
        (probe) => container[probe].httpGet.path,
      );
      expect(paths).toEqual(['/health/live', '/health/live', '/health/ready']);
      const [{ name, containerPort }] = container.ports;
      expect([name, containerPort]).toEqual(['http', configKeys['server.port']?.default]);
      expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels);
    }
  });

  test('the parts of the manifests fit together, and scale by a metric that there is', () => {
    const of = (kind: string) => manifests.find((each) => each.kind === kind);
    const api = manifests.find(({ metadata }) => metadata.name === 'keelson-api');
    const { labels } = api.spec.template.metadata;
    expect(labels).toMatchObject(of('Service').spec.selector);
    expect(labels).toMatchObject(of('PodDisruptionBudget').spec.selector.matchLabels);
    const { scaleTargetRef, minReplicas, metrics } = of('HorizontalPodAutoscaler').spec;
    expect(scaleTargetRef).toMatchObject({ kind: 'Deployment', name: api.metadata.name });
    // One may always be gone.
    expect(minReplicas).toBeGreaterThan(of('PodDisruptionBudget').spec.minAvailable);
    expect(metrics[0].pods.metric.name).toBe('keelson_serving_requests_per_second');
    const [, counter = ''] = /seriesQuery: '(\w+)/.exec(read('kubernetes.yaml')) ?? [];
    expect(Object.keys(metricCatalogue)).toContain(counter);
    for (const from of api.spec.template.spec.containers[0].envFrom) {
      const [[kind, { name }]] = Object.entries(from) as [[string, { name: string }]];
      const wanted = { configMapRef: 'ConfigMap', secretRef: 'Secret' }[kind];
      expect(manifests.some((each) => each.kind === wanted && each.metadata.name === name)).toBe(
        true,
      );
    }
  });
});

/** A service of the compose file, as a process with its command and environment. */
class Part {
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;
  readonly port: number;

  private constructor(child: ChildProcess, exit: Promise<unknown[]>, port: number) {
    this.#child = child;
    this.#exit = exit;
    this.port = port;
  }

  static async start(name: string, environment: Readonly<Record<string, string>>): Promise<Part> {
    const { command, environment: own } = compose.services[name];
    const flags = ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning'];
    const child = spawn(process.execPath, [...flags, program, ...command, '--json'], {
      cwd: environment['KEELSON_DIR'],
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...own, ...environment },
    });
    const exit = once(child, 'exit');
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    for await (const line of lines) {
      const said = JSON.parse(line) as { readonly event: string; readonly port: number };
      if (said.event === 'listening') return new Part(child, exit, said.port);
    }
    throw new Error(`${name} has ended without listening.`);
  }

  /** Ends as `docker stop` has it end; answers the exit code. */
  async end(): Promise<unknown> {
    this.#child.kill('SIGTERM');
    const [code] = await this.#exit;
    return code;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Hands requests on to the replicas in turn. */
class TurnProxy {
  readonly replicas: Part[] = [];
  readonly #server: Server;
  #next = 0;

  constructor() {
    this.#server = createServer((asked, answer) => {
      const replica = this.replicas[this.#next++ % this.replicas.length] as Part;
      const headers = { ...asked.headers, 'x-forwarded-for': '192.0.2.7', connection: 'close' };
      const { method, url: path } = asked;
      const target = { host: '127.0.0.1', port: replica.port, agent: false };
      const passed = request({ ...target, method, path, headers }, (got) => {
        answer.writeHead(got.statusCode ?? 502, got.headers);
        got.pipe(answer);
      });
      passed.on('error', () => answer.writeHead(502).end());
      asked.pipe(passed);
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

await describeOnPg('the parts of the compose file', ({ url }) => {
  const parts: Part[] = [];
  let root = '';
  let gateway: S3Gateway;
  let platform: Platform;
  const proxy = new TurnProxy();
  let environment: Readonly<Record<string, string>> = {};

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'keelson-deploy-'));
    gateway = await S3Gateway.start();
    mkdirSync(join(gateway.directory, 'keelson'));
    // The same settings; only the places of the containers are others.
    const { KEELSON_STORE: store, KEELSON_ARTIFACTS: artifacts } =
      compose.services['api-1'].environment;
    const at = new URL(url);
    at.search = new URL(store.replace(/\$\{.*?\}/, 'any')).search;
    environment = {
      KEELSON_STORE: at.href,
      KEELSON_ARTIFACTS: artifacts.replace('s3:7070', `127.0.0.1:${gateway.port}`),
      KEELSON_SERVER_HOST: '0.0.0.0',
      KEELSON_SERVER_PORT: '0',
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    };
    const backend = pgBackend({ url: at.href });
    const endpoint = `http://127.0.0.1:${gateway.port}`;
    platform = await openPlatform({
      ...{ dir: join(root, 'own'), metadata: backend, series: backend, access: true },
      artifacts: s3Backend({ bucket: 'keelson', endpoint, credentials }),
      principal: { id: 'user:lead', roles: [] },
    });
  }, 120_000);

  afterAll(async () => {
    proxy.close();
    for (const part of parts) part.kill();
    await platform?.close();
    await gateway?.stop();
    rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });

  async function start(name: string): Promise<Part> {
    const dir = join(root, name);
    mkdirSync(dir, { recursive: true });
    const part = await Part.start(name, { ...environment, KEELSON_DIR: dir });
    parts.push(part);
    return part;
  }

  test('two replicas are started anew one after the other, and no request is lost', async () => {
    const { access } = platform.operations;
    const principal = 'service:trainer';
    await access.grant({ principal, role: 'editor' });
    const { secret } = await access.createApiKey({ principal, name: 'client', scopes: ['*'] });
    const [first, second, worker] = (await Promise.all(
      ['api-1', 'api-2', 'worker'].map(start),
    )) as [Part, Part, Part];
    proxy.replicas.push(first, second);
    const origin = await proxy.listen();
    const ask = (path: string, fields: object) =>
      fetch(`${origin}/api/2.0/mlflow/${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
        body: JSON.stringify(fields),
      });
    const made = await ask('runs/create', { run_name: 'rolling' });
    const answered = await made.text();
    expect([made.status, answered]).toEqual([200, expect.any(String)]);
    const { run_id: id } = JSON.parse(answered).run.info;

    let goesOn = true;
    let sent = 0;
    const statuses = new Map<number, number>();
    const clients = Array.from({ length: 4 }, async () => {
      while (goesOn) {
        sent += 1;
        const point = { run_id: id, key: 'loss', value: sent, step: sent, timestamp: Date.now() };
        const { status } = await ask('runs/log-metric', point);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    });

    for (const [name, old] of [
      ['api-1', first],
      ['api-2', second],
    ] as const) {
      // An upload that is under way when the signal comes.
      const upload = request({
        ...{ host: '127.0.0.1', port: old.port, method: 'PUT', agent: false },
        path: `/api/v1/runs/${id}/artifacts/${name}.bin`,
        headers: { authorization: `Bearer ${secret}`, expect: '100-continue' },
      });
      upload.flushHeaders();
      await once(upload, 'continue');
      upload.write('first ');
      // As a pod is taken out of its service before it is told to end.
      proxy.replicas.splice(proxy.replicas.indexOf(old), 1);
      const ended = old.end();
      const seen = sent;
      await expect.poll(() => sent, { timeout: 60_000 }).toBeGreaterThan(seen + 8);
      upload.end('last');
      const [answer] = (await once(upload, 'response')) as [IncomingMessage];
      answer.resume();
      expect([answer.statusCode, await ended]).toEqual([201, 0]);
      proxy.replicas.push(await start(name));
    }
    goesOn = false;
    await Promise.all(clients);
    expect([...statuses.keys()]).toEqual([200]);
    const { steps } = await platform.tracking.getMetricHistory(id, 'loss');
    expect(steps.length).toBe(sent);
    const { artifacts } = await platform.tracking.listArtifacts(id);
    expect(artifacts.map(({ path, sizeBytes }) => [path, sizeBytes])).toEqual([
      ['api-1.bin', 10],
      ['api-2.bin', 10],
    ]);
    for (const part of [...proxy.replicas, worker]) expect(await part.end()).toBe(0);
  }, 180_000);
});
