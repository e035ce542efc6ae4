import { parentPort, workerData } from 'node:worker_threads';
import type { ModuleTask } from '../../contracts/module-task.ts';
import type { JsonObject } from '../../json.ts';
import { artifactsThrown, runModule } from './run-module.ts';
import { thrownError } from './thrown-error.ts';

/** What a thread that runs a module's export is given. */
export interface ModuleThreadData {
  readonly module: string;
  readonly export: string;
  readonly task: ModuleTask;
}

/** What it answers. */
export type ModuleThreadAnswer = { readonly output: JsonObject } | { readonly error: JsonObject };

const data = workerData as ModuleThreadData;
const controller = new AbortController();
parentPort?.once('message', () => controller.abort(new Error('The step was told to end.')));

function answer(said: ModuleThreadAnswer): void {
  parentPort?.postMessage(said);
  parentPort?.close();
}

try {
  const output = await runModule(data.module, data.export, data.task, controller.signal);
  answer({ output });
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  answer({ error: thrownError(error, artifactsThrown(error)) });
}
