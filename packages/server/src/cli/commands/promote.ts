import { type Command, defineCommand, UsageError } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { findVersion } from '../looking/find-by-id.ts';

const stages = ['development', 'staging', 'production', 'archived'] as const;

/** `keelson promote`. */
export const command: Command = defineCommand({
  description:
    'Asks for the transition that the model’s policy has: its checks are run, and the version moves at once or waits for approvals. Exit code 3 where a check has failed.',
  positionals: {
    version: { summary: 'Such as fraud@1.4.0 or fraud@challenger' },
    stage: { summary: 'development, staging, production or archived' },
  },
  options: {
    reason: { type: 'text', summary: 'Why; kept in the audit trail', required: true },
    confirm: { type: 'flag', summary: 'It is really meant, where the policy asks for that' },
  },
  examples: [['keelson promote fraud@latest production --reason "better AUC"', 'Into production']],
  async run({ positionals, options, out, platform }) {
    const stage = stages.find((each) => each === positionals.stage.toLowerCase());
    if (stage === undefined) {
      throw new UsageError(`${positionals.stage} is no stage: give one of ${stages.join(', ')}.`);
    }
    const opened = await platform();
    const { model, version } = await findVersion(opened, positionals.version);
    const asked = await opened.registry.requestTransition({
      ...{ model, version, to: stage.toUpperCase() as never, reason: options.reason },
      ...(options.confirm ? { confirm: true } : {}),
    });
    const name = `${model}@${version}`;
    out.show(asked, (view) => {
      if (asked.status === 'PENDING') {
        view.text(`${name} waits for approval: keelson approve ${asked.id}`);
      } else if (asked.status === 'DONE' || asked.status === 'APPLYING') {
        const applying = asked.status === 'DONE' ? 'is in' : 'goes to';
        view.text(`${name} ${applying} ${asked.to}.`);
      } else {
        view.text(`${name} stays in ${asked.from}: ${asked.ended ?? asked.status}.`);
      }
      if (asked.checks.length === 0) return;
      view.table(asked.checks, [
        { title: 'CHECK', value: (check) => check.name },
        { title: 'OUTCOME', value: ({ passed }) => (passed ? 'passed' : 'failed') },
        { title: 'DETAIL', value: ({ detail }) => detail },
      ]);
    });
    return asked.status === 'FAILED' ? exitCodes.findings : exitCodes.ok;
  },
});
