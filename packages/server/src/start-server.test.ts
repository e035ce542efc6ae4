import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, type Platform } from '@keelson/core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createClient } from './client/client.ts';
import { type RunningServer, type ServerOptions, startServer } from './start-server.ts';

let dir = '';
let platform: Platform;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
  platform = await openPlatform({ dir: join(dir, '.keelson') });
});
afterAll(async () => {
  await platform.close();
  await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});

async function start(options: ServerOptions = {}): Promise<RunningServer> {
  const server = await startServer(platform, { port: 0, ...options });
  onTestFinished(() => server.close({ timeoutMs: 0 }));
  return server;
}

/** What a connection that sends these bytes is answered. */
async function say(port: number, text: string, end = false): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  let said = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    said += chunk;
  });
  socket.write(text);
  if (end) socket.end();
  await once(socket, 'close');
  return said;
}

describe('who may be listened to', () => {
  test('without authentication only this machine, and the refusal says why', async () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.7', 'example.org']) {
      await expect(startServer(platform, { port: 0, host })).rejects.toMatchObject({
        code: 'FORBIDDEN',
        message: expect.stringMatching(/asks who calls.*access: true/),
      });
    }
    const server = await start({ host: 'localhost' });
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
  });

  test('with authentication, and a proxy that hides what is said, any', async () => {
    const server = await start({ host: '0.0.0.0', auth: () => null, behindProxy: true });
    const answer = await fetch(`http://127.0.0.1:${server.port}/api/v1/experiments`);
    expect(answer.status).toBe(401);
    expect((await fetch(`http://127.0.0.1:${server.port}/health/ready`)).status).toBe(200);
  });

  test('pages of other sites and names that were made to point here are refused', async () => {
    const { port } = await start();
    const ask = async (headers: Record<string, string>): Promise<number | undefined> => {
      const sent = httpRequest({ port, host: '127.0.0.1', path: '/api/v1/experiments', headers });
      sent.end();
      const [answer] = await once(sent, 'response');
      answer.resume();
      return answer.statusCode;
    };
    expect(await ask({})).toBe(200);
    expect(await ask({ host: `localhost:${port}`, origin: 'http://localhost:3000' })).toBe(200);
    expect(await ask({ host: 'evil.example' })).toBe(403);
    expect(await ask({ origin: 'https://evil.example' })).toBe(403);
    expect(await ask({ origin: 'null' })).toBe(403);
  });
});

test('it is ready, says where, and a taken port is a conflict', async () => {
  const server = await start({ basePath: '/mlops' });
  expect(await (await fetch(`${server.url}/health/ready`)).json()).toEqual({ ready: true });
  expect(server.url).toBe(`http://127.0.0.1:${server.port}/mlops`);
  await expect(startServer(platform, { port: server.port })).rejects.toMatchObject({
    code: 'CONFLICT',
  });
  await expect(startServer(platform, { slowClientMs: 0.5 })).rejects.toMatchObject({
    code: 'INVALID',
  });
});

describe('connections', () => {
  test('what is no request, and headers that come too slowly or are too long, are answered', async () => {
    const { port } = await start();
    expect(await say(port, 'hello\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
    const { port: hasty } = await start({ slowClientMs: 300 });
    expect(await say(hasty, 'GET /health/live HTTP/1.1\r\nhost: localhost\r\n')).toMatch(
      /^(HTTP\/1.1 408 |$)/,
    );
    const long = `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`;
    expect(await say(port, long)).toMatch(/^HTTP\/1.1 431 /);
  });

  test('a body of which nothing comes ends its connection; a caller that closed its half is answered', async () => {
    const { port: hasty } = await start({ slowClientMs: 300 });
    const { port } = await start();
    const head =
      'POST /api/v1/experiments HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n';
    const startedAt = performance.now();
    await say(hasty, `${head}content-length: 100\r\n\r\n{"na`);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    const whole = await say(
      port,
      `${head}connection: close\r\ncontent-length: 15\r\n\r\n{"name":"half"}`,
      true,
    );
    expect(whole).toMatch(/^HTTP\/1.1 201 /);
  });
});

test('close answers what is under way, ends streams, says that it is not ready, and takes nothing new', async () => {
  const server = await start();
  const client = createClient({ url: server.url });
  const { id } = await client.runs.start({ body: { experiment: 'draining' } });
  const sent = httpRequest({
    port: server.port,
    host: '127.0.0.1',
    method: 'PUT',
    path: `/api/v1/runs/${id}/artifacts/slow.bin`,
  });
  sent.write('first ');
  const stream = await client.events.stream({ type: ['run.completed'] });
  const streamed = Array.fromAsync(stream);
  await client.runs.setStatus({ runId: id, body: { status: 'RUNNING' } });
  const closed = server.close();
  expect(await streamed).toEqual([]);
  await expect(fetch(`${server.url}/health/live`)).rejects.toThrow();
  sent.end('last');
  const [answer] = await once(sent, 'response');
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer) chunks.push(chunk as Uint8Array);
  expect(JSON.parse(Buffer.concat(chunks).toString())).toMatchObject({
    path: 'slow.bin',
    sizeBytes: 10,
  });
  expect(answer.headers.connection).toBe('close');
  await closed;
  await server.close();
});

test('events stream as they come, and go on after the last that was seen', async () => {
  const { url } = await start();
  const client = createClient({ url });
  const gone = new AbortController();
  const seen: string[] = [];
  let last = '';
  const stream = await client.events.stream({ type: ['run.started'] }, { signal: gone.signal });
  const first = await client.runs.start({ body: { experiment: 'streamed' } });
  for await (const { id, event, data } of stream) {
    last = id ?? '';
    expect(event).toBe('run.started');
    seen.push(data.subject);
    break;
  }
  gone.abort();
  expect(seen).toEqual([`run:${first.id}`]);
  const second = await client.runs.start({ body: { experiment: 'streamed' } });
  const again = await client.events.stream(
    { type: ['run.started'] },
    { headers: { 'last-event-id': last } },
  );
  for await (const { data } of again) {
    expect(data.subject).toBe(`run:${second.id}`);
    break;
  }
  const page = await client.events.list({ type: ['run.started'], cursor: last });
  expect(page.events.map(({ subject }) => subject)).toEqual([`run:${second.id}`]);
});
