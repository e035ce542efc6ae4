/**
 * A platform with everything on, in a process of its own: uses each of the five parts again and again, as
 * people do, and says when that has worked. Killed at any moment.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { definePipeline, type Logger, openPlatform } from '../packages/core/src/index.ts';
import { serve } from '../packages/serve/src/index.ts';
import {
  weatherBody,
  weatherModule,
  weatherSignature,
} from '../packages/serve/src/testing/serving-bed.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';

/** What this program is told. */
export interface ServiceArgument {
  readonly dir: string;
  readonly url?: string;
  readonly schema?: string;
}

/** What it says. */
export interface PartWorked {
  readonly part: 'serving' | 'registry' | 'tracking' | 'monitoring' | 'pipelines';
  readonly at: number;
}

const { dir, url, schema } = JSON.parse(process.argv[2] ?? '{}') as ServiceArgument;
const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };
const backend = url === undefined ? undefined : pgBackend({ url, schema: schema ?? 'levels' });
const platform = await openPlatform({
  ...{ dir, logger },
  ...(backend === undefined ? {} : { metadata: backend, series: backend }),
});
const { tracking, registry, pipelines, deployments, monitoring } = platform;
const quick = definePipeline('quick', { version: '1.0.0' }, (p) => p.step('only', {}, () => 1));
/** Its step takes its process’s whole life, and ends where another one takes it over. */
const resumed = definePipeline('resumed', { version: '1.0.0' }, (p) =>
  p.step('only', {}, async ({ attempt }) => {
    if (attempt === 1) await new Promise(() => undefined);
    return attempt;
  }),
);
pipelines.add(quick);
pipelines.add(resumed);
platform.start();

const open = (await pipelines.list({ pipeline: 'resumed' })).executions[0];
if (open === undefined) {
  const version = await registry.register({
    ...{ model: 'weather', version: '1.0.0', format: 'JS', signature: weatherSignature },
    from: { files: { 'model.mjs': Buffer.from(weatherModule) } },
  });
  await registry.requestTransition({
    ...{ model: 'weather', version: version.version, to: 'STAGING', reason: 'a measurement' },
  });
  await deployments.create({
    ...{ name: 'weather', versionId: version.id, environment: 'STAGING' },
  });
  await pipelines.start(resumed);
}

/** Does it again and again, and says when it has worked. */
async function again(part: PartWorked['part'], work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await work();
      process.send?.({ part, at: Date.now() } satisfies PartWorked);
    } catch {
      // It is away: that is what is measured.
    }
    await wait(50);
  }
}

void again('tracking', async () => {
  const run = await tracking.startRun({ experiment: 'levels', environment: false });
  run.logMetric('loss', 1);
  await run.finish();
});
void again('registry', () => registry.getVersion('weather', '1.0.0'));
void again('monitoring', async () => {
  const requestId = randomUUID();
  const at = Date.now();
  monitoring.predictions.record({
    ...{ deploymentId: 'levels', versionId: 'levels', requestId, role: 'primary', at },
    ...{ features: {}, prediction: 'a', latencyMs: 1 },
  });
  await monitoring.logLabels('levels', [{ requestId, value: 'a', observedAt: at }]);
  const { labels } = await monitoring.performance('levels', { from: at, to: at + 1 });
  if (labels === 0) throw new Error('No label is counted.');
});
let resuming = open !== undefined && open.status !== 'COMPLETED' ? open.id : undefined;
void again('pipelines', async () => {
  const { status } = await pipelines.wait(resuming ?? (await pipelines.start(quick)).id);
  if (status !== 'COMPLETED') throw new Error(`It is ${status}.`);
  resuming = undefined;
});
const server = await serve(platform, { deployments: ['weather'], replicas: 1 });
void again('serving', async () => {
  const response = await fetch(`${server.url}/v2/models/weather/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: weatherBody([[1, 1]]),
  });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`It answers ${response.status}.`);
});
