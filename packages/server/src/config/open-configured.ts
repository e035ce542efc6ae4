import { access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type ArtifactBackend,
  KeelsonError,
  type Logger,
  type MetadataBackend,
  openPlatform,
  type Platform,
  type PlatformOptions,
  type SeriesBackend,
} from '@keelson/core';
import { shownValue } from './config-keys.ts';
import type { EffectiveConfig } from './effective-config.ts';

/**
 * The options of `openPlatform` that a configuration means: `openPlatform(await platformOptions(await loadConfig()))`.
 * Stores by address are opened by their packages; UNSUPPORTED, with the command that installs it, where one is missing.
 */
export async function platformOptions(
  { values, root }: EffectiveConfig,
  logger?: Logger,
): Promise<PlatformOptions> {
  const { store, series, artifacts, insecure } = values;
  const metadata = isPostgres(store) ? await postgres(store, root, insecure) : undefined;
  // One object for both lets searches look at params and metrics at once.
  const points =
    series === undefined || series === store
      ? metadata
      : isPostgres(series)
        ? await postgres(series, root, insecure)
        : undefined;
  return {
    dir: values.dir,
    workspace: values.workspace,
    ...(values.access ? { access: true as const } : {}),
    ...(metadata === undefined ? {} : { metadata }),
    ...(points === undefined ? {} : { series: points }),
    ...(artifacts.startsWith('s3:') ? { artifacts: await s3(artifacts, root, insecure) } : {}),
    ...(logger === undefined ? {} : { logger }),
    ...values.platform,
  };
}

/** Opens the platform that a configuration describes. */
export async function openConfigured(config: EffectiveConfig, logger?: Logger): Promise<Platform> {
  return openPlatform(await platformOptions(config, logger));
}

/** NOT_FOUND, with how one is made, where the directory of an embedded platform is not there. */
export async function assertPlatformThere({ values, sources }: EffectiveConfig): Promise<void> {
  if (isPostgres(values.store) || values.platform?.metadata !== undefined) return;
  const dir = values.platform?.dir ?? values.dir;
  try {
    await access(dir);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') return;
    const from = sources['dir'] === 'default' ? '' : ` (${sources['dir']})`;
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no platform at ${dir}${from}. Name another directory with --dir or KEELSON_DIR, or make one here: keelson init.`,
      { cause, details: { dir } },
    );
  }
}

function isPostgres(store: string | undefined): store is string {
  return store !== undefined && store.startsWith('postgres');
}

async function postgres(
  url: string,
  root: string,
  insecure: boolean,
): Promise<MetadataBackend & SeriesBackend> {
  const { schema, bare } = takeSchema(url);
  const { pgBackend } = await adapter<{
    pgBackend(options: object): MetadataBackend & SeriesBackend;
  }>('@keelson/store-pg', root, shownValue('store', url));
  return pgBackend({ url: bare, insecure, ...(schema === undefined ? {} : { schema }) });
}

/** `?schema=team_a` is ours; the rest of the address is the driver's. */
function takeSchema(url: string): { readonly schema: string | undefined; readonly bare: string } {
  const [before = url, query] = url.split('?');
  const params = new URLSearchParams(query);
  const schema = params.get('schema') ?? undefined;
  params.delete('schema');
  return { schema, bare: params.size === 0 ? before : `${before}?${params}` };
}

async function s3(address: string, root: string, insecure: boolean): Promise<ArtifactBackend> {
  const url = new URL(address);
  const known = new Set(['region', 'endpoint', 'forcePathStyle']);
  for (const name of url.searchParams.keys()) {
    if (known.has(name)) continue;
    throw new KeelsonError(
      'INVALID',
      `"artifacts" does not know ?${name}; there are ${[...known].join(', ')}. Credentials come from the environment (AWS_ACCESS_KEY_ID …), as the SDK finds them.`,
    );
  }
  const { s3Backend } = await adapter<{ s3Backend(options: object): ArtifactBackend }>(
    '@keelson/store-s3',
    root,
    shownValue('artifacts', address),
  );
  const get = (name: string): object => {
    const value = url.searchParams.get(name);
    return value === null ? {} : { [name]: value };
  };
  const style = url.searchParams.get('forcePathStyle');
  return s3Backend({
    bucket: url.hostname,
    insecure,
    ...(url.pathname.length > 1 ? { prefix: `${url.pathname.slice(1).replace(/\/+$/, '')}/` } : {}),
    ...get('region'),
    ...get('endpoint'),
    ...(style === null ? {} : { forcePathStyle: style !== 'false' }),
  });
}

/** The adapter that is installed beside the configuration, or else beside this package. */
async function adapter<T>(name: string, root: string, address: unknown): Promise<T> {
  for (const from of [join(root, 'index.js'), import.meta.url]) {
    let path: string;
    try {
      path = createRequire(from).resolve(name);
    } catch (error) {
      if (isMissing(error)) continue;
      throw error;
    }
    return (await import(pathToFileURL(path).href)) as T;
  }
  throw new KeelsonError(
    'UNSUPPORTED',
    `${address} needs the package ${name}, which is not installed: npm install ${name}`,
    { details: { package: name } },
  );
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'MODULE_NOT_FOUND' || code === 'ERR_PACKAGE_PATH_NOT_EXPORTED';
}
