import { type Command, defineCommand } from '../command.ts';
import { findDeployment } from '../looking/find-by-id.ts';

/** `keelson deployments show`. */
export const command: Command = defineCommand({
  positionals: { deployment: { summary: 'Its name' } },
  examples: [['keelson deployments show scoring', 'Who answers, and what is under way']],
  async run({ positionals, out, platform }) {
    const opened = await platform();
    const { deployments, registry } = opened;
    const deployment = await findDeployment(opened, positionals.deployment);
    const [{ generation, route }, rollout, freezes] = await Promise.all([
      deployments.route(deployment.name),
      deployments.activeRollout(deployment.name),
      deployments.freezes(deployment.name),
    ]);
    const targets = await Promise.all(
      route.targets.map(async ({ versionId, weightPercent }) => {
        const { model, version, stage } = await registry.getVersionById(versionId);
        return { version: `${model}@${version}`, stage, weightPercent };
      }),
    );
    out.show({ deployment, generation, route, targets, rollout, freezes }, (view) => {
      view.facts({
        deployment: deployment.name,
        id: deployment.id,
        model: deployment.model,
        environment: deployment.environment,
        status: deployment.status,
        endpoint: deployment.endpointUrl,
        revision: `${deployment.currentRevision} (route ${generation})`,
        health: deployment.lastHealthCheckAt && `told ${view.ago(deployment.lastHealthCheckAt)}`,
        created: `${view.time(deployment.createdAt)} by ${deployment.createdBy}`,
      });
      view.heading('Who answers');
      view.table(
        targets,
        [
          { title: 'VERSION', value: ({ version }) => version },
          { title: 'STAGE', value: ({ stage }) => stage },
          { title: 'TRAFFIC', value: ({ weightPercent }) => `${weightPercent} %`, align: 'right' },
        ],
        { empty: 'Nobody: no version is deployed.' },
      );
      if (rollout !== undefined) {
        view.text();
        view.text(`A rollout is under way: keelson rollout status ${deployment.name}`);
      }
      if (freezes.length > 0) {
        view.text(`${freezes.length} alerts keep changes from happening: keelson alerts list`);
      }
    });
  },
});
