import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TaskObservation } from '../../contracts/executor.ts';
import { decodeJson, type JsonObject } from '../../json.ts';

/** The command that runs a module's export with the task in `dir`, and leaves its result there. */
export function moduleCommand(module: string, name: string, dir: string): readonly string[] {
  const source = import.meta.url.endsWith('.ts');
  const file = source ? './module-child.ts' : './module-child.js';
  const program = fileURLToPath(new URL(file, import.meta.url));
  // What this process was told of how modules are found holds for its children too.
  const flags = process.execArgv.filter((flag) => /^--(conditions|import|loader)=/.test(flag));
  return [
    ...[process.execPath, ...flags, '--disable-warning=ExperimentalWarning'],
    ...[program, module, name, dir],
  ];
}

/** What the module has returned or thrown. */
export async function readModuleResult(
  dir: string,
  { exitCode }: TaskObservation,
): Promise<Partial<TaskObservation>> {
  let text: string;
  try {
    text = await readFile(join(dir, 'result.json'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
  const result = decodeJson(text) as JsonObject;
  if (result['output'] !== undefined && exitCode === 0) {
    return { output: result['output'] as JsonObject };
  }
  const error = result['error'] as JsonObject | undefined;
  return error === undefined ? {} : { error, message: String(error['message']) };
}
