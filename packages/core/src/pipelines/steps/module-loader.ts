import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { KeelsonError } from '../../errors.ts';
import { ImportedCode } from '../cache/imported-code.ts';
import type { StepFunction } from '../step-types.ts';

/** Where a module of a step lies: a URL, for a path or specifier as definitions have them. */
export function moduleLocation(module: string, root: string = process.cwd()): string {
  if (module.startsWith('file:')) return module;
  if (isAbsolute(module)) return pathToFileURL(module).href;
  if (module.startsWith('.')) return pathToFileURL(resolve(root, module)).href;
  return module;
}

/**
 * Loads the exports that steps name. NOT_FOUND, naming the place, for a module that is not there; INVALID for
 * an export that is no function.
 */
export function createModuleLoader(
  root?: string,
): (module: string, name: string) => Promise<StepFunction<never, never, unknown>> {
  const code = new ImportedCode();
  return async (module, name) => {
    const location = moduleLocation(module, root);
    let loaded: Readonly<Record<string, unknown>>;
    try {
      loaded = await code.importing(location, () => import(location));
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') throw cause;
      throw new KeelsonError('NOT_FOUND', `The module ${location} of the step is not there.`, {
        cause,
      });
    }
    const found = Object.hasOwn(loaded, name) ? loaded[name] : undefined;
    if (typeof found === 'function') return found as StepFunction<never, never, unknown>;
    const known = Object.keys(loaded).slice(0, 20).join(', ') || 'nothing';
    throw new KeelsonError(
      'INVALID',
      `The module ${location} has no function ${JSON.stringify(name)}; it exports ${known}.`,
    );
  };
}
