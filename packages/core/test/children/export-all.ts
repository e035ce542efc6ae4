/** Exports everything of a platform again and again, each time elsewhere: `export-all <dir> <to>`. */
import { openPlatform } from '../../src/open-platform.ts';

const [dir = '', to = ''] = process.argv.slice(2);
const { tracking } = await openPlatform({ dir });
for (let round = 0; ; round += 1) {
  console.log(`begins ${round}`);
  const target = `${to}-${process.pid}-${round}`;
  await tracking.exportExperiments({ to: round % 2 === 0 ? target : `${target}.tar` });
}
