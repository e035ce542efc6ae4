import { isKeelsonError, type Platform } from '@keelson/core';
import type { EffectiveConfig } from '../../config/effective-config.ts';
import type { CommandContext } from '../command.ts';
import { installedVersions } from '../installed-versions.ts';
import { lookAtDirectory } from './directory.ts';
import { lookAtPort } from './port.ts';

/** What one look came to. */
export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warning' | 'problem';
  readonly message: string;
  /** What to do, where the message does not say it. */
  readonly remedy?: string;
}

type Room = Pick<CommandContext<never, never>, 'config' | 'platform' | 'cwd' | 'env'>;

/** Looks at everything, from what all else needs up to the platform's own health checks. */
export async function* examine(room: Room): AsyncGenerator<Finding> {
  yield lookAtNode(process.versions.node);
  yield await lookAtSqlite();
  yield await lookAtPackages(room.cwd);
  let config: EffectiveConfig;
  try {
    config = await room.config();
    yield {
      check: 'configuration',
      status: 'ok',
      message: config.file ?? 'no file; defaults, environment and options',
    };
  } catch (error) {
    yield problem('configuration', error);
    return;
  }
  const found = await lookAtDirectory(config);
  yield* found.findings;
  yield await lookAtPort(config.values.server);
  if (!found.mayOpen) return;
  let platform: Platform;
  try {
    platform = await room.platform();
    yield { check: 'opening', status: 'ok', message: `${config.values.dir} opens` };
  } catch (error) {
    yield problem('opening', error);
    return;
  }
  yield* lookAtHealth(platform);
}

/** A finding of what failed; its message says what to do. */
function problem(check: string, error: unknown): Finding {
  const code = isKeelsonError(error) ? `${error.code}: ` : '';
  const message = error instanceof Error ? error.message : String(error);
  return { check, status: 'problem', message: code + message };
}

/** Whether a version is `^22.18 || >=24`. */
function lookAtNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const good = (major === 22 && minor >= 18) || major >= 24;
  if (good) return { check: 'node', status: 'ok', message: `Node ${version}` };
  return {
    check: 'node',
    status: 'problem',
    message: `Node ${version} is not supported`,
    remedy: 'Install Node 24 (or 22.18 and later of 22).',
  };
}

async function lookAtSqlite(): Promise<Finding> {
  try {
    const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync(':memory:');
    const row = database.prepare('SELECT sqlite_version() AS version').get();
    database.close();
    return { check: 'sqlite', status: 'ok', message: `SQLite ${String(row?.['version'])}` };
  } catch (error) {
    return {
      ...problem('sqlite', error),
      remedy: 'This build of Node lacks node:sqlite; install one from nodejs.org.',
    };
  }
}

async function lookAtPackages(cwd: string): Promise<Finding> {
  const packages = await installedVersions(cwd);
  const versions = new Set(Object.values(packages));
  const list = Object.entries(packages)
    .map(([name, version]) => `${name.replace('@keelson/', '')} ${version}`)
    .join(', ');
  if (versions.size <= 1) return { check: 'packages', status: 'ok', message: list };
  return {
    check: 'packages',
    status: 'problem',
    message: `versions differ: ${list}`,
    remedy: `Install one version of all: npm install ${Object.keys(packages).join(' ')}`,
  };
}

async function* lookAtHealth(platform: Platform): AsyncGenerator<Finding> {
  const { checks } = await platform.operations.health({ fresh: true });
  for (const { component, name, status, message, critical } of checks) {
    const check = component === name ? name : `${component}, ${name}`;
    if (status === 'HEALTHY') yield { check, status: 'ok', message };
    // A process that has only just begun has nothing to compare itself with.
    else if (status === 'UNKNOWN' && !critical)
      yield { check, status: 'ok', message: `unknown yet (${message})` };
    else
      yield { check, status: critical || status === 'UNHEALTHY' ? 'problem' : 'warning', message };
  }
}
