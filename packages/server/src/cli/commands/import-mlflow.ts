import { resolve } from 'node:path';
import { importMlflow } from '../../import-mlflow/import-mlflow.ts';
import { type Command, defineCommand } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';

const shownSkips = 20;

/** `keelson import-mlflow`. */
export const command: Command = defineCommand({
  description:
    'Experiments, runs with points and files, logged models, registered models. Again adds what is new; broken off it goes on. For a server, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD and MLFLOW_TRACKING_TOKEN are sent as by MLflow’s client. Exit code 3 where something was left out.',
  positionals: { from: { summary: 'mlruns, mlflow.db, or the URL of a server' } },
  options: {
    experiment: { type: 'text', many: true, summary: 'Only this one: name or MLflow’s id' },
    artifacts: { type: 'text', placeholder: 'path', many: true, summary: 'Where else files lie' },
    models: { type: 'flag', default: true, summary: 'Without registered models' },
  },
  examples: [
    ['keelson import-mlflow ./mlruns', 'From a directory'],
    ['keelson import-mlflow http://localhost:5000 --experiment fraud', 'One, from a server'],
  ],
  async run({ positionals, options, out, platform, progress, cwd, env, signal }) {
    const { from } = positionals;
    const isAddress = /^[a-z][a-z0-9+]+:\/\//i.test(from);
    const opened = await platform({ create: true });
    const shown = progress('Importing', { unit: 'runs' });
    const report = await importMlflow(opened, {
      from: isAddress ? from : resolve(cwd, from),
      artifacts: options.artifacts.map((path) => resolve(cwd, path)),
      ...(options.experiment.length === 0 ? {} : { experiments: options.experiment }),
      models: options.models,
      headers: headersOf(env),
      signal,
      onProgress: ({ at, added, there }) => {
        const points = `${(added.points + there.points).toLocaleString('en-US')} points`;
        shown.update(added.runs + there.runs, { note: `${at}, ${points}` });
      },
    });
    shown.end();
    out.show(report, (view) => {
      const { added, there } = report;
      const rows: readonly (readonly [string, number, number])[] = [
        ['experiments', added.experiments, there.experiments],
        ['runs', added.runs, there.runs],
        ['params', added.params, there.params],
        ['points', added.points, there.points],
        ['datasets', added.datasets, there.datasets],
        ['files', added.artifacts, there.artifacts],
        ['logged models', added.loggedModels, there.loggedModels],
        ['models', added.models, there.models],
        ['versions', added.versions, there.versions],
        ['aliases', added.aliases, there.aliases],
      ];
      view.table(rows, [
        { title: '', value: ([what]) => what },
        { title: 'ADDED', value: ([, count]) => view.figure(count), align: 'right' },
        { title: 'HERE BEFORE', value: ([, , count]) => view.figure(count), align: 'right' },
      ]);
      if (added.artifactBytes > 0) view.text(`${view.bytes(added.artifactBytes)} of files.`);
      if (report.skippedCount === 0) return;
      view.heading(`Left out: ${report.skippedCount}`);
      for (const { what, why } of report.skipped.slice(0, shownSkips)) view.text(`${what}: ${why}`);
      if (report.skippedCount > shownSkips) view.text('…; --json has the first 1,000.');
    });
    return report.skippedCount > 0 ? exitCodes.findings : exitCodes.ok;
  },
});

function headersOf(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const { MLFLOW_TRACKING_TOKEN: token, MLFLOW_TRACKING_USERNAME: user = '' } = env;
  if (token !== undefined && token !== '') return { authorization: `Bearer ${token}` };
  const given = `${user}:${env['MLFLOW_TRACKING_PASSWORD'] ?? ''}`;
  return user === '' ? {} : { authorization: `Basic ${Buffer.from(given).toString('base64')}` };
}
