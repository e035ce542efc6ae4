import { type Command, defineCommand } from '../command.ts';
import { findExecution, shortId } from '../looking/find-by-id.ts';

/** `keelson pipeline retry`. */
export const command: Command = defineCommand({
  positionals: { execution: { summary: 'Id, or the beginning or end of it' } },
  examples: [['keelson pipeline retry 3f9a21c0', 'What did not complete runs again']],
  async run({ positionals, out, platform }) {
    const opened = await platform();
    const { id } = await findExecution(opened, positionals.execution);
    const execution = await opened.pipelines.retry(id);
    out.show(execution, (view) => {
      view.text(`${execution.pipeline} ${shortId(id)}: ${execution.status}.`);
    });
  },
});
