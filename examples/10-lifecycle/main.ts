/**
 * The whole lifecycle on Seattle's weather 2012–2015. Options: --from-scratch, --dir=.keelson, --seed=7,
 * --labels=real|stable|worsening, --retraining=sound|crippled; --postgres=URL keeps records and series in PostgreSQL.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { openPlatform } from '@keelson/core';
import { pgBackend } from '@keelson/store-pg';
import { type LifecycleOptions, ReplayClock, runLifecycle } from './lifecycle.ts';
import { createProgress } from './progress.ts';
import { printSummary, summarise } from './summary.ts';

const { values } = parseArgs({
  options: {
    'from-scratch': { type: 'boolean', default: false },
    dir: { type: 'string', default: '.keelson' },
    seed: { type: 'string', default: '7' },
    labels: { type: 'string', default: 'real' },
    retraining: { type: 'string', default: 'sound' },
    json: { type: 'boolean', default: false },
    postgres: { type: 'string' },
    schema: { type: 'string', default: 'lifecycle' },
  },
});
const seed = Number(values.seed);
const labels = oneOf('labels', values.labels, ['real', 'stable', 'worsening'] as const);
const retraining = oneOf('retraining', values.retraining, ['sound', 'crippled'] as const);

if (values['from-scratch'] && existsSync(join(values.dir, 'format'))) {
  rmSync(values.dir, { recursive: true });
}
const progress = createProgress(process.stderr);
const clock = new ReplayClock();
const { postgres: url, schema } = values;
const server = url === undefined ? undefined : pgBackend({ url, schema });
const platform = await openPlatform({
  ...(server === undefined ? {} : { metadata: server, series: server }),
  ...{ dir: values.dir, clock },
});
const options: LifecycleOptions = { seed, labels, retraining, clock, onProgress: progress.tell };
const job = { seed, labels, retraining };
const former = await platform.tracking.findExperiment('lifecycle');
if (former !== undefined) await refuseOtherJob();
const done = await platform.tracking.searchRuns({
  filter: `tags.job = '${JSON.stringify(job)}' AND status = 'COMPLETED'`,
  orderBy: ['start_time DESC'],
  limit: 1,
});
if (done.runs.length > 0) {
  console.log(
    `All of this is done already, in ${platform.dir}; run with --from-scratch to start anew.`,
  );
} else {
  const tags = { job: JSON.stringify(job) };
  await platform.tracking.withRun({ experiment: 'lifecycle', tags, params: job }, () =>
    runLifecycle(platform, options),
  );
  progress.end();
}
const summary = await summarise(platform);
if (values.json) console.log(JSON.stringify(summary));
else await printSummary(platform, summary, (line) => console.log(line));

const pages = join(platform.dir, 'pages');
mkdirSync(pages, { recursive: true });
const deployment = await platform.deployments.get('weather');
const report = join(pages, 'weather.html');
writeFileSync(report, await platform.monitoring.report(deployment.id));
if (!values.json) console.log(`\nReport with plots: ${pathToFileURL(report)}`);
await platform.close();

/** A directory holds one job: its deployment and its model are that job's. */
async function refuseOtherJob(): Promise<void> {
  const { runs } = await platform.tracking.searchRuns({ experiment: 'lifecycle', limit: 1 });
  const other = runs[0]?.tags['job'];
  if (other === undefined || other === JSON.stringify(job)) return;
  console.error(
    `${platform.dir} holds the job ${other}; choose another --dir, or add --from-scratch.`,
  );
  process.exit(2);
}

function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found !== undefined) return found;
  console.error(`--${option} must be one of ${allowed.join(', ')}, not ${value}.`);
  process.exit(2);
}
