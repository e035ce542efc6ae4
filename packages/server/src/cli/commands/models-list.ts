import type { FoundModel, Stage } from '@keelson/core';
import { type Command, defineCommand } from '../command.ts';
import { limitOption, tellMore } from '../looking/more.ts';

/** A model, with its versions by stage. */
interface ListedModel extends FoundModel {
  readonly stages: Readonly<Record<Stage, readonly string[]>>;
  readonly latest?: string;
}

/** `keelson models list`. */
export const command: Command = defineCommand({
  positionals: { name: { summary: 'A part of a name, misspelt or not', optional: true } },
  options: { limit: limitOption },
  examples: [['keelson models list', 'The models, by name, with what is in production']],
  async run({ positionals: { name }, options: { limit }, out, platform, signal }) {
    const { registry } = await platform();
    const of = name === undefined ? {} : { name };
    const page = await registry.searchModels({ ...of, limit, signal });
    const models: ListedModel[] = [];
    for (const model of page.models) {
      const stages = await registry.stageVersions(model.name);
      const newest = await registry.searchVersions({ model: model.name, limit: 1 });
      const latest = newest.versions[0]?.version;
      models.push({ ...model, stages, ...(latest === undefined ? {} : { latest }) });
    }
    out.show({ models, cursor: page.cursor }, (view) => {
      view.table(
        models,
        [
          { title: 'MODEL', value: (model) => model.name },
          { title: 'LATEST', value: ({ latest }) => latest },
          { title: 'PRODUCTION', value: ({ stages }) => stages.PRODUCTION.join(' ') },
          { title: 'STAGING', value: ({ stages }) => stages.STAGING.join(' ') },
          { title: 'ALIASES', value: ({ aliases }) => Object.keys(aliases).join(' ') },
          { title: 'UPDATED', value: ({ updatedAt }) => view.ago(updatedAt), align: 'right' },
        ],
        { empty: 'No model. `keelson register <model> <run>` makes one.' },
      );
    });
    tellMore(out, models.length, page.cursor);
  },
});
