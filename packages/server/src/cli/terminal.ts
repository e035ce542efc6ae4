import { styleText } from 'node:util';
import type { System, TextSink } from './command.ts';

/** Colours and weights that output uses; what colour says, a word says too. */
export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** The two streams of a command, with the line on stderr that redraws itself. */
export class Terminal {
  readonly #system: System;
  #drawn = '';
  #broken = false;

  constructor(system: System) {
    this.#system = system;
  }

  /** Columns of what stdout is shown in: of its terminal, of `COLUMNS`, or 80. */
  get columns(): number {
    return columnsOf(this.#system.stdout, this.#system.env);
  }

  /** Whether a line on stderr may be drawn again and again. */
  get redraws(): boolean {
    const { stderr, env } = this.#system;
    return stderr.isTTY === true && env['TERM'] !== 'dumb' && !isSet(env['CI']);
  }

  /** The text in a style, where stdout (or stderr) takes colours. */
  style(style: Style, text: string, sink: 'stdout' | 'stderr' = 'stdout'): string {
    if (!takesColour(this.#system[sink], this.#system.env)) return text;
    return styleText(style, text, { validateStream: false });
  }

  out(text: string): void {
    this.#write(this.#system.stdout, text);
  }

  error(text: string): void {
    this.#write(this.#system.stderr, text);
  }

  /** Puts a line on stderr in the place of the one before; an empty one takes it away. */
  redraw(line: string): void {
    this.#drawn = line;
    this.#system.stderr.write(`\r${line}\u001b[K`);
  }

  /** Columns of the terminal that {@link redraw} draws on. */
  get redrawnColumns(): number {
    return columnsOf(this.#system.stderr, this.#system.env);
  }

  /** Nothing is written to a stream that nobody reads. */
  stop(): void {
    this.#broken = true;
  }

  #write(sink: TextSink, text: string): void {
    if (this.#broken) return;
    const drawn = this.#drawn;
    if (drawn !== '') this.#system.stderr.write('\r\u001b[K');
    sink.write(text);
    if (drawn !== '') this.#system.stderr.write(`\r${drawn}\u001b[K`);
  }
}

function columnsOf(sink: TextSink, env: System['env']): number {
  const told = Number(env['COLUMNS']);
  if (Number.isSafeInteger(told) && told >= 20) return told;
  return sink.isTTY === true && sink.columns !== undefined && sink.columns > 0 ? sink.columns : 80;
}

/** By no-color.org, and `FORCE_COLOR` as Node reads it. */
function takesColour(sink: TextSink, env: System['env']): boolean {
  if (isSet(env['NO_COLOR'])) return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return sink.isTTY === true && env['TERM'] !== 'dumb';
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '';
}
