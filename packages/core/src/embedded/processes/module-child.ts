import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import type { ModuleTask } from '../../contracts/module-task.ts';
import { decodeJson, encodeJson } from '../../json.ts';
import { artifactsThrown, runModule } from './run-module.ts';
import { thrownError } from './thrown-error.ts';

// A process that runs one module's export for a step: `module export dir`.
const [module, name, dir] = process.argv.slice(2) as [string, string, string];
const controller = new AbortController();
process.once('SIGTERM', () => controller.abort(new Error('The step was told to end (SIGTERM).')));

/** Whole or not at all. */
function leave(result: unknown): void {
  const aside = join(dir, 'result.tmp');
  writeFileSync(aside, encodeJson(result));
  renameSync(aside, join(dir, 'result.json'));
}

try {
  const task = decodeJson(readFileSync(join(dir, 'task.json'), 'utf8')) as unknown as ModuleTask;
  const location =
    /^[a-z]+:/.test(module) || !module.startsWith('/') ? module : pathToFileURL(module).href;
  const output = await runModule(location, name, task, controller.signal);
  leave({ output });
  // What it has left open keeps nobody waiting.
  process.exit(0);
} catch (error) {
  leave({ error: thrownError(error, artifactsThrown(error)) });
  process.stderr.write(`${error instanceof Error ? error.stack : inspect(error)}\n`, () =>
    process.exit(1),
  );
}
