import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipelinesKinds } from '../src/contracts/kinds/pipelines-kinds.ts';
import { definePipeline } from '../src/pipelines/define-pipeline.ts';
import { createPipelines } from '../src/pipelines/pipelines.ts';
import { openTestScope } from './open-test-scope.ts';
import type { PipelineTask } from './pipeline-process.ts';

// A process that drives one execution, made to be killed. It waits for its task, so that a test can have
// the next one ready before it kills the last.
process.once('message', (task: PipelineTask) => {
  run(task).then(
    (result) => process.send?.({ done: result }),
    (error: Error) => process.send?.({ failed: `${error.stack}` }),
  );
});
process.send?.({ ready: true });

async function run(task: PipelineTask): Promise<unknown> {
  const { scope, stores } = await openTestScope({ kinds: pipelinesKinds, dir: task.dir });
  const pipelines = createPipelines(scope, task.options);
  // Durable by itself, so that it tells of attempts whose end was never committed.
  const effect = (step: string, attempt: number) =>
    appendFileSync(
      join(task.dir, 'effects.jsonl'),
      `${JSON.stringify({ key: task.key, step, attempt, pid: process.pid })}\n`,
    );
  const pipeline = definePipeline('killed', { version: '1.0.0' }, (p) => {
    const work = async (step: string, attempt: number, signal: AbortSignal) => {
      effect(step, attempt);
      process.send?.({ worked: step });
      if (task.blockMs !== undefined && step === 'first') {
        process.send?.({ began: attempt });
        const until = Date.now() + task.blockMs;
        while (Date.now() < until);
        // Not a turn for timers: the commit comes before any renewal.
        return signal.aborted;
      }
      await new Promise((resolve) => setTimeout(resolve, task.stepMs ?? 2));
      return signal.aborted;
    };
    const seed = p.step('seed', {}, async ({ attempt, signal, outputs }) => {
      await work('seed', attempt, signal);
      return outputs.artifact('bytes', new Uint8Array(20_000).fill(1));
    });
    let layer = [
      p.step('first', { seed }, async ({ inputs, attempt, signal }) => {
        const { length } = await inputs.seed.bytes();
        await work('first', attempt, signal);
        return length;
      }),
    ];
    for (let depth = 0; depth < task.depth; depth += 1) {
      const all = layer;
      layer = Array.from({ length: task.width }, (_, i) =>
        p.step(`d${depth}w${i}`, { all }, async ({ inputs, attempt, signal, step }) => {
          await work(step, attempt, signal);
          return inputs.all.reduce((a, b) => a + b, i);
        }),
      );
    }
    return p.step('end', { all: layer }, async ({ inputs, attempt, signal }) => {
      await work('end', attempt, signal);
      return inputs.all.reduce((a, b) => a + b, 0);
    });
  });
  const execution = await pipelines.start(pipeline, {}, { idempotencyKey: task.key });
  process.send?.({ started: execution.id });
  const { id, status, output, failure } = await pipelines.wait(execution);
  await pipelines.close();
  await stores.close({ timeoutMs: 5000 });
  return { id, status, output, failure };
}
