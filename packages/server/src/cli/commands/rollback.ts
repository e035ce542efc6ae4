import { type Command, defineCommand } from '../command.ts';

/** `keelson rollback`. */
export const command: Command = defineCommand({
  description:
    'Of a model: what is in production goes back to staging, and the version before it is reinstated, without checks or approvals; an incident is opened. With --deployment: a deployment goes back to an earlier revision, with all of its traffic at once.',
  positionals: { name: { summary: 'The model, or the deployment' } },
  options: {
    reason: { type: 'text', summary: 'Why; kept in the audit trail', required: true },
    deployment: { type: 'flag', summary: 'The name is a deployment’s' },
    to: { type: 'text', summary: 'A version (or a revision’s number); the one before else' },
    from: { type: 'text', summary: 'Which version leaves, where several are in production' },
  },
  examples: [
    ['keelson rollback fraud --reason "wrong scale"', 'The model’s former version again'],
    [
      'keelson rollback scoring --deployment --reason "slow"',
      'The deployment’s last good revision',
    ],
  ],
  async run({ positionals: { name }, options: { reason, to, from, deployment }, out, platform }) {
    const { registry, deployments } = await platform();
    if (deployment) {
      const of = to === undefined ? {} : { to: Number(to) };
      const back = await deployments.rollback(name, { reason, ...of });
      out.show(back, (view) => {
        view.text(`${name} is back, as revision ${back.revision.number}.`);
        for (const each of back.signatureBreaks) view.text(`Callers may be refused: ${each}`);
      });
      return;
    }
    const back = await registry.rollback(name, {
      reason,
      ...(to === undefined ? {} : { to }),
      ...(from === undefined ? {} : { from }),
    });
    out.show(back, (view) => {
      view.text(
        `${name}: ${back.reinstated.version} is in production again, ${back.demoted.version} in staging. Incident ${back.incidentId} is open.`,
      );
    });
  },
});
