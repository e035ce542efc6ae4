import { access } from 'node:fs/promises';
import { KeelsonError, openPlatform, type Platform } from '@keelson/core';
import type { EffectiveConfig } from './effective-config.ts';

/** Opens the platform that a configuration describes. */
export async function openConfigured({ values }: EffectiveConfig): Promise<Platform> {
  return openPlatform({ dir: values.dir, workspace: values.workspace });
}

/** NOT_FOUND, with how one is made, where the directory of an embedded platform is not there. */
export async function assertPlatformThere({ values }: EffectiveConfig): Promise<void> {
  try {
    await access(values.dir);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') return;
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no platform at ${values.dir}. Name another directory with --dir or KEELSON_DIR, or make one here: keelson init.`,
      { cause, details: { dir: values.dir } },
    );
  }
}
