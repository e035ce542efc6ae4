import { setTimeout as pause } from 'node:timers/promises';
import type { MetadataStore } from '../../contracts/metadata-store.ts';
import { isKeelsonError } from '../../errors.ts';
import { EffectsLog } from './effects-log.ts';
import { type ScenarioContext, scenarioProcess } from './scenario-process.ts';
import { Worker } from './work-scenario.ts';

/** What a process of the work scenario is passed; what else is there is for `openStore`. */
export interface WorkArgument {
  readonly tasks: number;
  readonly leaseMs: number;
  /** The file of the log of effects. */
  readonly effects: string;
}

/**
 * Makes a file a process of the work scenario, for kill loops: `openStore` opens the store under test with
 * `workKinds`. A store that is away for a while is tried again.
 */
export function workProcess<A extends WorkArgument>(
  openStore: (argument: A) => Promise<MetadataStore>,
): void {
  scenarioProcess<A>(async (context) => {
    const { argument, working, signal } = context;
    await using store = await openStore(argument);
    using effects = new EffectsLog(argument.effects);
    const { tasks, leaseMs } = argument;
    const worker = new Worker({ store, tasks, leaseMs, effects });
    await again(context, () => worker.fill());
    working();
    while (!signal.aborted) {
      const busy = await again(context, async () => {
        const [worked, delivered] = [await worker.work(), await worker.deliver()];
        return worked || delivered;
      });
      if (busy !== true) await pause(5);
    }
  });
}

async function again<A, T>(
  { signal }: ScenarioContext<A>,
  act: () => Promise<T>,
): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await act();
    } catch (error) {
      if (!isKeelsonError(error, 'UNAVAILABLE')) throw error;
      await pause(20);
    }
  }
  return undefined;
}
