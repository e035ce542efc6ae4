import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { type Logger, openPlatform, webhookNotifier } from '@keelson/core';
import { TcpProxy } from '@keelson/core/testing';
import { pgBackend } from '../src/index.ts';

/** What is told of a database that was away while the receiver of notifications was dead. */
export interface OutageReport {
  /** Share of one core that the process took while the database was away. */
  readonly cpuShare: number;
  readonly grownBytes: number;
  readonly linesWhileAway: number;
  readonly pointsWhileAway: number;
  /** After its return, until each could be done, in ms. */
  readonly back: Readonly<Record<'health' | 'flush' | 'write' | 'told', number>>;
  readonly lostPoints: Readonly<Record<string, number>>;
  /** Points of the run that the store has in the end. */
  readonly points: number;
  /** The log lines of the outage's correlation id. */
  readonly story: readonly string[];
  /** What the receiver was told of the database, once it was back. */
  readonly told: readonly string[];
}

/** A receiver that is dead until it is opened on its port. */
class Receiver {
  readonly bodies: Record<string, unknown>[] = [];
  readonly port: number;
  #server: Server | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  static async dead(): Promise<Receiver> {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return new Receiver(port);
  }

  async open(): Promise<void> {
    this.#server = createServer((request, response) => {
      let text = '';
      request.setEncoding('utf8');
      request.on('data', (part: string) => {
        text += part;
      });
      request.on('end', () => {
        this.bodies.push(JSON.parse(text) as Record<string, unknown>);
        response.end();
      });
    }).listen(this.port, '127.0.0.1');
    await new Promise((resolve) => this.#server?.once('listening', resolve));
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) =>
      this.#server ? this.#server.close(resolve) : resolve(undefined),
    );
  }
}

/**
 * A platform works, its database goes away for `awayMs`, and comes back; nobody lends a hand. Meanwhile a
 * training logs, health looks, loops run, and notifications have nowhere to go.
 */
export async function outageStory(parts: {
  readonly url: string;
  readonly schema: string;
  readonly dir: string;
  readonly awayMs: number;
}): Promise<OutageReport> {
  const { schema, dir, awayMs } = parts;
  await using proxy = await TcpProxy.open(parts.url);
  const receiver = await Receiver.dead();
  const lines: { readonly fields: Record<string, unknown>; readonly text: string }[] = [];
  const log = (level: string) => (fields: object, message: string) => {
    lines.push({ fields: fields as Record<string, unknown>, text: `${level} ${message}` });
  };
  const logger: Logger = {
    debug: () => undefined,
    ...{ info: log('info'), warn: log('warn'), error: log('error') },
  };
  const backend = pgBackend({ url: proxy.url, schema, connectTimeoutMs: 2_000, retryMs: 2_000 });
  const url = `http://127.0.0.1:${receiver.port}`;
  await using platform = await openPlatform({
    ...{ dir, metadata: backend, series: backend, logger },
    notifiers: [webhookNotifier({ url, secret: 'of the outage' })],
  });
  const { operations, tracking } = platform;
  const database = async () => {
    const { checks } = await operations.health();
    return checks.find(({ name }) => name === 'database')?.status;
  };
  platform.start();
  await until('the database is seen', async () => (await database()) === 'HEALTHY');
  const run = await tracking.startRun({ experiment: 'outage', environment: false });
  let step = 0;
  const train = (): void => {
    for (const end = step + 100; step < end; step += 1) run.logMetric('loss', step, { step });
  };
  train();
  await run.flush();

  const before = {
    cpu: process.cpuUsage(),
    rss: process.memoryUsage.rss(),
    lines: lines.length,
    step,
  };
  const awaySince = performance.now();
  proxy.away();
  while (performance.now() - awaySince < awayMs) {
    train();
    await wait(50);
  }
  const { user, system } = process.cpuUsage(before.cpu);
  const awayFor = performance.now() - awaySince;
  const away = {
    cpuShare: (user + system) / 1000 / awayFor,
    grownBytes: process.memoryUsage.rss() - before.rss,
    linesWhileAway: lines.length - before.lines,
    pointsWhileAway: step - before.step,
  };
  // The check has its interval and its patience; a short outage may end before both are over.
  await until('it is seen to be away', async () => (await database()) === 'UNHEALTHY');

  proxy.back();
  const backSince = performance.now();
  const since = async (what: string, holds: () => Promise<boolean>): Promise<number> => {
    await until(what, holds);
    return Math.round(performance.now() - backSince);
  };
  const write = since('a run can be started', async () => {
    try {
      await (await tracking.startRun({ experiment: 'outage', environment: false })).finish();
      return true;
    } catch {
      return false;
    }
  });
  const flush = since('the points are durable', async () => {
    try {
      await run.flush({ timeoutMs: 1_000 });
      return true;
    } catch {
      return false;
    }
  });
  const health = since('it is HEALTHY', async () => (await database()) === 'HEALTHY');
  await Promise.all([write, flush, health]);
  await run.finish();
  const seen = lines.find(({ text }) => text.startsWith('error database is UNHEALTHY'));
  const correlationId = seen?.fields['correlationId'];
  const story = () =>
    lines.filter(({ fields }) => fields['correlationId'] === correlationId).map(({ text }) => text);
  await until('a notification of it has found nobody', async () =>
    story().some((text) => text.includes('will be sent again later')),
  );
  await receiver.open();
  const ofDatabase = () =>
    receiver.bodies
      .map((body) => body['data'] as Record<string, unknown>)
      .filter(({ details }) => (details as Record<string, unknown>)?.['component'] === 'database');
  const told = await since('people are told of its end', async () =>
    ofDatabase().some(({ state }) => state === 'RESOLVED'),
  );
  const { steps } = await tracking.getMetricHistory(run.id, 'loss');
  const report = {
    ...away,
    back: { health: await health, flush: await flush, write: await write, told },
    lostPoints: (await tracking.getRun(run.id)).lostPoints,
    points: steps.length,
    story: story(),
    told: ofDatabase().map(({ state, severity }) => `${severity} ${state}`),
  };
  await receiver.close();
  return report;
}

/** Asks again until it holds, for a minute at most. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`Waited for a minute in vain: ${what}.`);
    await wait(20);
  }
}
