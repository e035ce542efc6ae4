import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { openPlatform, type Platform } from '@keelson/core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import {
  type Certificate,
  TestAuthority,
} from '../../runner-docker/test/server/test-certificates.ts';
import { type Auth, type ServerOptions, startServer, type TlsOptions } from '../src/index.ts';

let dir = '';
let platform: Platform;
let authority: TestAuthority;
let first: Certificate;
let second: Certificate;
let client: Certificate;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
  platform = await openPlatform({ dir: join(dir, '.keelson') });
  authority = await TestAuthority.make();
  const names = ['IP:127.0.0.1', 'DNS:localhost'];
  first = await authority.issue(names);
  second = await authority.issue(names);
  client = await authority.issue('client');
}, 60_000);
afterAll(async () => {
  await platform.close();
  await authority.remove();
  await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});

async function start(tls: TlsOptions, options: ServerOptions = {}) {
  const server = await startServer(platform, { port: 0, tls, ...options });
  onTestFinished(() => server.close({ timeoutMs: 0 }));
  return server;
}

/** What a request is answered, over which version, by whose certificate. */
async function ask(port: number, options: RequestOptions = {}) {
  const sent = request({
    ...{ port, host: '127.0.0.1', path: '/api/v1/experiments', ca: authority.ca, agent: false },
    ...options,
  });
  sent.end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  const socket = answer.socket as TLSSocket;
  const by = socket.getPeerCertificate().serialNumber;
  const told = { status: answer.statusCode, version: socket.getProtocol(), by };
  answer.resume();
  await once(answer, 'end');
  return told;
}

test('TLS 1.3 when nothing else is said, 1.2 by option, and nothing to who does not speak it', async () => {
  const server = await start(first);
  expect(server.url).toBe(`https://127.0.0.1:${server.port}`);
  expect(await ask(server.port)).toMatchObject({ status: 200, version: 'TLSv1.3' });
  const old = { maxVersion: 'TLSv1.2' } as const;
  await expect(ask(server.port, old)).rejects.toThrow();
  const both = await start({ ...first, minVersion: '1.2' });
  expect(await ask(both.port, old)).toMatchObject({ status: 200, version: 'TLSv1.2' });
  const plain = connect(server.port, '127.0.0.1');
  let said = '';
  plain
    .on('error', () => undefined)
    .on('data', (chunk) => {
      said += chunk.toString('latin1');
    });
  plain.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
  await once(plain, 'close');
  expect(said).not.toContain('HTTP/');
});

test('a new certificate holds for new connections, and those that are there go on', async () => {
  const paths = { cert: join(dir, 'tls.crt'), key: join(dir, 'tls.key') };
  const write = ({ cert, key }: Certificate) =>
    Promise.all([writeFile(paths.cert, cert), writeFile(paths.key, key)]);
  await write(first);
  const server = await start({ ...paths, reloadMs: 3_600_000 });
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: authority.ca });
  onTestFinished(() => agent.destroy());
  const before = await ask(server.port, { agent });

  await writeFile(paths.cert, second.cert);
  await expect(server.reloadCertificates()).rejects.toMatchObject({ code: 'INVALID' });
  expect((await ask(server.port)).by).toBe(before.by);
  await write(second);
  await server.reloadCertificates();
  const { by } = await ask(server.port);
  expect(by).not.toBe(before.by);
  expect(await ask(server.port, { agent })).toEqual(before);

  // The same without being told.
  const watching = await start({ ...paths, reloadMs: 20 });
  await write(first);
  await expect.poll(async () => (await ask(watching.port)).by).toBe(before.by);
});

test('clients are asked for a certificate, which tells the host who they are', async () => {
  const auth: Auth = ({ certificate }) =>
    certificate === undefined ? null : { id: `service:${certificate.commonName}`, roles: [] };
  const strict = await start({ ...first, ca: authority.ca }, { auth, host: '0.0.0.0' });
  await expect(ask(strict.port)).rejects.toThrow();
  const own = { cert: client.cert, key: client.key };
  expect((await ask(strict.port, own)).status).toBe(200);
  const stranger = await TestAuthority.make();
  onTestFinished(() => stranger.remove());
  await expect(ask(strict.port, await stranger.issue('client'))).rejects.toThrow();
  const lax = await start(
    { ...first, ca: authority.ca, clientCertificate: 'optional' },
    { auth: (request) => auth(request) },
  );
  expect((await ask(lax.port)).status).toBe(401);
  expect((await ask(lax.port, await stranger.issue('client'))).status).toBe(401);
  expect((await ask(lax.port, own)).status).toBe(200);
});

test('plain text beyond this machine takes a proxy that is declared, and a proxy takes authentication', async () => {
  const auth: Auth = () => null;
  await expect(startServer(platform, { port: 0, host: '0.0.0.0', auth })).rejects.toMatchObject({
    code: 'FORBIDDEN',
    message: expect.stringMatching(/plain text.*tls.*behindProxy/),
  });
  await expect(startServer(platform, { port: 0, behindProxy: true })).rejects.toMatchObject({
    code: 'FORBIDDEN',
    message: expect.stringContaining('asks who calls'),
  });
  const declared = { port: 0, host: '0.0.0.0', auth, behindProxy: true } as const;
  const server = await startServer(platform, declared);
  await server.close();
  for (const tls of [
    { ...first, key: second.key },
    { ...first, cert: join(dir, 'no-such-file') },
    { ...first, minVersion: '1.1' as '1.2' },
  ])
    await expect(startServer(platform, { port: 0, tls })).rejects.toThrow(/tls\./);
});
