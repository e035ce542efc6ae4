/** Starts the pipeline of a definition on a directory and runs it: `dir definition.json [tasks]`. */
import { readFile } from 'node:fs/promises';
import { ProcessExecutor } from '../../src/embedded/processes/process-executor.ts';
import { openPlatform } from '../../src/open-platform.ts';
import type { PipelineDefinition } from '../../src/pipelines/definition.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', file = '', tasks] = process.argv.slice(2);
const executors =
  tasks === undefined ? {} : { executors: [new ProcessExecutor({ name: 'own', stateDir: tasks })] };
const platform = await openPlatform({ dir, ...executors, ...(await testBackends(dir)) });
const definition = JSON.parse(await readFile(file, 'utf8')) as PipelineDefinition;
await platform.pipelines.putDefinition(definition);
const { id } = await platform.pipelines.start(definition.name);
process.stdout.write(`started ${id}\n`);
const { status } = await platform.pipelines.wait(id);
process.stdout.write(`ended ${status}\n`);
await platform.close();
