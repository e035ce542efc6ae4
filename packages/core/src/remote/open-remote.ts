import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { MetricWriter } from '../contracts/metric-writer.ts';
import type { Principal } from '../contracts/ports.ts';
import { FileDownloadCache } from '../embedded/download-cache.ts';
import { tellLoss } from '../embedded/open-stores.ts';
import { PointWriter } from '../embedded/point-writer.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { correlatedLogger } from '../events/correlated-logger.ts';
import type { JsonObject } from '../json.ts';
import { stderrLogger } from '../operations/stderr-logger.ts';
import type { Registry } from '../registry/registry.ts';
import type { Tracking } from '../tracking/tracking.ts';
import type { RemoteServer } from './http-call.ts';
import { Link } from './link.ts';
import { packageVersion } from './package-version.ts';
import { remoteProtocol } from './remote-methods.ts';
import { pointOptions, type RemoteOptions } from './remote-options.ts';
import { createRemoteRegistry } from './remote-registry.ts';
import { refuse } from './remote-service.ts';
import { createRemoteTracking } from './remote-tracking.ts';

/** Tracking of a platform elsewhere: as a local one's, without what needs its stores. */
export type RemoteTracking = Omit<
  Tracking,
  'elsewhere' | 'exportExperiments' | 'importExperiments'
>;

/** The registry of a platform elsewhere: as a local one's, without what needs its stores or its process. */
export type RemoteRegistry = Omit<
  Registry,
  'addCheck' | 'addEffect' | 'exportModels' | 'exportSignatures' | 'importModels' | 'validate'
>;

/**
 * An open platform elsewhere. Metric points go the way of a local platform's: logged at once, sent in batches by a
 * thread, kept in a spool on this machine's disk while the server is away, and sent when it is back, also by a later
 * process; each is there once. Other calls are made again until they got through, or `retryMs` are over.
 */
export interface RemotePlatform extends AsyncDisposable {
  readonly url: string;
  /** The directory of what is local. */
  readonly dir: string;
  /** Which workspace the server serves to whoever asks. */
  readonly workspace: string;
  /** Who asks, as the server knows it. */
  readonly principal: Principal;
  readonly tracking: RemoteTracking;
  readonly registry: RemoteRegistry;
  /**
   * Makes points durable, on the server or in the spool; afterwards everything rejects with CLOSED. TIMEOUT when
   * neither was possible within `timeoutMs` (10,000 when left out). Twice is fine.
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

const retryMs = 30_000;
const cacheBytes = 10 * 2 ** 30;

/**
 * Opens a platform elsewhere. UNAVAILABLE where the server is not reached, FORBIDDEN where it does not take the token,
 * INCOMPATIBLE where it speaks another protocol or none; each says what to do.
 */
export async function openRemote(options: RemoteOptions): Promise<OpenRemote> {
  const logger = correlatedLogger(options.logger ?? stderrLogger);
  const server: RemoteServer = {
    url: options.url,
    ...(options.token === undefined ? {} : { token: options.token }),
  };
  const link = new Link(server, { retryMs: options.retryMs ?? retryMs });
  const hello = await greet(link, options);
  if (hello.version !== packageVersion) {
    logger.warn(
      { component: 'remote', server: hello.version, client: packageVersion },
      `The server at ${server.url} has version ${hello.version}, and this process ${packageVersion}; what only the newer one knows is refused by the other.`,
    );
  }
  return new OpenRemote(options, { link, hello, logger });
}

interface Hello {
  readonly protocol: number;
  readonly version: string;
  readonly workspace: string;
  readonly principal: Principal;
  readonly lateLogging: boolean;
  readonly heartbeatTimeoutMs: number;
}

async function greet(link: Link, options: RemoteOptions): Promise<Hello> {
  const { url } = link.server;
  let hello: Hello;
  try {
    hello = (await link.call({ method: 'GET', path: '/remote' })) as unknown as Hello;
  } catch (error) {
    if (isKeelsonError(error, 'UNAVAILABLE')) throw away(url, error);
    if (!isKeelsonError(error, 'NOT_FOUND', 'CORRUPT', 'FAILED')) throw error;
    throw new KeelsonError(
      'INCOMPATIBLE',
      `What answers at ${url} is no Keelson server, or one that is older than remote mode: ${error.message} Look at the address, and update the server.`,
      { cause: error, details: { url } },
    );
  }
  const { protocol, version, workspace } = hello ?? {};
  if (protocol !== remoteProtocol) {
    const older = Number(protocol) < remoteProtocol ? 'the server' : '@keelson/core here';
    throw new KeelsonError(
      'INCOMPATIBLE',
      `The server at ${url} (version ${version}) speaks protocol ${protocol}, and this process (version ${packageVersion}) protocol ${remoteProtocol}; update ${older}.`,
      { details: { url, server: protocol, client: remoteProtocol } },
    );
  }
  if (options.workspace === undefined || options.workspace === workspace) return hello;
  throw new KeelsonError(
    'INVALID',
    `The server at ${url} serves workspace ${workspace}, not ${options.workspace}; leave workspace out, or give the address of the one that is meant.`,
    { details: { url, workspace } },
  );
}

function away(url: string, cause: KeelsonError): KeelsonError {
  return new KeelsonError(
    'UNAVAILABLE',
    `${cause.message} Start it (keelson serve), look at the address (${url}), or work in a directory, openPlatform({ dir }), and push its runs later: keelson sync.`,
    { cause, details: { url } },
  );
}

/** An open platform elsewhere, and the line to it. */
export class OpenRemote implements RemotePlatform {
  readonly url: string;
  readonly dir: string;
  readonly workspace: string;
  readonly principal: Principal;
  readonly tracking: RemoteTracking;
  readonly registry: RemoteRegistry;
  readonly #parts: Parameters<typeof tellLoss>[1];
  readonly link: Link;
  readonly #writer: PointWriter;
  readonly #noteLost: () => Promise<void>;
  #closing: Promise<void> | undefined;

