import { type Command, defineCommand } from '../command.ts';

/** `keelson gc`. */
export const command: Command = defineCommand({
  description:
    'Experiments and runs that were deleted longer ago than the retention go for good, with all that is theirs; then content that no run, model version or pipeline refers to; then leftovers of broken uploads. Others may work meanwhile, and it may be broken off at any time.',
  options: {
    olderThan: {
      type: 'duration',
      summary: 'What was deleted longer ago goes; 30d when left out',
    },
    grace: {
      type: 'duration',
      min: 300_000,
      summary: 'Content that nothing refers to stays for so long; 24h when left out, 5m at least',
    },
    dryRun: { type: 'flag', short: 'n', summary: 'Say what would go, and touch nothing' },
  },
  examples: [
    ['keelson gc --dry-run', 'What would go'],
    ['keelson gc --older-than 7d', 'What was deleted more than a week ago'],
  ],
  async run({ options, out, platform, progress, signal }) {
    const { operations } = await platform();
    const shown = progress('Collecting', { unit: 'records' });
    const report = await operations.gc({
      dryRun: options.dryRun,
      ...(options.olderThan === undefined ? {} : { olderThanMs: options.olderThan }),
      ...(options.grace === undefined ? {} : { graceMs: options.grace }),
      signal,
      onProgress: ({ phase, removedRecords, freedBytes }) =>
        shown.update(removedRecords, { note: `${phase}, ${freedBytes} bytes freed` }),
    });
    shown.end();
    out.show(report, (view) => {
      const would = report.dryRun ? 'Would free' : 'Freed';
      view.text(
        `${would} ${view.bytes(report.freedBytes)} in ${report.contents} contents and ${report.leftovers} leftovers.`,
      );
      const kinds = Object.entries(report.records).filter(([, count]) => count > 0);
      if (kinds.length === 0) return;
      view.table(kinds, [
        { title: report.dryRun ? 'WOULD GO' : 'GONE', value: ([kind]) => kind },
        { title: 'COUNT', value: ([, count]) => count, align: 'right' },
      ]);
    });
  },
});
