import { type Command, defineCommand } from '../command.ts';
import { findExperiment } from '../looking/find-by-id.ts';
import { commonMetrics, runColumns } from '../looking/run-table.ts';

/** `keelson experiments show`. */
export const command: Command = defineCommand({
  positionals: { experiment: { summary: 'Name or id' } },
  examples: [['keelson experiments show fraud', 'What fraud is, and its newest runs']],
  async run({ positionals, out, platform }) {
    const opened = await platform();
    const { tracking } = opened;
    const experiment = await findExperiment(opened, positionals.experiment);
    const { runs } = await tracking.searchRuns({ experiment: experiment.id, limit: 10 });
    out.show({ experiment, runs }, (view) => {
      view.facts({
        experiment: experiment.name,
        id: experiment.id,
        state: experiment.lifecycle,
        description: experiment.description || undefined,
        runs: view.figure(experiment.runCount),
        created: `${view.time(experiment.createdAt)} by ${experiment.createdBy}`,
        ...Object.fromEntries(
          Object.entries(experiment.tags).map(([key, value]) => [`tag ${key}`, value]),
        ),
      });
      view.heading('Newest runs');
      view.table(runs, runColumns(view, commonMetrics(runs, 2)), { empty: 'None yet.' });
    });
  },
});
