import { scenarioProcess } from '@keelson/core/testing';
import { openPlatform } from '../packages/core/src/open-platform.ts';
import { dockerExecutor } from '../packages/runner-docker/src/index.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import { type ContainerArgument, containerPipeline } from './container-pipeline.ts';
import { driveExecutions } from './drive-executions.ts';
import { faultLog } from './fault-log.ts';

// A process that drives executions of containers until it is killed.
scenarioProcess<ContainerArgument>(async ({ argument, signal, working }) => {
  const { dir, host, url, executions } = argument;
  const pg = url === undefined ? undefined : pgBackend({ url });
  const platform = await openPlatform({
    ...(pg === undefined ? {} : { metadata: pg, series: pg }),
    ...{ dir, executors: [dockerExecutor({ host })], pipelines: { leaseMs: 1_000 } },
    ...faultLog(),
  });
  const pipeline = containerPipeline(argument);
  working();
  await driveExecutions(platform, pipeline, executions, signal);
});
