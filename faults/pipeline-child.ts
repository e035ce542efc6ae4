import { scenarioProcess } from '@keelson/core/testing';
import { openPlatform } from '../packages/core/src/open-platform.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import { mixedPipeline, type PipelineArgument } from './mixed-pipeline.ts';

// A process that drives executions of functions and commands until it is killed.
scenarioProcess<PipelineArgument>(async ({ argument, signal, working }) => {
  const { dir, url, executions } = argument;
  const backends = url === undefined ? {} : pgOf(url);
  const platform = await openPlatform({ dir, ...backends, pipelines: { leaseMs: 1_000 } });
  const pipeline = mixedPipeline(argument);
  platform.pipelines.add(pipeline);
  working();
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
});

function pgOf(url: string) {
  const pg = pgBackend({ url });
  return { metadata: pg, series: pg };
}
