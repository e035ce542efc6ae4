import { ModelFault, messageOf } from './model-fault.ts';

/**
 * Imports a package that the user installs. ModelFault: UNSUPPORTED, with the command that installs it, where it is not
 * there; FAILED where it is there and cannot be loaded.
 */
export async function loadPeer<T>(name: string, what: string, command: string): Promise<T> {
  try {
    const module = (await import(name)) as { readonly default?: T };
    return { ...module.default, ...module } as T;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_MODULE_NOT_FOUND' && message.includes(`'${name}'`)) {
      throw new ModelFault(
        'UNSUPPORTED',
        `${what} need the package ${name}, which is not installed. Install it: ${command}`,
        { cause: error },
      );
    }
    throw new ModelFault('FAILED', `The package ${name} cannot be loaded: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
