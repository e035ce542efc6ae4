import type { Pipeline, Platform } from '@keelson/core';

/** Drives executions that several processes share, each by its key, until all have ended or the signal says stop. */
export async function driveExecutions(
  platform: Platform,
  pipeline: Pipeline,
  executions: number,
  signal: AbortSignal,
): Promise<void> {
  platform.start();
  try {
    await Promise.all(
      Array.from({ length: executions }, async (_, n) => {
        const started = await platform.pipelines.start(pipeline, {}, { idempotencyKey: `e${n}` });
        await platform.pipelines.wait(started.id, { signal });
      }),
    );
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  await platform.close();
}
