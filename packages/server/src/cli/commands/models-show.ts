import { type Command, defineCommand } from '../command.ts';
import { findModel, findVersion } from '../looking/find-by-id.ts';
import { limitOption, tellMore } from '../looking/more.ts';

/** `keelson models show`. */
export const command: Command = defineCommand({
  positionals: { model: { summary: 'A model, or a version such as fraud@champion or fraud@2' } },
  options: { limit: { ...limitOption, summary: 'How many versions at most' } },
  examples: [
    ['keelson models show fraud', 'What fraud is, and its versions'],
    ['keelson models show fraud@production', 'The version in production: files, metrics, lineage'],
  ],
  async run({ positionals, options, out, platform }) {
    const opened = await platform();
    if (positionals.model.includes('@')) {
      const version = await findVersion(opened, positionals.model);
      const transitions = await opened.registry.listTransitions(version.id);
      out.show({ version, transitions }, (view) => {
        const { lineage, deprecated } = version;
        view.facts({
          version: `${version.model}@${version.version} (number ${version.number})`,
          id: version.id,
          stage: version.stage,
          status: version.failure === undefined ? version.status : `FAILED: ${version.failure}`,
          aliases: version.aliases.join(', ') || undefined,
          format: version.format,
          size: `${view.bytes(version.sizeBytes)} in ${version.files.length} files`,
          registered: `${view.time(version.createdAt)} by ${version.createdBy}`,
          description: version.description || undefined,
          run: lineage.sourceRunId,
          commit: lineage.codeCommit,
          deprecated: deprecated?.reason,
          ...prefixed('tag', version.tags),
        });
        const metrics = Object.entries(version.metrics);
        if (metrics.length > 0) {
          view.heading('Metrics');
          view.table(metrics, [
            { title: 'METRIC', value: ([name]) => name },
            { title: 'VALUE', value: ([, value]) => view.figure(value), align: 'right' },
          ]);
        }
        if (transitions.length === 0) return;
        view.heading('Stages');
        view.table(transitions, [
          { title: 'ASKED', value: ({ requestedAt }) => view.ago(requestedAt), align: 'right' },
          { title: 'FROM', value: ({ from }) => from },
          { title: 'TO', value: ({ to }) => to },
          { title: 'STATUS', value: ({ status }) => status },
          { title: 'BY', value: ({ requestedBy }) => requestedBy },
          { title: 'REASON', value: ({ reason }) => reason },
        ]);
      });
      return;
    }
    const model = await findModel(opened, positionals.model);
    const search = { model: model.name, limit: options.limit };
    const { versions, cursor } = await opened.registry.searchVersions(search);
    out.show({ model, versions, cursor }, (view) => {
      view.facts({
        model: model.name,
        description: model.description || undefined,
        created: `${view.time(model.createdAt)} by ${model.createdBy}`,
        ...prefixed('tag', model.tags),
      });
      view.heading('Versions');
      view.table(
        versions,
        [
          { title: 'VERSION', value: ({ version }) => version, whole: true },
          { title: 'STAGE', value: ({ stage }) => stage },
          { title: 'FORMAT', value: ({ format }) => format },
          { title: 'SIZE', value: ({ sizeBytes }) => view.bytes(sizeBytes), align: 'right' },
          { title: 'ALIASES', value: ({ aliases }) => aliases.join(' ') },
          { title: 'REGISTERED', value: ({ createdAt }) => view.ago(createdAt), align: 'right' },
        ],
        { empty: 'None yet.' },
      );
    });
    tellMore(out, versions.length, cursor);
  },
});

function prefixed(
  prefix: string,
  values: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [`${prefix} ${key}`, value]),
  );
}
