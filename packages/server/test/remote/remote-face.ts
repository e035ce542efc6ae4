import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  openPlatform,
  type Platform,
  type PlatformOptions,
  type Principal,
  type RemoteOptions,
  type RemotePlatform,
  type Services,
} from '@keelson/core';
import { type RunningServer, startServer } from '../../src/start-server.ts';

/** What a test opens: a platform, and whose services of it. */
export interface FaceOptions {
  readonly platform: Platform;
  readonly workspace: string;
  readonly principal: Principal;
  /** Those of the test that are a client's as well. */
  readonly options: PlatformOptions;
}

/**
 * The services of a platform as a client over HTTP has them: tracking and registry go to a real server on loopback, the
 * others are the platform's own. For core's tests, with KEELSON_TEST_REMOTE=<this file>. At once: calls wait until
 * the client is open.
 */
export function remoteFace(face: FaceOptions): {
  readonly services: Pick<Services, 'tracking' | 'registry'>;
  close(): Promise<void>;
} {
  const opened = open(face);
  // Told to whoever calls.
  opened.catch(() => undefined);
  const services = {
    tracking: deferred('tracking', opened),
    registry: deferred('registry', opened),
  } as unknown as Pick<Services, 'tracking' | 'registry'>;
  return {
    services,
    async close() {
      const { client, server, dir } = await opened;
      await client.close();
      await server.close({ timeoutMs: 1_000 });
      await rm(dir, { recursive: true, force: true });
    },
  };
}

interface Opened {
  readonly client: RemotePlatform;
  readonly server: RunningServer;
  readonly dir: string;
}

async function open({ platform, workspace, principal, options }: FaceOptions): Promise<Opened> {
  const server = await startServer(platform, { port: 0, workspace, auth: () => principal });
  const dir = await mkdtemp(join(tmpdir(), 'keelson-client-'));
  const { logger, metrics, systemMetrics, tracking, clock } = options;
  const environment = tracking?.environment;
  const given: RemoteOptions = {
    url: server.url,
    dir,
    retryMs: 2_000,
    ...(logger === undefined ? {} : { logger }),
    ...(metrics === undefined ? {} : { metrics }),
    ...(systemMetrics === undefined ? {} : { systemMetrics }),
    ...(clock === undefined ? {} : { clock }),
    ...(environment === undefined ? {} : { tracking: { environment } }),
  };
  const client = await openPlatform(given);
  return { client, server, dir };
}

type Methods = Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;

function deferred(service: 'tracking' | 'registry', opened: Promise<Opened>): object {
  const methods = async (): Promise<Methods> =>
    (await opened).client[service] as unknown as Methods;
  const call =
    (name: string) =>
    async (...args: readonly unknown[]): Promise<unknown> =>
      (await methods())[name]?.(...args);
  return new Proxy(
    {},
    {
      get(_, name) {
        if (typeof name === 'symbol' || name === 'then') return undefined;
        if (name === 'eachRun' || name === 'eachVersion') {
          return async function* each(...args: readonly unknown[]) {
            yield* (await methods())[name]?.(...args) as AsyncIterable<unknown>;
          };
        }
        if (name !== 'experiment') return call(name);
        return (of: string) => {
          const typed = async (): Promise<Methods> =>
            (await methods())['experiment']?.(of) as Methods;
          return {
            name: of,
            startRun: async (...args: unknown[]) => (await typed())['startRun']?.(...args),
            withRun: async (...args: unknown[]) => (await typed())['withRun']?.(...args),
          };
        };
      },
    },
  );
}
