/**
 * Collects garbage for ever, by a clock that is two months ahead, so that whatever is deleted is old and
 * every content looks forgotten: `collect-garbage <dir>`. What was put or kept since the last minute is not.
 */
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir = ''] = process.argv.slice(2);
const month = 30 * 86_400_000;
const { operations } = await openPlatform({
  ...(await testBackends(dir)),
  dir,
  clock: { now: () => Date.now() + 2 * month },
});
for (;;) {
  const { records, contents } = await operations.gc({ graceMs: 2 * month });
  console.log(`collected ${JSON.stringify(records)} ${contents}`);
}
