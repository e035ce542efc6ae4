import { type Command, defineCommand } from '../command.ts';
import { activeRollout } from '../looking/active-rollout.ts';
import { rolloutLine } from '../looking/rollout-view.ts';

/** `keelson rollout promote`. */
export const command: Command = defineCommand({
  positionals: { deployment: { summary: 'Its name' } },
  options: {
    reason: { type: 'text', summary: 'Why; kept with the decision', required: true },
    toEnd: { type: 'flag', summary: 'To the end, not to the next step' },
  },
  examples: [
    [
      'keelson rollout promote scoring --reason "looked at"',
      'To the next step, whatever the gates say',
    ],
  ],
  async run({ positionals, options, out, platform }) {
    const opened = await platform();
    const { id } = await activeRollout(opened, positionals.deployment);
    const rollout = await opened.deployments.promoteRollout(id, options.reason, {
      to: options.toEnd ? 'end' : 'next',
    });
    out.show(rollout, (view) => view.text(rolloutLine(rollout)));
  },
});
