import { type Command, defineCommand } from '../command.ts';
import { findAlert } from '../looking/find-alert.ts';

/** `keelson alerts ack`. */
export const command: Command = defineCommand({
  positionals: { alert: { summary: 'Id, or the beginning or end of it' } },
  options: {
    comment: { type: 'text', summary: 'For those who look at it, too' },
    for: { type: 'duration', summary: 'Then it counts as unattended again; a day else' },
    undo: { type: 'flag', summary: 'Nobody looks at it any more' },
  },
  examples: [['keelson alerts ack 3f9a21c0 --comment "on it" --for 4h', 'Somebody looks at it']],
  async run({ positionals, options, out, platform }) {
    const opened = await platform();
    const { id } = await findAlert(opened, positionals.alert);
    const alert = options.undo
      ? await opened.monitoring.unacknowledge(id)
      : await opened.monitoring.acknowledge(id, {
          ...(options.comment === undefined ? {} : { comment: options.comment }),
          ...(options.for === undefined ? {} : { forMs: options.for }),
        });
    out.show(alert, (view) => {
      view.text(`${alert.summary}: ${options.undo ? 'nobody looks at it now' : 'acknowledged'}.`);
    });
  },
});
