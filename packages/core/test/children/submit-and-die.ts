/** Starts the pipeline of a definition, and dies once its executor has a task: `dir definition.json tasks`. */
import { readFile } from 'node:fs/promises';
import type { TaskHandle, TaskSpec } from '../../src/contracts/executor.ts';
import { ProcessExecutor } from '../../src/embedded/processes/process-executor.ts';
import { openPlatform } from '../../src/open-platform.ts';
import type { PipelineDefinition } from '../../src/pipelines/definition.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', file = '', tasks = ''] = process.argv.slice(2);

class DyingExecutor extends ProcessExecutor {
  override async submit(spec: TaskSpec): Promise<TaskHandle> {
    await super.submit(spec);
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => undefined);
  }
}

const platform = await openPlatform({
  dir,
  executors: [new DyingExecutor({ name: 'own', stateDir: tasks })],
  ...(await testBackends(dir)),
});
const definition = JSON.parse(await readFile(file, 'utf8')) as PipelineDefinition;
await platform.pipelines.putDefinition(definition);
const { id } = await platform.pipelines.start(definition.name);
process.stdout.write(`started ${id}\n`);
await platform.pipelines.wait(id);
