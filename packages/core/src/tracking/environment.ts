import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { availableParallelism, hostname, totalmem, userInfo } from 'node:os';
import { basename, join, relative } from 'node:path';
import type { JsonObject } from '../json.ts';

/** What may be captured about where a run runs; each may be switched off. */
export interface EnvironmentOptions {
  readonly git?: boolean;
  readonly machine?: boolean;
  readonly dependencies?: boolean;
  readonly command?: boolean;
}

/** What was captured, and what it says about the source. */
export interface Environment {
  readonly facts: JsonObject;
  readonly sourceName?: string;
  readonly gitCommit?: string;
}

/**
 * Git state, machine, versions and lock file of this process. An allow-list: environment variables and
 * the values of command-line arguments are never read into it. What cannot be found out is left out.
 */
export async function captureEnvironment(options: EnvironmentOptions = {}): Promise<Environment> {
  const script = process.argv[1];
  const facts: Record<string, JsonObject> = {};
  const [git, dependencies] = await Promise.all([
    options.git === false ? undefined : captureGit(),
    options.dependencies === false ? undefined : captureLockFile(),
  ]);
  if (git !== undefined) facts['git'] = git;
  if (dependencies !== undefined) facts['dependencies'] = dependencies;
  if (options.machine !== false) {
    facts['machine'] = {
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
      cpus: availableParallelism(),
      memoryBytes: totalmem(),
      host: hostname(),
      user: userName(),
    };
  }
  if (options.command !== false && script !== undefined) {
    facts['command'] = { script: relative(process.cwd(), script), flags: flagNames() };
  }
  const commit = git?.['commit'];
  return {
    facts,
    ...(script === undefined ? {} : { sourceName: basename(script) }),
    ...(typeof commit === 'string' ? { gitCommit: commit } : {}),
  };
}

// `--token=abc` and `--token abc` both give `--token`: names tell what was chosen, values may be secret.
function flagNames(): string[] {
  return process.argv
    .slice(2)
    .filter((argument) => /^--?[A-Za-z]/.test(argument))
    .map((argument) => argument.split('=')[0] ?? '');
}

async function captureGit(): Promise<JsonObject | undefined> {
  const commit = await git(['rev-parse', 'HEAD']);
  if (commit === undefined) return undefined;
  const [branch, status] = await Promise.all([
    git(['rev-parse', '--abbrev-ref', 'HEAD']),
    git(['status', '--porcelain', '--untracked-files=no']),
  ]);
  return { commit, ...(branch ? { branch } : {}), dirty: status !== undefined && status !== '' };
}

function git(args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile('git', [...args], { timeout: 2000, maxBuffer: 1 << 20 }, (error, stdout) => {
      // No git, no repository or no commit yet: an ordinary answer, not a fault.
      resolve(error === null ? stdout.trim() : undefined);
    });
  });
}

async function captureLockFile(): Promise<JsonObject | undefined> {
  for (const name of ['package-lock.json', 'pnpm-lock.yaml', 'yarn.lock', 'bun.lock']) {
    const bytes = await readFile(join(process.cwd(), name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (bytes !== undefined) {
      return { lockFile: name, sha256: createHash('sha256').update(bytes).digest('hex') };
    }
  }
  return undefined;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch (error) {
    // A container's user may have no entry in the password file.
    return `uid:${process.getuid?.() ?? (error as Error).name}`;
  }
}
