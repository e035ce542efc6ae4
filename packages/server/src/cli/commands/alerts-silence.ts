import { type Command, defineCommand, UsageError } from '../command.ts';
import { pairsOf } from '../looking/more.ts';

/** `keelson alerts silence`. */
export const command: Command = defineCommand({
  description: 'Nobody is told of alerts with these labels until the end of it; they go on firing.',
  options: {
    match: {
      type: 'text',
      placeholder: 'label=value',
      many: true,
      summary: 'What it is about, such as deployment=scoring',
    },
    for: { type: 'duration', summary: 'For so long', required: true },
    reason: { type: 'text', summary: 'Why; kept', required: true },
  },
  examples: [
    [
      'keelson alerts silence --match deployment=scoring --for 2h --reason "new data"',
      'Two hours of silence about scoring',
    ],
  ],
  async run({ options, out, platform }) {
    const match = pairsOf(options.match);
    if (typeof match === 'string') throw new UsageError(`--match takes label=value, not ${match}.`);
    const { monitoring } = await platform();
    const silence = await monitoring.silence({ match, reason: options.reason, forMs: options.for });
    out.show(silence, (view) => {
      view.text(`Silent until ${view.time(silence.endsAt)} (${view.ago(silence.endsAt)}).`);
      view.text(`Its id is ${silence.id}.`);
    });
  },
});
