import { type Command, defineCommand } from '../command.ts';
import { examine, type Finding } from '../doctor/examine.ts';
import { exitCodes } from '../exit-codes.ts';

const marks = { ok: '✓', warning: '!', problem: '✗' } as const;
const styles = { ok: 'green', warning: 'yellow', problem: 'red' } as const;

/** `keelson doctor`. */
export const command: Command = defineCommand({
  description:
    'Node and packages, configuration, directory (permissions, space, format, leftovers of processes that died), stores, clock, port, and every health check of the platform. A platform that is not there is not made. Exit code 3 when something is wrong; warnings alone are 0.',
  options: { all: { type: 'flag', short: 'a', summary: 'Show what is in order too' } },
  examples: [
    ['keelson doctor', 'What is wrong, and what to do'],
    ['keelson doctor --json', 'Everything that was looked at'],
  ],
  async run(context) {
    const { options, out, progress } = context;
    const shown = progress('Looking', { unit: 'checks' });
    const findings: Finding[] = [];
    for await (const finding of examine(context)) {
      findings.push(finding);
      shown.update(findings.length, { note: finding.check });
    }
    shown.end();
    const problems = findings.filter(({ status }) => status === 'problem').length;
    const warnings = findings.filter(({ status }) => status === 'warning').length;
    out.show({ ok: problems === 0, problems, warnings, findings }, (view) => {
      for (const { check, status, message, remedy } of findings) {
        if (status === 'ok' && !options.all) continue;
        view.text(`${view.style(styles[status], marks[status])} ${check}: ${message}`);
        if (remedy !== undefined) view.text(`  → ${remedy}`);
      }
      const rest = findings.length - problems - warnings;
      view.text(
        `${problems} problems, ${warnings} warnings, ${rest} checks in order${options.all ? '' : ' (--all shows them)'}.`,
      );
    });
    return problems === 0 ? exitCodes.ok : exitCodes.findings;
  },
});
