import { isAbsolute, posix, relative } from 'node:path';
import type { TaskSpec } from '@keelson/core';
import { KeelsonError } from '@keelson/core';

/** A directory or file of the engine's machine, as a container sees it. */
export interface TaskMount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** Where the files of a task lie in its container. */
const insideDir = '/keelson';

/** The mounts of a task. */
export function mountsOf({ files }: Pick<TaskSpec, 'files'>): readonly TaskMount[] {
  if (files === undefined) return [];
  const { workDir, inputs, checkpointDir } = files;
  const mounts = [{ source: workDir, target: `${insideDir}/work`, readOnly: false }];
  if (checkpointDir !== undefined) {
    mounts.push({ source: checkpointDir, target: `${insideDir}/checkpoints`, readOnly: false });
  }
  for (const [name, source] of Object.entries(inputs)) {
    // Names may have any characters; a slash would lead elsewhere.
    const target = `${insideDir}/inputs/${name.replaceAll(/[^\w.-]/g, '_')}`;
    mounts.push({ source, target, readOnly: true });
  }
  return mounts;
}

/** The variables of a task, with paths as its container sees them. INVALID for a path that is not mounted. */
export function environmentOf(
  { env, pathEnv = {} }: Pick<TaskSpec, 'env' | 'pathEnv'>,
  mounts: readonly TaskMount[],
): Record<string, string> {
  const paths = Object.entries(pathEnv).map(([name, path]) => [name, inside(path, name, mounts)]);
  return { HOME: '/tmp', ...env, ...Object.fromEntries(paths) };
}

function inside(path: string, name: string, mounts: readonly TaskMount[]): string {
  const holding = mounts
    .map((mount) => ({ mount, rest: relative(mount.source, path) }))
    .filter(({ rest }) => rest === '' || !(rest.startsWith('..') || isAbsolute(rest)))
    .toSorted((a, b) => a.rest.length - b.rest.length);
  const [best] = holding;
  if (best === undefined) {
    throw new KeelsonError(
      'INVALID',
      `The variable ${name} is the path ${path}, which is below none of the task's files.`,
    );
  }
  return best.rest === '' ? best.mount.target : posix.join(best.mount.target, best.rest);
}
