import { ReplicaPool } from '../replicas/replica-pool.ts';
import { replicaStarter } from '../replicas/start-replica.ts';
import { weatherSignature } from './serving-bed.ts';

// A process with a replica that is a process: sends it one request, says so, and waits to be killed.

const [, , directory, parameters] = process.argv as [string, string, string, string];
const pool = await ReplicaPool.open({
  name: 'abandoned',
  replicas: 1,
  maxQueue: 10,
  start: replicaStarter({
    ...{ directory, signature: weatherSignature, isolation: 'process', runtime: 'javascript' },
    ...{ options: {}, warmUpRows: 1, loadTimeoutMs: 20_000, hungAfterMs: 100_000 },
  }),
});
const data = new Float64Array([1, 2]);
const answer = pool.predict([{ name: 'x', datatype: 'FP64', shape: [1, 2], data }], 1, {
  timeoutMs: 100_000,
  parameters: JSON.parse(parameters),
});
if (parameters === '{}') await answer;
process.stdout.write('sent\n');
setInterval(() => undefined, 60_000);
