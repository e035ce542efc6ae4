import { type Command, defineCommand } from '../command.ts';
import { findExperiment } from '../looking/find-by-id.ts';
import { limitOption, tellMore } from '../looking/more.ts';
import { commonMetrics, runColumns } from '../looking/run-table.ts';

/** `keelson runs list`. */
export const command: Command = defineCommand({
  positionals: { experiment: { summary: 'Name or id; all when left out', optional: true } },
  options: {
    limit: limitOption,
    filter: { type: 'text', placeholder: 'expression', summary: 'As `keelson search` takes it' },
    order: { type: 'text', many: true, summary: 'Such as "metrics.auc DESC"; newest first else' },
    metric: { type: 'text', many: true, summary: 'Metrics to show; the most common else' },
    deleted: { type: 'flag', summary: 'Those that were deleted' },
  },
  examples: [
    ['keelson runs list fraud --limit 5', 'The five newest runs of fraud'],
    ['keelson runs list --filter "metrics.auc > 0.9" --metric auc', 'Good ones, with that metric'],
  ],
  async run({ positionals: { experiment }, options, out, platform, signal }) {
    const opened = await platform();
    const { tracking } = opened;
    const within = experiment && (await findExperiment(opened, experiment)).id;
    const page = await tracking.searchRuns({
      ...{ limit: options.limit, lifecycle: options.deleted ? 'deleted' : 'active', signal },
      ...(within === undefined ? {} : { experiment: within }),
      ...(options.filter === undefined ? {} : { filter: options.filter }),
      ...(options.order.length === 0 ? {} : { orderBy: options.order }),
    });
    const metrics = options.metric.length > 0 ? options.metric : commonMetrics(page.runs, 2);
    out.show(page, (view) => {
      view.table(page.runs, runColumns(view, metrics), {
        empty: 'No run. `keelson run train.ts` makes one.',
      });
    });
    tellMore(out, page.runs.length, page.cursor);
  },
});
