import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findPython } from '../packages/serve/test/python/interpreter.ts';
import { fuzzHttp } from './http-fuzz.ts';
import { mutateJson } from './mutations.ts';
import { Choices } from './random.ts';
import { talkRaw } from './raw-socket.ts';
import { fuzzedRequest } from './requests.ts';
import { askByDocument } from './schemathesis.ts';
import { fuzzServing } from './serving-fuzz.ts';

test('some seconds of mutated requests are answered, none with 5xx', async () => {
  const report = await fuzzServing({ seed: 11, durationMs: 4_000 });
  expect(report.faults).toEqual([]);
  // Right requests, malformed ones, and such as a model does not take.
  for (const status of ['200', '400', '404', '405', '413', '415', '422'])
    expect(Object.keys(report.statuses)).toContain(status);
  expect(report.requests).toBeGreaterThan(100);
});

test('a seed repeats what is sent', () => {
  const value = { inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP64', data: [1, 2] }] };
  const texts = (seed: number): string[] => {
    const choices = new Choices(seed);
    return Array.from({ length: 100 }, () => mutateJson(value, choices));
  };
  expect(texts(5)).toEqual(texts(5));
  expect(texts(5)).not.toEqual(texts(6));
  expect(new Set(texts(5)).size).toBeGreaterThan(70);
});

test('a server that answers 500 would be found', async () => {
  const bad = createServer((request, response) => {
    request.resume();
    response.writeHead(500).end();
  });
  await new Promise<void>((resolve) => bad.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    bad.close();
    bad.closeAllConnections();
  });
  const choices = new Choices(1);
  const valid = [{ path: '/v2/models/weather/infer', json: { inputs: [] } }];
  const statuses: number[] = [];
  for (let i = 0; i < 20; i += 1) {
    const talk = await talkRaw(
      (bad.address() as AddressInfo).port,
      [fuzzedRequest(valid, choices)],
      choices,
    );
    statuses.push(...talk.statuses);
  }
  expect(statuses).toContain(500);
});

const python = findPython();

test.skipIf(python === undefined)(
  'some seconds of requests by the OpenAPI document are answered as it says',
  async () => {
    const only = '/api/v1/(access|monitoring|webhooks)';
    const options = { python: python as string, seed: 11, durationMs: 6_000, only };
    const report = await fuzzHttp(options);
    expect(report.faults, report.output).toEqual([]);
    expect(report.requests).toBeGreaterThan(20);
  },
  120_000,
);

test.skipIf(python === undefined)(
  'an answer that the document does not describe would be found',
  async () => {
    const bad = createServer((request, response) => {
      request.resume();
      response.writeHead(request.url === '/broken' ? 500 : 418).end();
    });
    await new Promise<void>((resolve) => bad.listen(0, '127.0.0.1', resolve));
    const dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
    onTestFinished(async () => {
      bad.close();
      bad.closeAllConnections();
      await rm(dir, { recursive: true });
    });
    const responses = { 200: { description: 'Fine' } };
    const paths = { '/broken': { get: { responses } }, '/odd': { get: { responses } } };
    const document = join(dir, 'openapi.json');
    const info = { title: 'Bad', version: '1' };
    await writeFile(document, JSON.stringify({ openapi: '3.1.0', info, paths }));
    const url = `http://127.0.0.1:${(bad.address() as AddressInfo).port}`;
    const options = { document, url, seed: 1, durationMs: 2_000 };
    const { faults } = await askByDocument(python as string, options);
    const of = (path: string): string =>
      faults.filter((fault) => fault.startsWith(`GET ${path}`)).join();
    expect(of('/broken')).toMatch(/Undocumented[\s\S]*\[500\]/);
    expect(of('/odd')).toMatch(/Undocumented[\s\S]*\[418\]/);
  },
  120_000,
);
