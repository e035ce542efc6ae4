import { type Command, defineCommand } from '../command.ts';
import { shortId } from '../looking/find-by-id.ts';
import { limitOption, tellMore } from '../looking/more.ts';

/** `keelson pipelines list`. */
export const command: Command = defineCommand({
  options: { limit: limitOption },
  examples: [['keelson pipelines list', 'The pipelines, and the newest executions']],
  async run({ options: { limit }, out, platform }) {
    const { pipelines } = await platform();
    const [{ definitions, cursor }, newest] = await Promise.all([
      pipelines.definitions({ limit }),
      pipelines.list({ limit }),
    ]);
    out.show({ definitions, executions: newest.executions }, (view) => {
      view.table(
        definitions,
        [
          { title: 'PIPELINE', value: ({ name }) => name },
          { title: 'VERSION', value: ({ version }) => version },
          { title: 'STEPS', value: ({ steps }) => steps, align: 'right' },
          { title: 'STORED', value: ({ createdAt }) => view.ago(createdAt), align: 'right' },
          { title: 'DESCRIPTION', value: ({ description }) => description },
        ],
        { empty: 'No pipeline. `keelson pipeline run train.ts` stores and starts one.' },
      );
      if (newest.executions.length === 0) return;
      view.heading('Newest executions');
      view.table(newest.executions, [
        { title: 'EXECUTION', value: ({ id }) => shortId(id), whole: true },
        { title: 'PIPELINE', value: ({ pipeline }) => pipeline },
        { title: 'STATUS', value: ({ status, paused }) => (paused ? `${status}, paused` : status) },
        {
          title: 'STEPS',
          value: ({ totalSteps, openSteps }) => `${totalSteps - openSteps} of ${totalSteps}`,
          align: 'right',
        },
        { title: 'QUEUED', value: ({ queuedAt }) => view.ago(queuedAt), align: 'right' },
      ]);
    });
    tellMore(out, definitions.length, cursor ?? newest.cursor);
  },
});
