import { type Command, defineCommand } from '../command.ts';
import { activeRollout } from '../looking/active-rollout.ts';
import { rolloutLine } from '../looking/rollout-view.ts';

/** `keelson rollout resume`. */
export const command: Command = defineCommand({
  positionals: { deployment: { summary: 'Its name' } },
  options: {
    reason: { type: 'text', summary: 'Why; kept with the decision', required: true },
  },
  examples: [
    ['keelson rollout resume scoring --reason "looked at"', 'It goes on from where it was paused'],
  ],
  async run({ positionals, options, out, platform }) {
    const opened = await platform();
    const { id } = await activeRollout(opened, positionals.deployment);
    const rollout = await opened.deployments.resumeRollout(id, options.reason);
    out.show(rollout, (view) => view.text(rolloutLine(rollout)));
  },
});
