import { type Command, defineCommand } from '../command.ts';
import { findExecution } from '../looking/find-by-id.ts';

/** `keelson pipelines show`. */
export const command: Command = defineCommand({
  positionals: { execution: { summary: 'Id of an execution, or a pipeline for its newest one' } },
  examples: [['keelson pipelines show train', 'The newest execution of train, step by step']],
  async run({ positionals, out, platform }) {
    const opened = await platform();
    const execution = await findExecution(opened, positionals.execution);
    const steps = await opened.pipelines.steps(execution.id);
    out.show({ execution, steps }, (view) => {
      const { startedAt, endedAt, failure } = execution;
      const took =
        startedAt === undefined || endedAt === undefined ? undefined : endedAt - startedAt;
      view.facts({
        execution: execution.id,
        pipeline: `${execution.pipeline} ${execution.version}`,
        status: execution.paused ? `${execution.status}, paused` : execution.status,
        queued: `${view.time(execution.queuedAt)} by ${execution.triggeredBy}`,
        took: took === undefined ? undefined : view.duration(took),
        parameters: JSON.stringify(execution.parameters),
        failed: failure && `${failure.step ?? 'its time was up'}: ${failure.message}`,
        cancelled: execution.cancelReason,
      });
      view.heading('Steps');
      view.table(steps, [
        { title: 'STEP', value: ({ step }) => step },
        { title: 'STATUS', value: ({ status }) => status },
        { title: 'ATTEMPT', value: ({ attempt }) => attempt || undefined, align: 'right' },
        {
          title: 'TOOK',
          value: (step) =>
            step.startedAt === undefined || step.endedAt === undefined
              ? undefined
              : view.duration(step.endedAt - step.startedAt),
          align: 'right',
        },
        {
          title: 'NOTE',
          value: (step) =>
            step.failure?.message ?? step.skipReason ?? step.waitsFor ?? step.cacheNote,
        },
      ]);
    });
  },
});
