import type { Platform } from '@keelson/core';

/** The stage that the last retraining has come to, as stored events have it; undefined where there was none. */
export async function storedStage(platform: Platform): Promise<string | undefined> {
  const advances = platform.events.each({ types: ['retraining.advanced'] });
  const last = (await Array.fromAsync(advances)).at(-1);
  return last && String(last.payload['stage']);
}
