import { UsageError } from './command.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import type { Output } from './output.ts';
import type { Terminal } from './terminal.ts';
import { cleanLines } from './text-width.ts';

/** What a refusal of the platform looks like, whichever copy of the package it comes from. */
interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly details: unknown;
}

const brand = Symbol.for('keelson.error');

/**
 * Says what went wrong: code and sentence, on stderr; with `--json` also as the document, where none was printed. The
 * stack only with `debug`. Answers the exit code.
 */
export async function reportError(
  error: unknown,
  room: {
    readonly terminal: Terminal;
    readonly output?: Output & { readonly shown: boolean };
    readonly debug: boolean;
    /** What to look up, such as `keelson gc --help`. */
    readonly help?: string;
  },
): Promise<number> {
  const { terminal, output } = room;
  const { code, message, details } = refusalOf(error);
  const usage = error instanceof UsageError;
  const label = terminal.style('red', usage ? 'error' : `error ${code}`, 'stderr');
  terminal.error(`${label}: ${cleanLines(message)}\n`);
  if (usage && room.help !== undefined) terminal.error(`See \`${room.help}\`.\n`);
  if (room.debug) terminal.error(`${stackOf(error)}\n`);
  else if (code === 'INTERNAL') terminal.error('`--debug` shows where it comes from.\n');
  if (output?.json === true && !output.shown) {
    output.show({ error: { code, message, details } }, () => undefined);
  }
  return usage ? exitCodes.usage : exitCodeOf(code);
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof UsageError) return { code: 'USAGE', message: error.message, details: {} };
  if (typeof error === 'object' && error !== null && brand in error) {
    return error as unknown as Refusal;
  }
  const message = error instanceof Error ? error.message : String(error);
  const system = (error as NodeJS.ErrnoException | undefined)?.code;
  if (typeof system === 'string' && /^E[A-Z]+$/.test(system)) {
    return { code: 'FAILED', message: `${message}.`, details: { system } };
  }
  return { code: 'INTERNAL', message, details: {} };
}

function stackOf(error: unknown): string {
  const lines: string[] = [];
  for (let one = error; one !== undefined && lines.length < 10; one = (one as Error).cause) {
    if (!(one instanceof Error)) {
      lines.push(String(one));
      break;
    }
    lines.push(`${lines.length === 0 ? '' : 'caused by '}${one.stack ?? one.message}`);
  }
  return lines.join('\n');
}
