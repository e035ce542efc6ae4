import { hostname, userInfo } from 'node:os';
import { basename, relative } from 'node:path';
import { z } from 'zod';
import type { Json, JsonObject } from '../json.ts';
import { captureDependencies } from './environment-dependencies.ts';
import { captureGit } from './environment-git.ts';
import { captureContainer, captureGpus, machine } from './environment-machine.ts';

/** What may be captured about where a run runs; each may be switched off. */
export interface EnvironmentOptions {
  /** Commit, branch, remote (without what could be a secret), and whether the tree is dirty. */
  readonly git?: boolean;
  /** What a dirty tree has over its commit, as the artifact `environment/uncommitted.patch`. */
  readonly patch?: boolean;
  /** Versions of Node and the system, CPU, memory. */
  readonly machine?: boolean;
  readonly gpu?: boolean;
  /** The hash of the lock file, and the installed versions of what package.json names. */
  readonly dependencies?: boolean;
  /** The script, and the names of its flags. */
  readonly command?: boolean;
  /** Image and id of the container around the process. */
  readonly container?: boolean;
  /** The user of the operating system, and the host's name. */
  readonly user?: boolean;
}

/** The shape of {@link EnvironmentOptions}; `false` captures nothing. */
export const environmentOption: z.ZodType = z.union([
  z.literal(false),
  z.strictObject({
    git: z.boolean().optional(),
    patch: z.boolean().optional(),
    machine: z.boolean().optional(),
    gpu: z.boolean().optional(),
    dependencies: z.boolean().optional(),
    command: z.boolean().optional(),
    container: z.boolean().optional(),
    user: z.boolean().optional(),
  } satisfies Record<keyof EnvironmentOptions, z.ZodType>),
]);

/** What was captured, and what it says about the source. */
export interface Environment {
  readonly facts: JsonObject;
  readonly sourceName?: string;
  readonly gitCommit?: string;
  /** What the tree has over its commit, where it is dirty. */
  readonly patch?: Uint8Array;
}

/** Where the patch of a dirty tree lies among a run's artifacts. */
export const patchPath = 'environment/uncommitted.patch';
/**
 * Git state, machine, GPUs, container, versions and lock file of this process. An allow-list: of the
 * environment variables only `KEELSON_IMAGE` is read, and the values of command-line arguments never are.
 * What cannot be found out is left out.
 */
export async function captureEnvironment(options: EnvironmentOptions = {}): Promise<Environment> {
  const script = process.argv[1];
  const from = workingDirectory();
  const wants = (part: keyof EnvironmentOptions): boolean => options[part] !== false;
  const [git, dependencies, gpus, container] = await Promise.all([
    wants('git') ? captureGit(wants('patch')) : undefined,
    wants('dependencies') && from !== undefined ? captureDependencies(from) : undefined,
    wants('gpu') ? captureGpus() : undefined,
    wants('container') ? captureContainer() : undefined,
  ]);
  const facts: Record<string, Json> = {};
  if (git !== undefined) facts['git'] = git.facts;
  if (dependencies !== undefined) facts['dependencies'] = dependencies;
  if (wants('machine')) facts['machine'] = machine();
  if (gpus !== undefined) facts['gpus'] = gpus;
  if (container !== undefined) facts['container'] = container;
  if (wants('user')) facts['user'] = { name: userName(), host: hostname() };
  if (wants('command') && script !== undefined) {
    facts['command'] = {
      script: from === undefined ? basename(script) : relative(from, script),
      flags: flagNames(process.argv.slice(2)),
    };
  }
  return {
    facts,
    ...(script === undefined ? {} : { sourceName: basename(script) }),
    ...(git === undefined ? {} : { gitCommit: git.commit }),
    ...(git?.patch === undefined ? {} : { patch: git.patch }),
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

function userName(): string {
  try {
    return userInfo().username;
  } catch (error) {
    // A container's user may have no entry in the password file.
    return `uid:${process.getuid?.() ?? (error as Error).name}`;
  }
}
