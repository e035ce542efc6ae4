import { type Command, defineCommand } from '../command.ts';
import { limitOption, tellMore } from '../looking/more.ts';

/** `keelson deployments list`. */
export const command: Command = defineCommand({
  options: {
    model: { type: 'text', summary: 'Only those of this model' },
    limit: limitOption,
  },
  examples: [['keelson deployments list', 'The deployments, by name']],
  async run({ options: { model, limit }, out, platform }) {
    const { deployments } = await platform();
    const page = await deployments.list({ limit, ...(model === undefined ? {} : { model }) });
    out.show(page, (view) => {
      view.table(
        page.deployments,
        [
          { title: 'DEPLOYMENT', value: ({ name }) => name },
          { title: 'MODEL', value: (each) => each.model },
          { title: 'IN', value: ({ environment }) => environment },
          { title: 'STATUS', value: ({ status }) => status },
          { title: 'REVISION', value: ({ currentRevision }) => currentRevision, align: 'right' },
          { title: 'UNDER WAY', value: ({ activeRolloutId }) => activeRolloutId && 'rollout' },
          { title: 'UPDATED', value: ({ updatedAt }) => view.ago(updatedAt), align: 'right' },
        ],
        { empty: 'No deployment yet.' },
      );
    });
    tellMore(out, page.deployments.length, page.cursor);
  },
});
