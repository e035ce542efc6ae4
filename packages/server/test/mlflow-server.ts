import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, type Platform } from '@keelson/core';
import { afterAll, beforeAll } from 'vitest';
import { createHandler } from '../src/index.ts';

/** What a call was answered. */
export interface Answered {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of a foreign protocol, whose fields the tests look into
  readonly body: any;
  readonly headers: Headers;
}

/** A platform behind HTTP for the tests of a file: at the root, and below `/mlops` as well. */
export interface MlflowServer {
  readonly url: string;
  readonly platform: Platform;
  /** GET with a query, or whatever else with a body of JSON, below `/api/2.0/mlflow/`. */
  call(method: string, path: string, fields?: object): Promise<Answered>;
  /** The body of an answer that must be 200. */
  ok(method: string, path: string, fields?: object): Promise<Answered['body']>;
}

/** Opens one before the tests, and closes it after them. */
export function shareMlflowServer(): MlflowServer {
  let dir = '';
  let platform: Platform | undefined;
  let server: Server | undefined;
  let url = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
    platform = await openPlatform({ dir: join(dir, '.keelson') });
    server = createServer(createHandler(platform, { basePath: '/mlops' }).listener).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server?.closeAllConnections();
    server?.close();
    await platform?.close();
    await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });

  async function call(method: string, path: string, fields?: object): Promise<Answered> {
    const isQuery = method === 'GET' && fields !== undefined;
    const query = isQuery ? `?${queryOf(fields)}` : '';
    const at = path.startsWith('/') ? path : `/api/2.0/mlflow/${path}`;
    const answer = await fetch(`${url}${at}${query}`, {
      method,
      ...(method === 'GET' || fields === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(fields) }),
    });
    const text = await answer.text();
    const isJson = answer.headers.get('content-type') === 'application/json';
    const body = isJson ? JSON.parse(text) : text;
    return { status: answer.status, body, headers: answer.headers };
  }

  return {
    get url() {
      return url;
    },
    get platform() {
      if (platform === undefined) throw new Error('The platform is not open yet.');
      return platform;
    },
    call,
    async ok(method, path, fields) {
      const { status, body } = await call(method, path, fields);
      if (status !== 200) throw new Error(`${path}: ${status} ${JSON.stringify(body)}`);
      return body;
    },
  };
}

function queryOf(fields: object): URLSearchParams {
  const pairs = Object.entries(fields).flatMap(([key, value]) =>
    [value].flat().map((one): [string, string] => [key, String(one)]),
  );
  return new URLSearchParams(pairs);
}