  constructor(
    options: RemoteOptions,
    { link, hello, logger }: { link: Link; hello: Hello; logger: Parameters<typeof tellLoss>[1] },
  ) {
    this.url = link.server.url;
    this.dir = options.dir ?? '.keelson';
    this.workspace = hello.workspace;
    this.principal = hello.principal;
    this.link = link;
    this.#parts = logger;
    // One for each server and workspace: what waits for one must not go to another.
    const name = createHash('sha256').update(`${this.url}\n${this.workspace}`).digest('hex');
    const here = join(this.dir, 'remote', name.slice(0, 16));
    this.#writer = PointWriter.open({
      spoolDir: join(here, 'spool'),
      ...pointOptions(options, Math.ceil(hello.heartbeatTimeoutMs / 6)),
      notice: (message) => logger.warn({ component: 'metrics' }, message),
      target: {
        kind: 'module',
        module: pointsThread(),
        options: { ...link.server } as JsonObject,
      },
    });
    const { tracking, noteLost } = createRemoteTracking(link, {
      workspace: this.workspace,
      clock: options.clock ?? { now: () => Date.now() },
      logger,
      lateLogging: hello.lateLogging,
      uploadsDir: join(here, 'uploads'),
      options: options.tracking,
      systemMetrics: options.systemMetrics,
      writer: () => this.#openWriter(),
    });
    this.#noteLost = noteLost;
    this.tracking = tracking;
    const { dir = join(here, 'downloads'), maxBytes = cacheBytes } = options.downloadCache ?? {};
    this.registry = createRemoteRegistry(link, {
      tracking,
      uploadsDir: join(here, 'uploads'),
      downloads: new FileDownloadCache({ dir, maxBytes, logger }),
    });
    // What processes that are gone could not send.
    this.#writer.adoptSpools();
  }

  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs ?? 10_000);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    try {
      await this.#noteLost();
    } catch (error) {
      this.#parts.warn({ component: 'tracking', error }, 'Lost points could not be noted.');
    }
    this.link.close();
    try {
      await this.#writer.close({ timeoutMs });
    } finally {
      tellLoss(this.#writer, this.#parts);
    }
  }

  #openWriter(): MetricWriter {
    if (this.#closing === undefined) return this.#writer;
    throw new KeelsonError('CLOSED', 'This platform is closed; open another with openPlatform().');
  }
}

/** The services that a platform elsewhere has not: whatever is asked of them throws UNSUPPORTED, with the remedy. */
export function withoutTheRest(platform: RemotePlatform): RemotePlatform {
  const missing = ['pipelines', 'deployments', 'monitoring', 'events', 'operations'];
  const verbs = ['as', 'authenticate', 'start'];
  const given: PropertyDescriptorMap = {};
  for (const name of missing) given[name] = { value: absent(name, platform.url) };
  for (const name of verbs) given[name] = { value: () => refuse(`platform.${name}`, platform.url) };
  return Object.defineProperties(platform, given);
}

function absent(path: string, url: string): object {
  return new Proxy(
    {},
    {
      get(_, name) {
        // What looks whether it is a promise, or prints it, asks nothing of it.
        if (typeof name === 'symbol' || name === 'then' || name === 'toJSON') return undefined;
        return () => refuse(`${path}.${name}`, url);
      },
    },
  );
}

function pointsThread(): string {
  const isSource = import.meta.url.endsWith('.ts');
  const file = isSource ? './remote-points-thread.ts' : './remote-points-thread.js';
  return new URL(file, import.meta.url).href;
}
