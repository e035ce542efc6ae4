import type { Executor } from '../../contracts/executor.ts';
import { KeelsonError } from '../../errors.ts';

/** The executors that this process has, by name. */
export interface ExecutorsHere {
  readonly names: readonly string[];
  find(name: string): Executor | undefined;
  /** Closes those that were made here; those that were handed over are their owner's. */
  close(): Promise<void>;
}

/** Makes an executor when it is first asked for. */
export type ExecutorFactory = () => Executor;

/**
 * Those handed over, and those that are made when they are first needed. CONFLICT for two of one name.
 */
export function createExecutors(
  given: readonly Executor[],
  made: Readonly<Record<string, ExecutorFactory>> = {},
): ExecutorsHere {
  const byName = new Map<string, Executor>();
  for (const executor of given) {
    if (byName.has(executor.name)) {
      throw new KeelsonError(
        'CONFLICT',
        `Two executors are named ${executor.name}; give one of them another name.`,
      );
    }
    byName.set(executor.name, executor);
  }
  const own: Executor[] = [];
  const names = [...new Set([...byName.keys(), ...Object.keys(made)])];
  return {
    names,
    find(name) {
      const known = byName.get(name);
      if (known !== undefined) return known;
      const make = Object.hasOwn(made, name) ? made[name] : undefined;
      const executor = make?.();
      if (executor !== undefined) {
        byName.set(name, executor);
        own.push(executor);
      }
      return executor;
    },
    async close() {
      await Promise.all(own.map((executor) => executor.close()));
    },
  };
}
