/**
 * Logs a few equal artifacts to new runs and deletes most of them, for ever: `log-and-delete <dir> <who>`.
 */
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', who = ''] = process.argv.slice(2);
const { tracking } = await openPlatform({ ...(await testBackends(dir)), dir });
for (let round = 1; ; round += 1) {
  const id = await tracking.withRun({ experiment: `e-${who}`, environment: false }, async (run) => {
    for (let text = 0; text < 3; text += 1) {
      await run.logArtifact(`${text}.txt`, Buffer.from(`text ${(round + text) % 7}`));
    }
    return run.id;
  });
  if (round % 5 !== 0) await tracking.deleteRun(id);
  console.log(`round ${round}`);
}
