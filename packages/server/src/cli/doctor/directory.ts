import { constants } from 'node:fs';
import { access, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { directoryFormat } from '@keelson/core';
import type { EffectiveConfig } from '../../config/effective-config.ts';
import { bytesText, durationText } from '../formats.ts';
import type { Finding } from './examine.ts';

const littleSpace = 1e9;
/** Points of a process that lives are stored within seconds. */
const oldSpoolMs = 600_000;

/** Looks at the platform's directory without opening it; answers whether it can be opened. */
export async function lookAtDirectory({
  values,
}: EffectiveConfig): Promise<{ readonly findings: readonly Finding[]; readonly mayOpen: boolean }> {
  const { dir, store } = values;
  const there = await stat(dir).catch((error: NodeJS.ErrnoException) => error);
  if (there instanceof Error) {
    if (there.code !== 'ENOENT') {
      return unusable(`${dir} cannot be looked at: ${there.message}`, 'Let this user read it.');
    }
    if (store !== 'sqlite:') return { findings: [], mayOpen: true };
    return unusable(
      `there is no platform at ${dir}`,
      'keelson init makes one; --dir names another.',
    );
  }
  if (!there.isDirectory()) return unusable(`${dir} is a file`, 'Name a directory with --dir.');
  try {
    await access(dir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    const owner = `user ${there.uid}`;
    return unusable(
      `${dir} may not be written by this user (it belongs to ${owner})`,
      `Run as ${owner}, or change its owner: chown -R $(id -u) ${dir}`,
    );
  }
  const open = (there.mode & 0o002) !== 0;
  return {
    mayOpen: true,
    findings: [
      {
        check: 'directory',
        status: open ? 'warning' : 'ok',
        message: open ? `${dir} may be written by every user` : dir,
        ...(open ? { remedy: `chmod o-w ${dir}` } : {}),
      },
      await lookAtFormat(dir),
      await lookAtSpace(dir),
      await lookAtSpool(dir),
    ],
  };
}

function unusable(
  message: string,
  remedy: string,
): { readonly findings: readonly Finding[]; readonly mayOpen: boolean } {
  return { findings: [{ check: 'directory', status: 'problem', message, remedy }], mayOpen: false };
}

async function lookAtFormat(dir: string): Promise<Finding> {
  try {
    const { format, current, steps, unfinished } = await directoryFormat(dir);
    if (steps.length === 0 && !unfinished) {
      return { check: 'format', status: 'ok', message: `format ${format ?? current}` };
    }
    return {
      check: 'format',
      status: 'warning',
      message: unfinished
        ? 'a migration was broken off'
        : `format ${format}, this version has ${current}`,
      remedy: 'keelson migrate brings it forward, after a backup.',
    };
  } catch (error) {
    return { check: 'format', status: 'problem', message: (error as Error).message };
  }
}

async function lookAtSpace(dir: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(dir);
  const free = bavail * bsize;
  const message = `${bytesText(free)} are free`;
  if (free >= littleSpace) return { check: 'disk space', status: 'ok', message };
  return {
    check: 'disk space',
    status: free < littleSpace / 10 ? 'problem' : 'warning',
    message: `only ${message} on the disk of ${dir}`,
    remedy: 'keelson gc frees what nobody needs; --dry-run says how much that is.',
  };
}

/** Points that a process which died could not store wait in files of the spool. */
async function lookAtSpool(dir: string): Promise<Finding> {
  const spool = join(dir, 'spool');
  const names = await readdir(spool, { recursive: true }).catch(() => []);
  let bytes = 0;
  let oldest = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const file = await stat(join(spool, name)).catch(() => undefined);
    if (file?.isFile() !== true || file.size === 0) continue;
    bytes += file.size;
    oldest = Math.min(oldest, file.mtimeMs);
  }
  const ageMs = Date.now() - oldest;
  if (bytes === 0 || ageMs < oldSpoolMs) {
    return { check: 'spool', status: 'ok', message: 'no points wait for their store' };
  }
  return {
    check: 'spool',
    status: 'warning',
    message: `${bytesText(bytes)} of points wait since ${durationText(ageMs)} in ${dirname(join(spool, '-'))}`,
    remedy: 'They are stored by whoever opens the platform while the store can be reached.',
  };
}
