import { restoreBackup } from '@keelson/core';
import { type Command, defineCommand } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';

/** `keelson restore`. */
export const command: Command = defineCommand({
  description:
    'The platform’s directory (--dir) must be absent or empty; it appears when it is whole, every digest checked on the way.',
  positionals: { from: { summary: 'A directory that `keelson backup` made' } },
  options: {
    leaveOutDamaged: {
      type: 'flag',
      summary: 'Leave out contents that are missing or damaged, and name them, instead of refusing',
    },
  },
  examples: [['keelson restore /backups/monday --dir .keelson', 'A platform as it was']],
  async run({ positionals: { from }, options, out, config, progress, signal }) {
    const { values } = await config();
    const shown = progress(`Restoring ${from}`, { unit: 'contents' });
    const report = await restoreBackup(from, {
      dir: values.dir,
      leaveOutDamaged: options.leaveOutDamaged,
      signal,
      onProgress: ({ contents, totalContents }) =>
        shown.update(contents, totalContents === 0 ? {} : { total: totalContents }),
    });
    shown.end();
    out.show(report, (view) => {
      view.text(
        `${report.dir} is as it was at ${view.time(report.at)} UTC, with ${report.contents} contents (${view.bytes(report.contentBytes)}).`,
      );
      for (const { sha256, by } of report.leftOut) view.text(`Left out: ${sha256} (${by})`);
    });
    return report.leftOut.length === 0 ? exitCodes.ok : exitCodes.findings;
  },
});
