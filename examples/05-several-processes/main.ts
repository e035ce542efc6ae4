/**
 * Four processes train one model and log to one run, as distributed trainings do: each has its own part
 * of the data and its own metrics, all of them share the run's loss. One of them is killed on the way;
 * what it had flushed is there, and the run ends as a whole.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { openPlatform } from '@keelson/core';

const workers = 4;
const steps = 200;
const [role, rank = '0', runId = ''] = process.argv.slice(2);
if (role === 'worker') await work(Number(rank), runId);
else await lead();

/** Begins the run, starts the workers, and ends the run when they are done. */
async function lead(): Promise<void> {
  const platform = await openPlatform();
  const { tracking } = platform;
  const params = { workers, steps, optimizer: { name: 'sgd', rate: 0.05 } };
  const id = await tracking.withRun({ experiment: 'distributed', params }, async (run) => {
    const children = Array.from({ length: workers }, (_, i) => startWorker(i, run.id));
    await Promise.all(children.map((child) => once(child, 'exit')));
    const ends = children.map(
      (child, i) => `${i}: ${child.signalCode ?? `exit ${child.exitCode}`}`,
    );
    console.log(`Workers ended: ${ends.join(', ')}`);
    await run.setTag('workers.lost', String(children.filter((child) => child.signalCode).length));
    return run.id;
  });

  const run = await tracking.getRun(id);
  console.log(`Run ${run.name}: ${run.status}, loss ${run.metrics['loss']?.toFixed(4)}`);
  for (let i = 0; i < workers; i++) {
    const { steps: seen } = await tracking.getMetricHistory(id, `worker-${i}/loss`);
    console.log(
      `  worker ${i}: ${String(seen.length).padStart(3)} points, up to step ${seen.at(-1)}`,
    );
  }
  const { steps: all } = await tracking.getMetricHistory(id, 'loss');
  console.log(`  together: ${all.length} points of the shared loss, in the order of their steps`);
  await platform.close();
}

function startWorker(rank: number, id: string): ChildProcess {
  return fork(fileURLToPath(import.meta.url), ['worker', String(rank), id]);
}

/** Joins the run by its id and trains; the last worker dies half-way, as machines do. */
async function work(rank: number, id: string): Promise<void> {
  const platform = await openPlatform();
  const run = await platform.tracking.resumeRun(id);
  let weight = 4 + rank;
  for (let step = 0; step < steps; step++) {
    const gradient = 2 * (weight - 1);
    weight -= 0.05 * gradient;
    const loss = (weight - 1) ** 2;
    run.logMetrics({ loss, [`worker-${rank}/loss`]: loss }, { step });
    if (rank === workers - 1 && step === steps / 2) {
      await run.flush();
      process.kill(process.pid, 'SIGKILL');
    }
  }
  // The run goes on when a worker leaves: only the lead ends it.
  await platform.close();
}
