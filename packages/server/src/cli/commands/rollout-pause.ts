import { type Command, defineCommand } from '../command.ts';
import { activeRollout } from '../looking/active-rollout.ts';
import { rolloutLine } from '../looking/rollout-view.ts';

/** `keelson rollout pause`. */
export const command: Command = defineCommand({
  positionals: { deployment: { summary: 'Its name' } },
  options: {
    reason: { type: 'text', summary: 'Why; kept with the decision', required: true },
  },
  examples: [['keelson rollout pause scoring --reason "looked at"', 'It stays at its step']],
  async run({ positionals, options, out, platform }) {
    const opened = await platform();
    const { id } = await activeRollout(opened, positionals.deployment);
    const rollout = await opened.deployments.pauseRollout(id, options.reason);
    out.show(rollout, (view) => view.text(rolloutLine(rollout)));
  },
});
