import { scenarioProcess } from '@keelson/core/testing';
import { openPlatform } from '../packages/core/src/open-platform.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import { driveExecutions } from './drive-executions.ts';
import { faultLog } from './fault-log.ts';
import { mixedPipeline, type PipelineArgument } from './mixed-pipeline.ts';

// A process that drives executions of functions and commands until it is killed: at the earliest when it has called a
// function, since one that is killed before breaks nothing.
scenarioProcess<PipelineArgument>(async ({ argument, signal, working }) => {
  const { dir, url, executions } = argument;
  const backends = url === undefined ? {} : pgOf(url);
  const platform = await openPlatform({
    ...{ dir, ...backends, ...faultLog() },
    pipelines: { leaseMs: 1_000 },
  });
  const pipeline = mixedPipeline({ ...argument, began: working });
  platform.pipelines.add(pipeline);
  await driveExecutions(platform, pipeline, executions, signal);
});

function pgOf(url: string) {
  const pg = pgBackend({ url });
  return { metadata: pg, series: pg };
}
