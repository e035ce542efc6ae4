import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { availableParallelism, hostname, totalmem, userInfo } from 'node:os';
import { basename, join, relative } from 'node:path';
import { type JsonObject, storableText } from '../json.ts';

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
    const from = workingDirectory();
    facts['command'] = {
      script: from === undefined ? basename(script) : relative(from, script),
      flags: flagNames(process.argv.slice(2)),
    };
  }
  const commit = git?.['commit'];
  return {
    facts,
    ...(script === undefined ? {} : { sourceName: basename(script) }),
    ...(typeof commit === 'string' ? { gitCommit: commit } : {}),
  };
}

/**
 * The names of command-line flags. `--token=abc` and `--token abc` both give `--token`, `-pabc` gives
 * `-p`: names tell what was chosen, values may be secret.
 */
export function flagNames(args: readonly string[]): string[] {
  return args.flatMap((argument) => {
    const name = /^(--[A-Za-z][\w-]*|-[A-Za-z])/.exec(argument)?.[1];
    return name === undefined ? [] : [name];
  });
}

// A process may outlive the directory that it was started in.
function workingDirectory(): string | undefined {
  try {
    return process.cwd();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
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
    const done = (error: Error | null, stdout: string): void =>
      // No git, no repository, no commit yet, no time: an ordinary answer, not a fault.
      resolve(error === null ? storableText(stdout.trim(), 1000) : undefined);
    try {
      execFile('git', [...args], { timeout: 2000, maxBuffer: 1 << 20 }, done);
    } catch (error) {
      done(error as Error, '');
    }
  });
}

async function captureLockFile(): Promise<JsonObject | undefined> {
  const from = workingDirectory();
  if (from === undefined) return undefined;
  for (const name of ['package-lock.json', 'pnpm-lock.yaml', 'yarn.lock', 'bun.lock']) {
    try {
      const bytes = await readFile(join(from, name));
      return { lockFile: name, sha256: createHash('sha256').update(bytes).digest('hex') };
    } catch (error) {
      // One that is not there, or may not be read, does not keep a run from starting.
      if (typeof (error as NodeJS.ErrnoException).code !== 'string') throw error;
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
