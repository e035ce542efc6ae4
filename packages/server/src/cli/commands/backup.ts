import { verifyBackup } from '@keelson/core';
import { type Command, defineCommand } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';

/** `keelson backup`. */
export const command: Command = defineCommand({
  description:
    'What was durable when it began, and every content that records name, into a directory that is absent or empty. One that was broken off goes on when it is made again into the same directory. Records on PostgreSQL are backed up by pg_dump.',
  positionals: { to: { summary: 'A directory' } },
  options: {
    verify: { type: 'flag', summary: 'Only read every byte of a backup that is there' },
  },
  examples: [
    ['keelson backup /backups/monday', 'Make one'],
    ['keelson backup /backups/monday --verify', 'Look whether it is whole'],
  ],
  async run({ positionals: { to }, options, out, platform, progress, signal }) {
    const shown = progress(options.verify ? `Reading ${to}` : `Backing up to ${to}`, {
      unit: 'contents',
    });
    const onProgress = (at: { readonly contents: number; readonly totalContents: number }): void =>
      shown.update(at.contents, at.totalContents === 0 ? {} : { total: at.totalContents });
    if (options.verify) {
      const check = await verifyBackup(to, { signal, onProgress });
      shown.end();
      out.show({ dir: to, ...check }, (view) => {
        view.text(
          check.findings.length === 0
            ? `${to} is whole: ${check.contents} contents, of ${view.time(check.at)} UTC.`
            : `${to} is damaged:`,
        );
        view.table(check.findings, [{ title: 'FINDING', value: (one) => JSON.stringify(one) }], {
          empty: '',
        });
      });
      return check.findings.length === 0 ? exitCodes.ok : exitCodes.findings;
    }
    const { operations } = await platform();
    const report = await operations.backup(to, { signal, onProgress });
    shown.end();
    out.show(report, (view) => {
      view.text(
        `${report.dir} holds all of ${view.time(report.at)} UTC: ${view.bytes(report.databaseBytes)} of records, ${report.contents} contents (${view.bytes(report.contentBytes)}).`,
      );
      if (report.lacking.length === 0) return;
      view.text('Contents that records name, and that the platform itself has no more:');
      for (const { sha256, by } of report.lacking) view.text(`  ${sha256} (${by})`);
    });
    return report.lacking.length === 0 ? exitCodes.ok : exitCodes.findings;
  },
});
