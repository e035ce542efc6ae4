import type { Clock, Logger } from '../contracts/ports.ts';
import type { PointWriterOptions } from '../embedded/point-writer.ts';
import { KeelsonError } from '../errors.ts';
import type { SystemMetricsOption } from '../tracking/system-metrics.ts';
import type { TrackingOptions } from '../tracking/tracking.ts';

/** How a platform elsewhere is opened: what it is made of is decided where it is. */
export interface RemoteOptions {
  /** Such as `http://127.0.0.1:5000`, with what stands before its paths; `KEELSON_URL` when left out. */
  readonly url: string;
  /** An API key or a token of the server's; `KEELSON_TOKEN` when left out. */
  readonly token?: string;
  /** INVALID when the server serves another one to whoever asks. */
  readonly workspace?: string;
  /** What is local: points that wait for the server, copies of downloads. `.keelson` when left out. */
  readonly dir?: string;
  /**
   * How long a call (metric points wait in the spool, however long) may try to get through to a server that is away;
   * 30,000 when left out.
   */
  readonly retryMs?: number;
  /** How points are buffered: as those of a local platform. */
  readonly metrics?: Omit<PointWriterOptions, 'target' | 'ringBytes'> & {
    readonly memoryBytes?: number;
  };
  /** Copies of model versions that were downloaded on this machine; in `dir` when left out. */
  readonly downloadCache?: { readonly dir?: string; readonly maxBytes?: number };
  /** What is captured where runs do not say otherwise. Whether late logging is taken, the server says. */
  readonly tracking?: Pick<TrackingOptions, 'environment'>;
  /** Samples of machine and process, as `system/*` metrics of runs that do not say otherwise. */
  readonly systemMetrics?: SystemMetricsOption;
  readonly clock?: Clock;
  /** Silent but for warnings and errors on stderr when left out. */
  readonly logger?: Logger;
}

/** What only the process that holds the stores may decide. */
const ofTheServer = [
  'access',
  'artifacts',
  'authorizer',
  'caretakers',
  'events',
  'executors',
  'heartbeatTimeoutMs',
  'ids',
  'keys',
  'metadata',
  'monitoring',
  'notifiers',
  'pipelines',
  'principal',
  'series',
  'trustedKeys',
] as const;

/** Options of `openPlatform`, as far as it is asked here. */
type GivenOptions = Omit<RemoteOptions, 'url'> & { readonly url?: string } & {
  readonly [K in (typeof ofTheServer)[number]]?: unknown;
};

/**
 * The options of a platform elsewhere; undefined for one that is here. `KEELSON_URL` sends a call elsewhere that names
 * neither a directory nor a store. INVALID for what is no address, and for options that are the server's to decide.
 */
export function remoteOptions(
  options: GivenOptions,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): RemoteOptions | undefined {
  const fromEnvironment = !['dir', 'metadata', 'series', 'artifacts'].some((name) =>
    Object.hasOwn(options, name),
  );
  const named = environment['KEELSON_URL'] === '' ? undefined : environment['KEELSON_URL'];
  const url = options.url ?? (fromEnvironment ? named : undefined);
  if (url === undefined) {
    if (options.token === undefined && options.retryMs === undefined) return undefined;
    const message =
      'openPlatform was given a token or retryMs and no url; a platform elsewhere is opened by openPlatform({ url, token }) or with KEELSON_URL.';
    throw new KeelsonError('INVALID', message);
  }
  const foreign: string[] = ofTheServer.filter((name) => options[name] !== undefined);
  if ((options.tracking as TrackingOptions | undefined)?.lateLogging !== undefined) {
    foreign.push('tracking.lateLogging');
  }
  if (foreign.length > 0) {
    throw new KeelsonError(
      'INVALID',
      `openPlatform was given ${foreign.join(', ')}, which the server at ${url} decides for itself; leave it out, or leave ${options.url === undefined ? 'KEELSON_URL unset' : 'url out'} to hold the stores in this process.`,
    );
  }
  const token = options.token ?? environment['KEELSON_TOKEN'];
  const { token: _, url: __, ...rest } = options;
  return { ...rest, url: addressOf(url), ...(token ? { token } : {}) };
}

function addressOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const isWeb = parsed?.protocol === 'http:' || parsed?.protocol === 'https:';
  if (parsed === undefined || !isWeb) {
    throw new KeelsonError(
      'INVALID',
      `"${url}" is no address of a platform; give one such as http://127.0.0.1:5000 (openPlatform({ url }) or KEELSON_URL).`,
    );
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new KeelsonError(
      'INVALID',
      'The address of a platform holds a name or a password; give an API key as token (or KEELSON_TOKEN) instead.',
    );
  }
  return `${parsed.origin}${parsed.pathname}`.replace(/\/+$/, '');
}

/** The options of the writer of points. */
export function pointOptions(
  options: RemoteOptions,
  heartbeatMs: number,
): Omit<PointWriterOptions, 'target'> {
  const { memoryBytes, ...points } = options.metrics ?? {};
  return {
    ...points,
    heartbeatMs,
    ...(memoryBytes === undefined ? {} : { ringBytes: memoryBytes }),
  };
}
