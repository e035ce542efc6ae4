import { type Command, defineCommand } from '../command.ts';
import { limitOption, tellMore } from '../looking/more.ts';
import { commonMetrics, runColumns } from '../looking/run-table.ts';

/** `keelson search`. */
export const command: Command = defineCommand({
  description:
    'The filter language compares attributes (status, name, started), `metrics.…`, `params.…`, `tags.…` and `datasets.…` with =, !=, <, <=, >, >=, LIKE, ILIKE, IN, BETWEEN and IS NULL, joined by AND, OR and NOT. Texts stand in single quotes.',
  positionals: { filter: { summary: 'What is looked for, in the filter language' } },
  options: {
    in: {
      type: 'choice',
      choices: ['runs', 'versions', 'models', 'experiments'],
      summary: 'Among what',
      default: 'runs',
    },
    order: { type: 'text', many: true, summary: 'Such as "metrics.auc DESC"' },
    limit: limitOption,
  },
  examples: [
    [`keelson search "metrics.auc > 0.9 AND params.model = 'cnn'"`, 'Runs'],
    [
      `keelson search "stage = 'PRODUCTION'" --in versions`,
      'Versions in production, of all models',
    ],
  ],
  async run({ positionals: { filter }, options, out, platform, signal }) {
    const { registry, tracking } = await platform();
    const { limit } = options;
    const order = options.order.length === 0 ? {} : { orderBy: options.order };
    const empty = 'Nothing fits.';
    switch (options.in) {
      case 'runs': {
        const page = await tracking.searchRuns({ filter, limit, ...order, signal });
        out.show(page, (view) =>
          view.table(page.runs, runColumns(view, commonMetrics(page.runs, 2)), { empty }),
        );
        return tellMore(out, page.runs.length, page.cursor);
      }
      case 'versions': {
        const page = await registry.searchVersions({ filter, limit, ...order, signal });
        out.show(page, (view) =>
          view.table(
            page.versions,
            [
              { title: 'VERSION', value: ({ model, version }) => `${model}@${version}` },
              { title: 'STAGE', value: ({ stage }) => stage },
              { title: 'FORMAT', value: ({ format }) => format },
              { title: 'ALIASES', value: ({ aliases }) => aliases.join(' ') },
              {
                title: 'REGISTERED',
                value: ({ createdAt }) => view.ago(createdAt),
                align: 'right',
              },
            ],
            { empty },
          ),
        );
        return tellMore(out, page.versions.length, page.cursor);
      }
      case 'models': {
        const page = await registry.searchModels({ filter, limit, ...order, signal });
        out.show(page, (view) =>
          view.table(
            page.models,
            [
              { title: 'MODEL', value: ({ name }) => name },
              { title: 'DESCRIPTION', value: ({ description }) => description },
              { title: 'UPDATED', value: ({ updatedAt }) => view.ago(updatedAt), align: 'right' },
            ],
            { empty },
          ),
        );
        return tellMore(out, page.models.length, page.cursor);
      }
      case 'experiments': {
        const page = await tracking.searchExperiments({ filter, limit, ...order });
        out.show(page, (view) =>
          view.table(
            page.experiments,
            [
              { title: 'EXPERIMENT', value: ({ name }) => name },
              { title: 'DESCRIPTION', value: ({ description }) => description },
              { title: 'UPDATED', value: ({ updatedAt }) => view.ago(updatedAt), align: 'right' },
            ],
            { empty },
          ),
        );
        return tellMore(out, page.experiments.length, page.cursor);
      }
    }
  },
});
