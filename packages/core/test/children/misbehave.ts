/** A process of a kill loop that does as its argument says: `fails`, `ends`, `stays` or `deaf`. */
import { setTimeout as pause } from 'node:timers/promises';
import { scenarioProcess } from '../../src/testing/faults/scenario-process.ts';

scenarioProcess<string>(async ({ argument, working, say, signal, number, slot }) => {
  // Before it may be killed.
  say({ number, slot });
  working();
  if (argument === 'fails') throw new Error('out of luck');
  if (argument === 'ends') return;
  while (argument === 'deaf' || !signal.aborted) await pause(5);
});
