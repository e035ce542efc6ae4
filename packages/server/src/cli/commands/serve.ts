import { hostname } from 'node:os';
import { isKeelsonError, KeelsonError, type Platform, type PlatformRole } from '@keelson/core';
import { configKeys, shownValue } from '../../config/config-keys.ts';
import type { EffectiveConfig } from '../../config/effective-config.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../start-server.ts';
import { type Command, type CommandContext, defineCommand } from '../command.ts';
import { endLean } from '../lean-start.ts';

/** `keelson serve`. */
export const command: Command = defineCommand({
  description:
    'Answers the control plane (/api/v1), MLflow’s clients, inference and the dashboard. Without `access` only this machine may ask. SIGTERM or Ctrl-C ends it in order: what is under way is answered first, for as long as the grace time, and the exit code is 0. SIGHUP reads the configuration again and takes up what may change meanwhile.\n\nThe address is printed once requests are answered; with --json as {"event":"listening","url":…}.',
  endsInOrder: true,
  options: {
    host: { type: 'text', placeholder: 'address', summary: 'What to listen on [127.0.0.1]' },
    port: {
      type: 'integer',
      short: 'p',
      min: 0,
      max: 65_535,
      summary: '0 takes a free one [5000]',
    },
    basePath: { type: 'text', placeholder: 'path', summary: 'What stands before the paths' },
    access: { type: 'flag', summary: 'Enforce roles, keys and permissions' },
    behindProxy: {
      type: 'integer',
      min: 1,
      max: 100,
      summary: 'How many proxies that set X-Forwarded-* stand before it',
    },
    tlsCert: { type: 'text', placeholder: 'file', summary: 'Certificate (PEM): speaks TLS' },
    tlsKey: { type: 'text', placeholder: 'file', summary: 'Its key (PEM)' },
    roles: {
      type: 'text',
      placeholder: 'list',
      summary: 'Background work of this process: api, worker, monitor [all]',
    },
    background: {
      type: 'flag',
      default: true,
      summary: 'Leave what happens in the background (pipelines, rollouts, checks) to others',
    },
    grace: { type: 'duration', summary: 'How long requests under way may take at the end [30s]' },
  },
  examples: [
    ['keelson serve', 'This machine alone, on port 5000'],
    [
      'keelson serve --host 0.0.0.0 --access --tls-cert tls.crt --tls-key tls.key',
      'Others too; keys say who they are',
    ],
    [
      'keelson serve --host 0.0.0.0 --access --behind-proxy 1 --roles api',
      'A replica behind a proxy that speaks TLS; others do the background work',
    ],
    ['MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py', 'An MLflow client of it'],
  ],
  async run(context) {
    const { options, out, signal, system } = context;
    const { values } = await context.config({
      'server.host': { flag: '--host', value: options.host },
      'server.port': { flag: '--port', value: options.port },
      'server.basePath': { flag: '--base-path', value: options.basePath },
      'server.behindProxy': { flag: '--behind-proxy', value: options.behindProxy },
      'server.tlsCert': { flag: '--tls-cert', value: options.tlsCert },
      'server.tlsKey': { flag: '--tls-key', value: options.tlsKey },
      'server.roles': { flag: '--roles', value: options.roles },
      'server.background': {
        flag: '--no-background',
        value: options.background ? undefined : false,
      },
      'server.graceMs': { flag: '--grace', value: options.grace },
      access: { flag: '--access', value: options.access ? true : undefined },
    });
    const { host, port, basePath, slowClientMs, maxConnections, graceMs, background } =
      values.server;
    const { behindProxy, requestsPerSecond, roles } = values.server;
    const platform = await context.platform({ create: true });
    const server = await startServer(platform, {
      host,
      port,
      slowClientMs,
      ...(basePath === '' ? {} : { basePath }),
      ...(maxConnections === 0 ? {} : { maxConnections }),
      ...(behindProxy === 0 ? {} : { behindProxy: { hops: behindProxy } }),
      ...(requestsPerSecond === 0 ? {} : { rateLimit: { requestsPerSecond } }),
      ...tlsOf(values.server),
      logger: context.logger(),
    });
    const stopListening = system.onSignal('SIGHUP', () => void reload(context, platform, server));
    try {
      if (background) platform.start({ roles: roles.split(',') as PlatformRole[] });
      endLean();
      const document = { event: 'listening', url: server.url, port: server.port, pid: process.pid };
      out.item(document, `Keelson is at ${server.url} (dashboard and API), with ${where(values)}.`);
      if (!signal.aborted)
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      out.note('Ending: what is under way is answered first.');
    } finally {
      stopListening();
      await server.close({ timeoutMs: graceMs });
    }
  },
});

