import { z } from 'zod';

/** One key of the configuration. */
export interface ConfigKey {
  /** What stands there when nobody says otherwise; undefined for nothing. */
  readonly default: string | number | boolean | undefined;
  readonly schema: z.ZodType;
  /** How texts of the environment and of flags are read. */
  readonly kind: 'text' | 'integer' | 'boolean';
  readonly summary: string;
  readonly example: string | number | boolean;
  /** Paths are taken from the configuration file's directory. */
  readonly path?: true;
  /** Passwords in it are not shown. */
  readonly secret?: true;
  /** A process that runs takes it up when it is told to (SIGHUP). */
  readonly live?: true;
}

const text = z.string().min(1, 'must not be empty');
const url = (pattern: RegExp, must: string): z.ZodType => z.string().regex(pattern, must);
const integer = (min: number, max: number): z.ZodType =>
  z
    .number({ error: 'must be an integer' })
    .int('must be an integer')
    .min(min, `must be from ${min} to ${max}`)
    .max(max, `must be from ${min} to ${max}`);
const flag = z.boolean({ error: 'must be true or false' });
const one = (...of: string[]): z.ZodType =>
  z.enum(of as [string, ...string[]], { error: `must be one of ${of.join(', ')}` });

const records = url(/^(sqlite:$|postgres(ql)?:\/\/)/, 'must be sqlite: or postgres://…');

/** All keys, by their dotted names, in the order in which they are shown. */
export const configKeys: Readonly<Record<string, ConfigKey>> = {
  dir: {
    default: '.keelson',
    schema: text,
    kind: 'text',
    path: true,
    summary: 'Directory of the embedded default, and of what is local (spools, caches)',
    example: '/var/lib/keelson',
  },
  workspace: {
    default: 'default',
    schema: text,
    kind: 'text',
    summary: 'Workspace',
    example: 'team-a',
  },
  store: {
    default: 'sqlite:',
    schema: records,
    kind: 'text',
    secret: true,
    summary: 'Records: `sqlite:` (in the directory) or `postgres://…` (@keelson/store-pg)',
    example: 'postgres://keelson@db.internal/keelson',
  },
  series: {
    default: undefined,
    schema: records,
    kind: 'text',
    secret: true,
    summary: 'Metric points and predictions; where the records are when left out',
    example: 'postgres://keelson@metrics.internal/keelson',
  },
  artifacts: {
    default: 'file:',
    schema: url(/^(file:$|s3:\/\/[^/?]+)/, 'must be file: or s3://bucket/prefix'),
    kind: 'text',
    secret: true,
    summary:
      'Contents: `file:` (in the directory) or `s3://bucket/prefix?region=…&endpoint=…` (@keelson/store-s3)',
    example: 's3://models/keelson/?region=eu-central-1',
  },
  access: {
    default: false,
    schema: flag,
    kind: 'boolean',
    summary: 'Whether roles, keys and permissions are enforced',
    example: true,
  },
  insecure: {
    default: false,
    schema: flag,
    kind: 'boolean',
    summary:
      'Said a second time, where the address of a store beyond this machine says that it is not encrypted (`sslmode=disable`, `http:`)',
    example: true,
  },
  'log.level': {
    default: 'warn',
    schema: one('debug', 'info', 'warn', 'error', 'silent'),
    kind: 'text',
    live: true,
    summary: 'How much is logged to stderr: debug, info, warn, error or silent',
    example: 'info',
  },
  'log.format': {
    default: 'text',
    schema: one('text', 'json'),
    kind: 'text',
    live: true,
    summary: 'Lines of text, or of JSON',
    example: 'json',
  },
  'server.host': {
    default: '127.0.0.1',
    schema: text,
    kind: 'text',
    summary: 'What `keelson serve` listens on; others than this machine take `access`',
    example: '0.0.0.0',
  },
  'server.port': {
    default: 5000,
    schema: integer(0, 65_535),
    kind: 'integer',
    summary: 'Port of `keelson serve`; 0 takes a free one',
    example: 8080,
  },
  'server.basePath': {
    default: '',
    schema: url(/^(\/[^/\s?#]+)*$/, 'must be empty or begin with / and not end with one'),
    kind: 'text',
    summary: 'What stands before the paths',
    example: '/mlops',
  },
  'server.slowClientMs': {
    default: 60_000,
    schema: integer(1000, 2 ** 31 - 1),
    kind: 'integer',
    summary: 'A body that nothing comes of for so many ms ends its connection',
    example: 30_000,
  },
  'server.maxConnections': {
    default: 0,
    schema: integer(0, 2 ** 31 - 1),
    kind: 'integer',
    summary: 'Connections at a time; 0 for no limit',
    example: 1000,
  },
  'server.graceMs': {
    default: 30_000,
    schema: integer(0, 3_600_000),
    kind: 'integer',
    summary: 'How many ms requests under way may take after SIGTERM or Ctrl-C',
    example: 10_000,
  },
  'server.behindProxy': {
    default: 0,
    schema: integer(0, 100),
    kind: 'integer',
    summary: 'How many proxies that set X-Forwarded-* stand before the server; 0 believes none',
    example: 1,
  },
  'server.tlsCert': {
    default: undefined,
    schema: text,
    kind: 'text',
    path: true,
    summary: 'File with the certificate (PEM); read again when it changes',
    example: '/etc/keelson/tls.crt',
  },
  'server.tlsKey': {
    default: undefined,
    schema: text,
    kind: 'text',
    path: true,
    summary: 'File with its key (PEM)',
    example: '/etc/keelson/tls.key',
  },
  'server.tlsClientCa': {
    default: undefined,
    schema: text,
    kind: 'text',
    path: true,
    summary: 'File with the authorities (PEM) of which clients must show a certificate',
    example: '/etc/keelson/clients.crt',
  },
  'server.tlsMinVersion': {
    default: '1.3',
    schema: one('1.2', '1.3'),
    kind: 'text',
    summary: 'The oldest version of TLS: 1.3, or 1.2 for older clients',
    example: '1.2',
  },
  'server.requestsPerSecond': {
    default: 0,
    schema: integer(0, 1_000_000),
    kind: 'integer',
    summary: 'How much one principal may ask of this process; 0 for no limit',
    example: 100,
  },
  'server.roles': {
    default: 'api,worker,monitor',
    schema: url(
      /^(api|worker|monitor)(,(api|worker|monitor))*$/,
      'must be of api, worker and monitor, with commas',
    ),
    kind: 'text',
    summary: 'What this process does in the background: api (nothing), worker, monitor',
    example: 'api',
  },
  'server.background': {
    default: true,
    schema: flag,
    kind: 'boolean',
    summary:
      'Whether this process does what happens in the background: pipelines, rollouts, checks',
    example: false,
  },
};

/** The variable of a key: `server.basePath` is `KEELSON_SERVER_BASE_PATH`. */
export function variableOf(key: string): string {
  const words = key.replace(/[A-Z]/g, (letter) => `_${letter}`).replaceAll('.', '_');
  return `KEELSON_${words.toUpperCase()}`;
}

/** A value as it may be shown: without passwords and keys in addresses. */
export function shownValue(key: string, value: unknown): unknown {
  if (configKeys[key]?.secret !== true || typeof value !== 'string') return value;
  return value
    .replace(/(:\/\/[^/?#@]*?):[^/?#]*@/, '$1:***@')
    .replace(/([?&][^=&]*(?:password|secret|key|token|credential)[^=&]*=)[^&#]*/gi, '$1***');
}
