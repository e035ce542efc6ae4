import { type Command, defineCommand } from '../command.ts';
import { limitOption, tellMore } from '../looking/more.ts';

/** `keelson experiments list`. */
export const command: Command = defineCommand({
  options: {
    limit: limitOption,
    lifecycle: {
      type: 'choice',
      choices: ['active', 'archived', 'deleted'],
      summary: 'In which state',
      default: 'active',
    },
    below: { type: 'text', placeholder: 'path', summary: 'Only what lies below, such as fraud' },
  },
  examples: [['keelson experiments list', 'The experiments, by name']],
  async run({ options: { limit, lifecycle, below }, out, platform }) {
    const { tracking } = await platform();
    const page = await tracking.listExperiments({
      ...{ limit, lifecycle },
      ...(below === undefined ? {} : { below }),
    });
    out.show(page, (view) => {
      view.table(
        page.experiments,
        [
          { title: 'EXPERIMENT', value: ({ name }) => name },
          { title: 'RUNS', value: ({ runCount }) => view.figure(runCount), align: 'right' },
          { title: 'UPDATED', value: ({ updatedAt }) => view.ago(updatedAt), align: 'right' },
          { title: 'DESCRIPTION', value: ({ description }) => description },
        ],
        { empty: 'No experiment. A run makes one: `keelson run train.ts`.' },
      );
    });
    tellMore(out, page.experiments.length, page.cursor);
  },
});
