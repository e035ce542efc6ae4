import { type Command, defineCommand } from '../command.ts';
import { findRun } from '../looking/find-by-id.ts';
import { sparkline } from '../looking/sparkline.ts';

const curves = 20;
const buckets = 24;

/** `keelson runs show`. */
export const command: Command = defineCommand({
  positionals: { run: { summary: 'Id, its beginning or end, or name' } },
  examples: [['keelson runs show 3f9a21c0', 'Status, params, curves, files']],
  async run({ positionals, out, platform }) {
    const opened = await platform();
    const { tracking } = opened;
    const run = await findRun(opened, positionals.run);
    const [experiment, summaries, { artifacts, cursor }] = await Promise.all([
      tracking.findExperiment(run.experimentId),
      tracking.getMetricSummaries(run.id),
      tracking.listArtifacts(run.id, { limit: 20 }),
    ]);
    const shown = summaries.filter(({ key }) => !key.startsWith('system/')).slice(0, curves);
    const lines = new Map<string, string>();
    for (const { key } of out.json ? [] : shown) {
      const points = await tracking.downsampleMetric(run.id, key, { buckets });
      lines.set(key, sparkline(points.map(({ min, max }) => (min + max) / 2)));
    }
    out.show({ run, metrics: summaries, artifacts }, (view) => {
      view.facts({
        run: run.id,
        name: run.name,
        experiment: experiment?.name ?? run.experimentId,
        status: `${run.status}${run.statusReason === undefined ? '' : `: ${run.statusReason}`}`,
        started: `${view.time(run.startedAt)} (${view.ago(run.startedAt)})`,
        took: run.durationMs === undefined ? undefined : view.duration(run.durationMs),
        by: run.userId,
        parent: run.parentRunId,
        description: run.description || undefined,
      });
      const sections = { Params: run.params, Tags: run.tags };
      for (const [title, values] of Object.entries(sections)) {
        const entries = Object.entries(values);
        if (entries.length === 0) continue;
        view.heading(title);
        view.table(entries, [
          { title: 'NAME', value: ([name]) => name },
          { title: 'VALUE', value: ([, value]) => textOf(value) },
        ]);
      }
      if (shown.length > 0) {
        view.heading('Metrics');
        view.table(shown, [
          { title: 'METRIC', value: ({ key }) => key },
          { title: 'LAST', value: ({ last }) => view.figure(last), align: 'right' },
          { title: 'LEAST', value: ({ min }) => view.figure(min), align: 'right' },
          { title: 'GREATEST', value: ({ max }) => view.figure(max), align: 'right' },
          { title: 'POINTS', value: ({ count }) => view.figure(count), align: 'right' },
          { title: 'CURVE', value: ({ key }) => lines.get(key) ?? '' },
        ]);
        const left = summaries.length - shown.length;
        if (left > 0) view.text(`and ${left} more; --json has all of them`);
      }
      if (artifacts.length > 0) {
        view.heading('Files');
        view.table(artifacts, [
          { title: 'PATH', value: ({ path }) => path },
          { title: 'SIZE', value: ({ sizeBytes }) => view.bytes(sizeBytes), align: 'right' },
          { title: 'TYPE', value: ({ type }) => type },
        ]);
        if (cursor !== undefined) view.text('and more');
      }
    });
  },
});

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
