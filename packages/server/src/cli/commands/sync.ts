import { resolve } from 'node:path';
import { syncDirectory } from '@keelson/core';
import { type Command, defineCommand, UsageError } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';

/** `keelson sync`. */
export const command: Command = defineCommand({
  description:
    'Runs that have ended are pushed with their params, metrics, tags, artifacts and datasets, into the experiments of their names; model versions that the server has not, too. Again it sends what is new, and broken off it goes on where it was; nothing is doubled, and nothing deleted on the server. Runs that have not ended are left for the next time.\n\nThe token is better set as KEELSON_TOKEN than typed: other users of the machine may see what is typed.',
  positionals: {
    directory: { summary: 'A platform’s directory, such as .keelson', optional: true },
  },
  options: {
    url: {
      type: 'text',
      placeholder: 'address',
      summary: 'The server, such as https://mlops.example (also KEELSON_URL)',
    },
    token: {
      type: 'text',
      placeholder: 'key',
      summary: 'An API key or a token (also KEELSON_TOKEN)',
    },
  },
  examples: [
    ['keelson sync --url https://mlops.example', 'Push the runs of .keelson'],
    ['keelson sync /mnt/train/.keelson', 'Those of another directory, to KEELSON_URL'],
  ],
  async run({ options, positionals, out, env, cwd, progress, signal, config }) {
    const url = options.url ?? env['KEELSON_URL'];
    if (url === undefined || url === '') {
      throw new UsageError('sync needs the address of a server: --url, or KEELSON_URL.');
    }
    const token = options.token ?? env['KEELSON_TOKEN'];
    const { values } = await config();
    const { workspace } = values;
    const dir =
      positionals.directory === undefined ? values.dir : resolve(cwd, positionals.directory);
    const shown = progress('Pushing', { unit: 'runs' });
    const report = await syncDirectory({
      ...{ dir, url, signal },
      ...(token === undefined || token === '' ? {} : { token }),
      ...(workspace === undefined ? {} : { workspace }),
      onProgress: ({ runs, total, points, bytes }) =>
        shown.update(runs, { total, note: `${points} points, ${bytes} bytes` }),
    });
    shown.end();
    out.show(report, (view) => {
      view.text(
        `Pushed ${report.runs} runs (${report.points} points, ${report.artifacts} artifacts, ${report.datasets} datasets) and ${report.versions} model versions, ${view.bytes(report.bytes)} in all; ${report.unchanged} runs were there as they are.`,
      );
      if (report.running.length > 0) {
        view.text(`${report.running.length} runs have not ended, and are left for the next time.`);
      }
      if (report.failed.length === 0) return;
      view.table(report.failed, [
        { title: 'NOT PUSHED', value: ({ runId }) => runId, whole: true },
        { title: 'WHY', value: ({ why }) => why },
      ]);
    });
    return report.failed.length === 0 ? exitCodes.ok : exitCodes.findings;
  },
});
