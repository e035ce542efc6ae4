import { once } from 'node:events';
import { openPlatform } from '../../src/open-platform.ts';
import { scenarioProcess } from '../../src/testing/faults/scenario-process.ts';
import { testBackends } from '../test-backends.ts';

/** Where schedules are fired. */
export interface ScheduleArgument {
  readonly dir: string;
}

scenarioProcess<{ readonly dir: string }>(async ({ argument: { dir }, signal, working }) => {
  const platform = await openPlatform({ dir, ...(await testBackends(dir)) });
  working();
  platform.start();
  // It may have been asked to end while it opened.
  if (!signal.aborted) await once(signal, 'abort');
  await platform.close();
});
