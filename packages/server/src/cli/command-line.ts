import type { CommandRow, System } from './command.ts';
import { commandTable } from './command-table.ts';
import { exitCodes } from './exit-codes.ts';
import { findCommand } from './find-command.ts';
import { commandHelp, groupHelp, overviewHelp } from './help.ts';
import { parseArguments } from './parse-arguments.ts';
import { reportError } from './report-error.ts';
import { runCommand } from './run-command.ts';
import { Terminal } from './terminal.ts';

/**
 * Runs what is typed behind `keelson`, and answers the exit code. Nothing of it is global: all comes from the system
 * that is handed over. Never rejects.
 */
export async function runCommandLine(
  argv: readonly string[],
  system: System,
  commands: readonly CommandRow[] = commandTable,
): Promise<number> {
  const terminal = new Terminal(system);
  const debug = argv.includes('--debug') || isSet(system.env['KEELSON_DEBUG']);
  let help = 'keelson --help';
  try {
    const asked = findCommand(argv, commands);
    if (asked.kind === 'overview') {
      terminal.out(overviewHelp(terminal));
      return exitCodes.ok;
    }
    if (asked.kind === 'group') {
      const text = groupHelp(terminal, asked.group);
      if (asked.asked) terminal.out(text);
      else terminal.error(text);
      return asked.asked ? exitCodes.ok : exitCodes.usage;
    }
    help = `keelson ${asked.row.name} --help`;
    const { command } = await asked.row.load();
    const parsed = parseArguments(command, asked.args, system.clock.now());
    if (parsed.globals['help'] === true) {
      terminal.out(commandHelp(terminal, asked.row, command));
      return exitCodes.ok;
    }
    const globals = { ...parsed.globals, debug };
    const call = { command, parsed: { ...parsed, globals }, commands };
    return await runCommand({ ...call, terminal, system });
  } catch (error) {
    return reportError(error, { terminal, debug, help });
  }
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0';
}
