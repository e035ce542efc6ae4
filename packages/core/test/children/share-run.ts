/**
 * One of several processes that log to one run: `share-run <dir> <run id> <who> <rounds>`. Sets tags and
 * params of its own and some that all set, adds to the run's description by its revision, logs metrics.
 */
import { isKeelsonError } from '../../src/errors.ts';
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', id = '', who = '', rounds = ''] = process.argv.slice(2);
const quiet = () => undefined;
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
const { tracking } = await openPlatform({ ...(await testBackends(dir)), dir, logger });
const run = await tracking.resumeRun(id);
let conflicts = 0;

async function addToDescription(): Promise<void> {
  for (;;) {
    const { description, revision } = await tracking.getRun(id);
    try {
      await tracking.updateRun(id, { description: String(Number(description) + 1), revision });
      return;
    } catch (error) {
      const named = isKeelsonError(error, 'CONFLICT') && error.message.includes('someone else');
      if (!named) throw error;
      conflicts += 1;
    }
  }
}

console.log('ready');
for (let round = 1; round <= Number(rounds); round += 1) {
  await run.setTags({ [`own-${who}-${round % 5}`]: String(round), shared: `${who} ${round}` });
  await run.logParams({ [`own-${who}`]: { [round]: round }, shared: `${who} ${round}` });
  run.logMetric('shared', round, { step: round });
  run.logMetric(`own-${who}`, round);
  await addToDescription();
}
await run.flush();
console.log(`conflicts ${conflicts}`);
process.exit(0);
