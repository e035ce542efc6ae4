import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guardConnections } from '../packages/server/src/http/guard-connections.ts';
import { ExampleBed } from '../packages/server/test/example-bed.ts';
import { MemoryWatch } from './memory-watch.ts';
import { askByDocument } from './schemathesis.ts';

/** What a run of schemathesis over the OpenAPI document came to. */
export interface HttpFuzzReport {
  readonly seed: number;
  readonly requests: number;
  /** How often each status was answered. */
  readonly statuses: Readonly<Record<string, number>>;
  /** The longest answer, in ms. */
  readonly slowestMs: number;
  /** What was asked then. */
  readonly slowest: string;
  /** What schemathesis says that must not be; empty where all held. */
  readonly faults: readonly string[];
  /** What schemathesis printed. */
  readonly output: string;
  readonly memory: ReturnType<MemoryWatch['growth']>;
}

/** So long a stream of events goes on. */
const streamMs = 300;

/**
 * Has schemathesis ask a platform that holds what the examples name, by its OpenAPI document: requests that fit it and
 * such as do not, also in sequences. Faults are answers of 5xx, answers that the document does not describe, and
 * answers that do not come.
 */
export async function fuzzHttp(options: {
  /** An interpreter that has schemathesis. */
  readonly python: string;
  readonly seed: number;
  readonly durationMs: number;
  /** Parts of paths; all when left out. */
  readonly only?: string;
}): Promise<HttpFuzzReport> {
  const { python, seed, durationMs, only } = options;
  const bed = new ExampleBed();
  await bed.open();
  const statuses: Record<string, number> = {};
  // The document allows 500, so that its readers know its form; schemathesis takes what is documented as right.
  const failed = new Set<string>();
  let slowestMs = 0;
  let slowest = '';
  // A stream of events has no end that could be waited for: it ends with the handler that began it.
  let current = handlerOf(bed);
  const server = createServer((request, response) => {
    const beganAt = performance.now();
    response.once('close', () => {
      const status = response.writableFinished ? String(response.statusCode) : 'left';
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (response.statusCode >= 500 && !isOutage(request, response.statusCode))
        failed.add(`${request.method} ${request.url}: server error ${response.statusCode}`);
      const ms = performance.now() - beganAt;
      if (isStream(request) || ms < slowestMs) return;
      [slowestMs, slowest] = [ms, `${request.method} ${request.url}: ${status}`];
    });
    const by = current;
    const end = setTimeout(() => {
      if (!isStream(request)) return;
      if (by === current) current = handlerOf(bed);
      by.close();
    }, streamMs);
    response.once('close', () => clearTimeout(end));
    by.listener(request, response);
  });
  guardConnections(server, { slowClientMs: 60_000 });
  const dir = await mkdtemp(join(tmpdir(), 'keelson-fuzz-'));
  const watch = new MemoryWatch();
  const timer = setInterval(() => watch.sample(), Math.max(100, durationMs / 100));
  try {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}`;
    const document = join(dir, 'openapi.json');
    await writeFile(
      document,
      bed.withIds(await (await fetch(`${url}/api/v1/openapi.json`)).text()),
    );
    const { faults, output } = await askByDocument(python, {
      ...{ document, url, seed, durationMs },
      ...(only === undefined ? {} : { only }),
    });
    return {
      ...{ seed, statuses, slowestMs, slowest, output },
      requests: Object.values(statuses).reduce((sum, count) => sum + count, 0),
      faults: [...faults, ...failed],
      memory: watch.growth(),
    };
  } finally {
    clearInterval(timer);
    server.closeAllConnections();
    server.close();
    await bed.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** A handler whose streams can be ended. */
function handlerOf(bed: ExampleBed): { readonly listener: RequestListener; close(): void } {
  const closing = new AbortController();
  // A key could be revoked, as the document says how.
  const auth = () => ({ id: 'user:lead', roles: [] });
  const { listener } = bed.createHandler({ closing: closing.signal, auth });
  return { listener, close: () => closing.abort() };
}

/** Health that is not well is told by 503. */
function isOutage({ url = '' }: IncomingMessage, status: number): boolean {
  return status === 503 && /\/health(\/ready)?(\?|$)/.test(url);
}

function isStream({ url = '' }: IncomingMessage): boolean {
  return /\/(?:events\/stream|logs)(?:\?|$)/.test(url);
}
