/**
 * Runs of which a webhook is told: `notify-runs <dir> <url> <runs>`. Makes so many runs, printing `made <n>`
 * after each, and delivers until it is killed; of none, it delivers what others left.
 */
import { openPlatform } from '../../src/open-platform.ts';
import { webhookNotifier } from '../../src/operations/notifiers/webhook-notifier.ts';

const [dir = '', url = '', runs = '0'] = process.argv.slice(2);
const quiet = (): void => undefined;
const platform = await openPlatform({
  dir,
  logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  notifiers: [{ to: webhookNotifier({ url, secret: 'a secret' }), types: ['run.completed'] }],
});
platform.start();
for (let n = 1; n <= Number(runs); n += 1) {
  await platform.tracking.withRun({ experiment: 'e', environment: false }, () => undefined);
  console.log(`made ${n}`);
}
console.log('done');
setInterval(quiet, 1000);
