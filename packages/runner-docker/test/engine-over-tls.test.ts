import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createSecureServer, type TlsOptions } from 'node:tls';
import { definePipeline, type Executor, openPlatform } from '@keelson/core';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { dockerExecutor, type RunnerOptions } from '../src/index.ts';
import { type Certificate, TestAuthority } from './server/test-certificates.ts';
import { TestEngine, testImage } from './server/test-engine.ts';

let engine: TestEngine;
let authority: TestAuthority;
let stranger: TestAuthority;
let client: Certificate;
let stopRelay: () => void = () => undefined;
/** Where the engine answers those who have a certificate of the authority's. */
let port: number;
const gates: Server[] = [];

beforeAll(async () => {
  [authority, stranger] = [await TestAuthority.make(), await TestAuthority.make()];
  client = await authority.issue('client');
  const own = await authority.issue(['DNS:localhost', 'IP:127.0.0.1']);
  const [ca, cert, key] = await authority.files(own);
  engine = await TestEngine.start({
    flags: [
      ...['-H', 'tcp://127.0.0.1:2376', '--tlsverify'],
      ...['--tlscacert', ca, '--tlscert', cert, '--tlskey', key],
    ],
  });
  const socket = join(engine.dir, 'tls');
  stopRelay = await engine.relay(socket, 2376);
  port = await pass(undefined, socket);
}, 180_000);
afterAll(async () => {
  for (const gate of gates) gate.close();
  stopRelay();
  await authority?.remove();
  await stranger?.remove();
  await engine?.stop();
}, 60_000);

/** Passes on to a socket, with TLS where there are certificates for it; answers its port. */
async function pass(options: TlsOptions | undefined, to = engine.socket): Promise<number> {
  const join = (socket: ReturnType<typeof connect>): void => {
    const inner = connect(to);
    for (const [from, other] of [
      [socket, inner],
      [inner, socket],
    ] as const) {
      from.pipe(other);
      from.once('error', () => other.destroy());
      from.once('close', () => other.destroy());
    }
  };
  const asks = { requestCert: true, rejectUnauthorized: true, ca: authority.ca };
  const gate =
    options === undefined ? createServer(join) : createSecureServer({ ...asks, ...options }, join);
  gates.push(gate);
  gate.listen(0, '127.0.0.1');
  await once(gate, 'listening');
  return (gate.address() as AddressInfo).port;
}

function executorAt(at: number, options: RunnerOptions = {}, host = 'localhost'): Executor {
  const executor = dockerExecutor({ host: `tcp://${host}:${at}`, patienceMs: 60_000, ...options });
  onTestFinished(() => executor.close());
  return executor;
}

/** Why it is not well; told at once, however long its patience is. */
async function complaintOf(executor: Executor): Promise<string> {
  const { ok, message } = await executor.health();
  expect(ok).toBe(false);
  return message ?? '';
}

test.each(['localhost', '127.0.0.1'])(
  'an engine at %s whose certificate is for it runs steps',
  async (host) => {
    const executor = executorAt(port, { tls: { ca: authority.ca, ...client } }, host);
    const dir = await mkdtemp(join(tmpdir(), 'keelson-tls-test-'));
    const platform = await openPlatform({ dir: join(dir, '.keelson'), executors: [executor] });
    onTestFinished(async () => {
      await platform.close();
      await rm(dir, { recursive: true });
    });
    const pipeline = definePipeline('secure', { version: '1.0.0' }, (p) => {
      p.image('work', {}, { image: testImage, command: ['/bin/echo', 'heard'] });
    });
    const { id } = await platform.pipelines.start(pipeline);
    expect((await platform.pipelines.wait(id)).failure).toBeUndefined();
    const chunks = await Array.fromAsync(platform.pipelines.logs(id, 'work'));
    expect(chunks.map(({ text }) => text)).toEqual(['heard\n']);
  },
);

test('as the environment says, whose directory is that of Docker’s client where it names none', async () => {
  const home = await mkdtemp(join(tmpdir(), 'keelson-tls-test-'));
  onTestFinished(() => rm(home, { recursive: true }));
  vi.stubEnv('DOCKER_HOST', `tcp://localhost:${port}`);
  vi.stubEnv('DOCKER_TLS_VERIFY', '1');
  vi.stubEnv('HOME', home);
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const missing = `${join(home, '.docker', 'ca.pem')} cannot be read`;
  expect(() => dockerExecutor()).toThrow(
    expect.objectContaining({ code: 'INVALID', message: expect.stringContaining(missing) }),
  );
  vi.stubEnv('DOCKER_CERT_PATH', home);
  for (const [name, text] of Object.entries({ ca: authority.ca, ...client })) {
    await writeFile(join(home, `${name}.pem`), text);
  }
  const executor = dockerExecutor();
  onTestFinished(() => executor.close());
  expect(await executor.health()).toEqual({ ok: true });
});

