import { type Command, defineCommand } from '../command.ts';
import { findAlert } from '../looking/find-alert.ts';

/** `keelson alerts show`. */
export const command: Command = defineCommand({
  positionals: { alert: { summary: 'Id, or the beginning or end of it' } },
  examples: [['keelson alerts show 3f9a21c0', 'What fires, since when, and on which evidence']],
  async run({ positionals, out, platform }) {
    const alert = await findAlert(await platform(), positionals.alert);
    out.show(alert, (view) => {
      const { acknowledged, blind } = alert;
      view.facts({
        alert: alert.id,
        what: alert.summary,
        severity: alert.severity,
        state: alert.state,
        deployment: alert.deployment,
        rule: alert.rule,
        kind: alert.kind,
        since: `${view.time(alert.firstAt)} (${view.ago(alert.firstAt)})`,
        last: view.ago(alert.lastAt),
        features: alert.features?.join(', '),
        acknowledged: acknowledged && `by ${acknowledged.by}`,
        blind: blind && `${blind.because} since ${view.time(blind.since)}`,
        resolution: alert.resolution,
        evidence: JSON.stringify(alert.evidence),
      });
      if (alert.state === 'RESOLVED' || acknowledged !== undefined) return;
      view.text();
      view.text(`Somebody looks at it: keelson alerts ack ${alert.id}`);
    });
  },
});
