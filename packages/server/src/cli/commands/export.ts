import { type Command, defineCommand, UsageError } from '../command.ts';

/** `keelson export`. */
export const command: Command = defineCommand({
  description:
    'Writes runs with params, metrics, artifacts and history, or (with --models) models with their versions, as docs/export-format.md describes. The export is there as a whole or not at all. Runs that have not ended are left out, and named.',
  positionals: {
    to: { summary: 'A directory, a .tar or a .tar.gz file; nothing may be there yet' },
  },
  options: {
    experiment: {
      type: 'text',
      placeholder: 'name',
      many: true,
      summary: 'Only this experiment, by name or id',
    },
    includeDeleted: { type: 'flag', summary: 'Deleted experiments and runs too, as such' },
    models: { type: 'flag', summary: 'Models and their versions instead of experiments' },
    model: { type: 'text', placeholder: 'name', many: true, summary: 'Only this model' },
  },
  examples: [
    ['keelson export fraud.tar.gz --experiment fraud', 'One experiment'],
    ['keelson export models.tar.gz --models', 'All models'],
  ],
  async run({ positionals: { to }, options, out, platform, progress, signal }) {
    const models = options.models || options.model.length > 0;
    if (models && (options.experiment.length > 0 || options.includeDeleted)) {
      throw new UsageError(
        'An export holds experiments or models; leave out --models and --model, or the other options.',
      );
    }
    const { tracking, registry } = await platform();
    const shown = progress(`Exporting to ${to}`, { unit: 'bytes' });
    const onProgress = (at: { readonly writtenBytes: number; readonly totalBytes: number }): void =>
      shown.update(at.writtenBytes, at.totalBytes === 0 ? {} : { total: at.totalBytes });
    if (models) {
      const report = await registry.exportModels({
        to,
        signal,
        onProgress,
        ...(options.model.length === 0 ? {} : { models: options.model }),
      });
      shown.end();
      out.show({ to, ...report }, (view) =>
        view.text(
          `${report.models} models with ${report.versions} versions are in ${to} (${view.bytes(report.sizeBytes)}).`,
        ),
      );
      return;
    }
    const report = await tracking.exportExperiments({
      to,
      signal,
      onProgress,
      includeDeleted: options.includeDeleted,
      ...(options.experiment.length === 0 ? {} : { experiments: options.experiment }),
    });
    shown.end();
    out.show({ to, ...report }, (view) => {
      view.text(
        `${report.experiments} experiments with ${report.runs} runs are in ${to} (${view.bytes(report.sizeBytes)}).`,
      );
      if (report.running.count === 0) return;
      view.text(`Left out, because they have not ended: ${report.running.count} runs`);
      for (const id of report.running.runIds.slice(0, 10)) view.text(`  ${id}`);
    });
  },
});
