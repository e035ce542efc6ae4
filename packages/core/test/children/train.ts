/**
 * A small training script: `train <dir> <seed> [rounds]`. A sweep of nested runs with params, metrics,
 * tags, datasets and an artifact each. Says with a line `ack {…}` what the platform has acknowledged, the
 * moment that it has; with `running <id>` which runs it holds.
 */
import { writeSync } from 'node:fs';
import { openPlatform } from '../../src/open-platform.ts';
import type { ActiveRun } from '../../src/tracking/active-run.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', seed = '', rounds = '3'] = process.argv.slice(2);
const say = (line: string): number => writeSync(1, `${line}\n`);
const ack = (what: object): number => say(`ack ${JSON.stringify(what)}`);

const platform = await openPlatform({
  ...(await testBackends(dir)),
  dir,
  heartbeatTimeoutMs: 1_500,
});
const { tracking } = platform;

async function trainOne(run: ActiveRun, round: number): Promise<void> {
  say(`running ${run.id}`);
  ack({ is: 'run', run: run.id, name: run.name });
  await run.logParams({ round, seed, optimizer: { rate: 10 ** -round } });
  ack({ is: 'params', run: run.id, params: { round, seed, 'optimizer.rate': 10 ** -round } });
  for (let epoch = 0; epoch < 5; epoch += 1) {
    for (let i = 0; i < 200; i += 1) run.logMetric('loss', 1 / (epoch * 200 + i + 1));
    await run.flush();
    ack({ is: 'metrics', run: run.id, count: (epoch + 1) * 200 });
    await run.setTag(`epoch-${epoch}`, 'done');
    ack({ is: 'tag', run: run.id, key: `epoch-${epoch}` });
  }
  const weights = `weights of ${run.id} ${'x'.repeat(20_000)}`;
  const { sha256 } = await run.logText('model/weights.txt', weights);
  ack({ is: 'artifact', run: run.id, path: 'model/weights.txt', sha256 });
  const dataset = await run.logDataset({ name: 'shared', digest: 'the same', role: 'train' });
  ack({ is: 'dataset', run: run.id, dataset });
}

await tracking.withRun({ experiment: 'sweeps', name: `sweep ${seed}` }, async (sweep) => {
  say(`running ${sweep.id}`);
  ack({ is: 'run', run: sweep.id, name: sweep.name });
  for (let round = 0; round < Number(rounds); round += 1) {
    const id = await tracking.withRun({ experiment: 'sweeps', environment: false }, async (run) => {
      await trainOne(run, round);
      return run.id;
    });
    ack({ is: 'end', run: id });
    sweep.logMetric('rounds', round);
  }
});
await platform.close();
say('done');
