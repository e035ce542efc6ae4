import { type Command, defineCommand } from '../command.ts';
import { findExecution, shortId } from '../looking/find-by-id.ts';

/** `keelson pipeline cancel`. */
export const command: Command = defineCommand({
  positionals: { execution: { summary: 'Id, or the beginning or end of it' } },
  options: { reason: { type: 'text', summary: 'Why' } },
  examples: [
    ['keelson pipeline cancel 3f9a21c0', 'Nothing more of it starts, what runs is aborted'],
  ],
  async run({ positionals, options: { reason }, out, platform }) {
    const opened = await platform();
    const { id } = await findExecution(opened, positionals.execution);
    const execution = await opened.pipelines.cancel(id, reason);
    out.show(execution, (view) => {
      view.text(`${execution.pipeline} ${shortId(id)}: ${execution.status}.`);
    });
  },
});
