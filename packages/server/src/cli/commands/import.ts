import { isKeelsonError } from '@keelson/core';
import { type Command, defineCommand } from '../command.ts';

/** `keelson import`. */
export const command: Command = defineCommand({
  description:
    'Ids, times and history are kept. Everything is checked before anything is written; what is here already with the same content is skipped, so that an import that was broken off is completed by doing it again.',
  positionals: { from: { summary: 'What `keelson export` wrote' } },
  options: { models: { type: 'flag', summary: 'It holds models (found out when left out)' } },
  examples: [['keelson import fraud.tar.gz', 'Experiments or models of another platform']],
  async run({ positionals: { from }, options, out, platform, progress, signal }) {
    const { tracking, registry } = await platform({ create: true });
    const shown = progress(`Importing ${from}`, { unit: 'bytes' });
    const onProgress = (at: {
      readonly phase: string;
      readonly doneBytes: number;
      readonly totalBytes: number;
    }): void =>
      shown.update(at.doneBytes, {
        note: at.phase,
        ...(at.totalBytes === 0 ? {} : { total: at.totalBytes }),
      });
    const models = async () => registry.importModels({ from, signal, onProgress });
    const report = options.models
      ? await models()
      : await tracking.importExperiments({ from, signal, onProgress }).catch((error: unknown) => {
          // It says what it holds: models are brought in by the registry.
          if (isKeelsonError(error, 'INVALID') && /models/.test(error.message)) return models();
          throw error;
        });
    shown.end();
    out.show({ from, ...report }, (view) => {
      const kinds = Object.entries(report.added as unknown as Record<string, number>);
      const skipped = report.skipped as unknown as Record<string, number>;
      view.table(
        kinds.filter(([kind, count]) => count > 0 || (skipped[kind] ?? 0) > 0),
        [
          { title: 'WHAT', value: ([kind]) => kind },
          { title: 'ADDED', value: ([, count]) => count, align: 'right' },
          { title: 'HERE ALREADY', value: ([kind]) => skipped[kind], align: 'right' },
        ],
        { empty: 'The export is empty.' },
      );
    });
  },
});