/** INVALID where one of certificate and key is missing. */
function tlsOf({
  tlsCert: cert,
  tlsKey: key,
  tlsClientCa: ca,
  tlsMinVersion: minVersion,
}: EffectiveConfig['values']['server']): Pick<ServerOptions, 'tls'> {
  if (cert === undefined && key === undefined && ca === undefined) return {};
  if (cert === undefined || key === undefined) {
    const missing = cert === undefined ? '--tls-cert' : '--tls-key';
    throw new KeelsonError('INVALID', `TLS takes a certificate and its key: add ${missing}.`);
  }
  return { tls: { cert, key, minVersion, ...(ca === undefined ? {} : { ca }) } };
}

function where({ dir, store, artifacts }: EffectiveConfig['values']): string {
  const records = store === 'sqlite:' ? dir : store.replace(/:.*/s, '');
  return artifacts === 'file:' ? records : `${records} and ${artifacts.replace(/\?.*/s, '')}`;
}

/** Takes up what may change, and says what may not. The process goes on whatever the file says. */
async function reload(
  context: Pick<CommandContext<never, never>, 'reconfigure' | 'out' | 'logger'>,
  platform: Platform,
  server: RunningServer,
): Promise<void> {
  try {
    await server.reloadCertificates();
    const { before, after } = await context.reconfigure();
    const changed = Object.keys(configKeys).filter(
      (key) => valueAt(before, key) !== valueAt(after, key),
    );
    const live = changed.filter((key) => configKeys[key]?.live === true);
    const later = changed.filter((key) => configKeys[key]?.live !== true);
    const said = live.map((key) => `${key} is ${String(valueAt(after, key))}`);
    if (later.length > 0) said.push(`${later.join(', ')} take effect at the next start`);
    context.out.note(
      `Configuration read again: ${said.length === 0 ? 'no change' : said.join('; ')}.`,
    );
    if (live.length > 0) await noteReload(platform, before, after, live);
    context
      .logger()
      .info(
        { component: 'server', changed, by: platform.principal.id },
        'Configuration read again.',
      );
  } catch (error) {
    const code = isKeelsonError(error) ? ` ${error.code}` : '';
    const why = error instanceof Error ? error.message : String(error);
    context.out.note(`The configuration stays as it was:${code} ${why}`);
  }
}

/** What was taken up is on the record: an event by this process's principal, with the values before and after. */
async function noteReload(
  platform: Platform,
  before: EffectiveConfig,
  after: EffectiveConfig,
  keys: readonly string[],
): Promise<void> {
  const changes = keys.map((key) => ({
    key,
    from: String(shownValue(key, valueAt(before, key)) ?? ''),
    to: String(shownValue(key, valueAt(after, key)) ?? ''),
    source: after.sources[key] ?? '',
  }));
  await platform.events.publish({
    type: 'configuration.changed',
    subject: `process:${hostname()}:${process.pid}`,
    payload: { changes },
    source: 'server',
  });
}

function valueAt({ values }: EffectiveConfig, key: string): unknown {
  const [first = key, second] = key.split('.');
  const value = (values as unknown as Record<string, unknown>)[first];
  return second === undefined ? value : (value as Record<string, unknown> | undefined)?.[second];
}
