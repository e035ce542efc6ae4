import { scenarioProcess } from '@keelson/core/testing';
import { openPlatform } from '../packages/core/src/open-platform.ts';
import { dockerExecutor } from '../packages/runner-docker/src/index.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import { type ContainerArgument, containerPipeline } from './container-pipeline.ts';

// A process that drives executions of containers until it is killed.
scenarioProcess<ContainerArgument>(async ({ argument, signal, working }) => {
  const { dir, host, url, executions } = argument;
  const pg = url === undefined ? undefined : pgBackend({ url });
  const platform = await openPlatform({
    ...(pg === undefined ? {} : { metadata: pg, series: pg }),
    ...{ dir, executors: [dockerExecutor({ host })], pipelines: { leaseMs: 1_000 } },
  });
  const pipeline = containerPipeline(argument);
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
