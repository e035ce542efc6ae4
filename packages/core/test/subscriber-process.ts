import { setTimeout as pause } from 'node:timers/promises';
import type { MetadataStore } from '../src/contracts/metadata-store.ts';
import { isKeelsonError } from '../src/errors.ts';
import { ownerFromText, ownerState, ownerText } from '../src/process-owner.ts';
import { EffectsLog } from '../src/testing/faults/effects-log.ts';
import { scenarioProcess } from '../src/testing/faults/scenario-process.ts';
import { type Extent, type HandedOver, subscribersOn } from './subscription-scenario.ts';

/** What a process of subscribers is passed; what else is there is for `openStore`. */
export interface SubscriberArgument {
  readonly extent: Extent;
  readonly leaseMs: number;
  /** The file of the effects. */
  readonly effects: string;
}

/** Makes a file a process that subscribes to everything and handles it until it is stopped. */
export function subscriberProcess<A extends SubscriberArgument>(
  openStore: (argument: A) => Promise<MetadataStore>,
): void {
  scenarioProcess<A>(async ({ argument, signal, working }) => {
    await using store = await openStore(argument);
    using log = new EffectsLog(argument.effects);
    const events = await subscribersOn(store, argument.extent, {
      owners: {
        self: ownerText(),
        dead: (all) => all.filter((owner) => ownerState(ownerFromText(owner)) === 'dead'),
      },
      timing: { leaseMs: argument.leaseMs, noteMs: 100 },
      append: (effect: HandedOver) => log.append(effect),
    });
    working();
    await Promise.all(
      events.loops.map(async (loop) => {
        while (!signal.aborted) {
          if (!(await goOn(signal, () => loop.runOnce(signal)))) await pause(10);
        }
        await loop.drain?.();
      }),
    );
  });
}

/** False where the store was away, or the process is told to come to its end. */
async function goOn(signal: AbortSignal, act: () => Promise<boolean>): Promise<boolean> {
  try {
    return await act();
  } catch (error) {
    if (signal.aborted || isKeelsonError(error, 'UNAVAILABLE')) return false;
    throw error;
  }
}
