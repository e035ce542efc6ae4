import { openPlatform } from '../../src/open-platform.ts';
import { scenarioProcess } from '../../src/testing/faults/scenario-process.ts';
import { commandPipeline } from '../command-pipeline.ts';
import { testBackends } from '../test-backends.ts';

/** Which executions a process drives, and where. */
export interface CommandPipelineArgument {
  readonly dir: string;
  readonly effects: string;
  readonly executions: number;
  readonly shape: Parameters<typeof commandPipeline>[1];
}

scenarioProcess<CommandPipelineArgument>(async ({ argument, signal, working }) => {
  const { dir, effects, executions, shape } = argument;
  const platform = await openPlatform({ dir, ...(await testBackends(dir)) });
  working();
  platform.start();
  const pipeline = commandPipeline(effects, shape);
  const waiting = Array.from({ length: executions }, async (_, n) => {
    const { id } = await platform.pipelines.start(pipeline, {}, { idempotencyKey: `e${n}` });
    await platform.pipelines.wait(id, { signal });
  });
  try {
    await Promise.all(waiting);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  await platform.close();
});