test('an engine that is not who it should be is refused at once', async () => {
  const tls = { ca: stranger.ca, ...client };
  const wrong = executorAt(port, { tls });
  expect(await complaintOf(wrong)).toMatch(
    /localhost:\d+ has a certificate that is not signed by `tls\.ca`/,
  );
  await expect(wrong.capacity()).rejects.toMatchObject({ code: 'FORBIDDEN' });
  const unknown = executorAt(port, { tls: client });
  expect(await complaintOf(unknown)).toMatch(
    /not signed by an authority that this machine knows.*`tls\.ca`/,
  );

  const elsewhere = await pass({ ...(await authority.issue(['DNS:engine.example'])) });
  const other = executorAt(elsewhere, { tls: { ca: authority.ca, ...client } });
  expect(await complaintOf(other)).toMatch(/for other names.*localhost.*engine\.example.*`host`/s);

  const late = await pass({ ...(await authority.issue(['DNS:localhost'], -1)) });
  const expired = executorAt(late, { tls: { ca: authority.ca, ...client } });
  expect(await complaintOf(expired)).toMatch(/not valid now \(certificate has expired\)/);
});

test('without a certificate, or with another’s, there is no way in', async () => {
  const { ca } = authority;
  const without = executorAt(port, { tls: { ca } });
  expect(await complaintOf(without)).toMatch(/asks for a certificate: `tls\.cert` and `tls\.key`/);
  await expect(without.capacity()).rejects.toMatchObject({ code: 'FORBIDDEN' });
  const foreign = executorAt(port, { tls: { ca, ...(await stranger.issue('client')) } });
  expect(await complaintOf(foreign)).toMatch(/does not take the certificate of `tls\.cert`/);
  const servers = await authority.issue(['DNS:localhost']);
  const misused = executorAt(port, { tls: { ca, ...servers } });
  expect(await complaintOf(misused)).toMatch(/does not take .*be meant for clients/);

  const own = await authority.issue(['DNS:localhost']);
  const older = await pass({ ...own, maxVersion: 'TLSv1.2' });
  const nobody = executorAt(older, { tls: { ca } });
  expect(await complaintOf(nobody)).toMatch(/asks for a certificate/);
  const right = executorAt(older, { tls: { ca, ...client } });
  expect(await right.health()).toEqual({ ok: true });
});

test('ends of which only one speaks TLS say so', async () => {
  const plain = await pass(undefined);
  const secure = executorAt(plain, { tls: { ca: authority.ca, ...client } });
  expect(await complaintOf(secure)).toMatch(/does not speak TLS at this port/);
  const trusting = executorAt(plain);
  expect(await trusting.health()).toEqual({ ok: true });
  const outside = executorAt(port);
  expect(await complaintOf(outside)).toMatch(/speaks TLS: `tls`, or `DOCKER_TLS_VERIFY`/);
  await expect(outside.capacity()).rejects.toMatchObject({ code: 'INVALID' });
});

test('certificates that are none are refused before anything is asked', () => {
  const host = 'tcp://localhost:2376';
  const invalid = expect.objectContaining({
    code: 'INVALID',
    message: expect.stringContaining('`tls`'),
  });
  expect(() => dockerExecutor({ host, tls: { ca: 'no certificate', ...client } })).toThrow(invalid);
  const { key } = client;
  expect(() =>
    dockerExecutor({ host, tls: { ca: authority.ca, cert: authority.ca, key } }),
  ).toThrow(invalid);
});

test('a step whose engine refuses the one who asks fails for good, naming what to give', async () => {
  const executor = executorAt(port, { tls: { ca: authority.ca } });
  const dir = await mkdtemp(join(tmpdir(), 'keelson-tls-test-'));
  const platform = await openPlatform({ dir: join(dir, '.keelson'), executors: [executor] });
  onTestFinished(async () => {
    await platform.close();
    await rm(dir, { recursive: true });
  });
  const pipeline = definePipeline('refused', { version: '1.0.0' }, (p) => {
    p.image('work', {}, { image: testImage, command: ['true'] }, { retries: 3 });
  });
  const { id } = await platform.pipelines.start(pipeline);
  await platform.pipelines.wait(id);
  const [step] = await platform.pipelines.steps(id);
  expect(step).toMatchObject({
    status: 'FAILED',
    failures: 1,
    failure: { class: 'permanent', code: 'FORBIDDEN' },
  });
  expect(step?.failure?.message).toContain('`tls.cert`');
});

test('a proxy that has no engine yet is asked again', async () => {
  let answers = 0;
  const gate = createServer((socket) => {
    answers += 1;
    if (answers === 1) {
      socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      return;
    }
    const inner = connect(engine.socket);
    socket.pipe(inner).pipe(socket);
    for (const each of [socket, inner]) each.once('error', () => socket.destroy());
  });
  gates.push(gate);
  gate.listen(0, '127.0.0.1');
  await once(gate, 'listening');
  const executor = executorAt((gate.address() as AddressInfo).port);
  expect(await executor.health()).toMatchObject({ ok: false });
  expect(await executor.health()).toEqual({ ok: true });
});
