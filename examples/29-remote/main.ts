// A script trains against a server: an address and a key, no database. The server goes away in the middle and comes
// back; nothing waits, nothing is lost. What was trained offline is pushed afterwards.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, type RemotePlatform, syncDirectory } from '@keelson/core';
import { startServer } from '@keelson/server';

const dir = await mkdtemp(join(tmpdir(), 'keelson-remote-'));

// The server: what `keelson serve` does, with keys.
const team = await openPlatform({ dir: join(dir, 'server'), access: true });
const { secret: token } = await team.operations.access.createApiKey({
  name: 'training',
  scopes: ['*'],
});
let server = await startServer(team, { port: 0 });
const { url, port } = server;

/** The training: the same for a platform here and one elsewhere. */
async function train(platform: Pick<RemotePlatform, 'tracking'>, rate: number): Promise<string> {
  return platform.tracking.withRun(
    { experiment: 'line', params: { rate }, environment: false },
    async (run) => {
      let slope = 0;
      for (let step = 0; step < 2_000; step += 1) {
        const x = (step % 10) / 10;
        const error = slope * x - 3 * x;
        slope -= rate * error * x;
        run.logMetric('loss', error ** 2, { step });
        if (rate === 0.1 && step === 1_000) {
          await server.close({ timeoutMs: 0 });
          console.log('The server is away; the training goes on.');
          setTimeout(async () => {
            server = await startServer(team, { port });
          }, 1_000);
        }
      }
      run.logMetric('slope', slope);
      await run.flush();
      await run.logJson('model/line.json', { slope });
      return run.id;
    },
  );
}

const remote = await openPlatform({ url, token, dir: join(dir, 'client') });
console.log(`Training at ${url} as ${remote.principal.id}.`);
const first = await train(remote, 0.1);
const { values } = await remote.tracking.getMetricHistory(first, 'loss');
console.log(
  `The run is ${(await remote.tracking.getRun(first)).status} with ${values.length} points.`,
);
const version = await remote.registry.register({
  model: 'line',
  from: { runId: first, path: 'model' },
  format: 'CUSTOM',
});
console.log(`Registered line@${version.version}.`);

// On a train, without a line: a directory.
const offline = await openPlatform({ dir: join(dir, 'laptop') });
await train(offline, 0.2);
await train(offline, 0.05);
await offline.close();
for (const time of ['first', 'second']) {
  const { runs, points, unchanged } = await syncDirectory({ dir: join(dir, 'laptop'), url, token });
  console.log(
    `The ${time} sync pushes ${runs} runs with ${points} points; ${unchanged} are there.`,
  );
}
const best = await remote.tracking.searchRuns({
  experiment: 'line',
  orderBy: ['metrics.loss ASC'],
});
for (const run of best.runs) {
  console.log(
    `rate ${String(run.params['rate']).padEnd(5)} slope ${run.metrics['slope']?.toFixed(3)}`,
  );
}

await remote.close();
await server.close();
await team.close();
await rm(dir, { recursive: true, force: true });
