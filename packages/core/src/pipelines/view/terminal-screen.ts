import { stripVTControlCharacters } from 'node:util';
import { textWidth } from './text-width.ts';

/** What of a stream a screen needs; `process.stderr` fits. */
export interface TerminalOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

const hide = '\u001b[?25l';
const show = '\u001b[?25h';

/**
 * Lines at the end of what a terminal shows, drawn over the ones before. What has not changed is not written; each
 * drawing is one write, without clearing first, so that nothing flickers. What else is written to the terminal
 * meanwhile (to the output, and where that is stdout or stderr to both) appears above, line by line. The cursor is
 * hidden until `close`, the process's exit or its interruption.
 */
export class TerminalScreen {
  readonly #output: TerminalOutput;
  readonly #write: (text: string) => void;
  #drawn: readonly string[] = [];
  #open = false;
  #guards: readonly Guard[] = [];
  readonly #restore = (): void => this.close();
  readonly #interrupted = (signal: NodeJS.Signals): void => {
    this.close();
    // As if nobody had listened, unless somebody else does.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };

  constructor(output: TerminalOutput) {
    this.#output = output;
    const { write } = output;
    this.#write = (text) => void write.call(output, text);
  }

  draw(lines: readonly string[]): void {
    if (this.#open && sameLines(lines, this.#drawn)) return;
    const begins = this.#open ? '' : this.#begin();
    const text = `${begins}${this.#up()}${drawing(lines)}\u001b[J`;
    this.#drawn = lines;
    this.#write(text);
  }

  /** The cursor is shown again, below what was drawn last; twice is fine. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    process.off('exit', this.#restore);
    process.off('SIGINT', this.#interrupted);
    process.off('SIGTERM', this.#interrupted);
    for (const guard of this.#guards) guard.release();
    this.#write(show);
  }

  #begin(): string {
    this.#open = true;
    process.once('exit', this.#restore);
    process.once('SIGINT', this.#interrupted);
    process.once('SIGTERM', this.#interrupted);
    const standard: readonly TerminalOutput[] = [process.stdout, process.stderr];
    const shared = standard.includes(this.#output) ? standard.filter(({ isTTY }) => isTTY) : [];
    const streams = new Set([this.#output, ...shared]);
    this.#guards = [...streams].map(
      (stream) => new Guard(stream, (put, text) => this.#above(put, text)),
    );
    return hide;
  }

  /** Others' lines in the place of ours, and ours again below them. */
  #above(put: (text: string) => void, text: string): void {
    this.#write(`${this.#up()}\u001b[J`);
    put(text);
    this.#write(drawing(this.#drawn));
  }

  #up(): string {
    const rows = this.#height();
    return rows > 0 ? `\u001b[${rows}A\r` : '';
  }

  /** How many rows the lines take that were drawn last: a terminal that has become narrower breaks them. */
  #height(): number {
    const columns = this.#output.columns ?? 80;
    return this.#drawn.reduce((rows, line) => {
      const width = textWidth(stripVTControlCharacters(line));
      return rows + Math.max(1, Math.ceil(width / columns));
    }, 0);
  }
}

function drawing(lines: readonly string[]): string {
  return lines.map((line) => `${line}\u001b[K\n`).join('');
}

/** Stands before a stream's `write`, and hands on whole lines. */
class Guard {
  readonly #stream: TerminalOutput;
  readonly #own: boolean;
  readonly #write: TerminalOutput['write'];
  readonly #stand: TerminalOutput['write'];
  #rest = '';

  constructor(stream: TerminalOutput, lines: (put: (text: string) => void, text: string) => void) {
    this.#stream = stream;
    this.#own = Object.hasOwn(stream, 'write');
    this.#write = stream.write;
    const put = (text: string): void => void this.#write.call(stream, text);
    this.#stand = (chunk: unknown, ...rest: readonly unknown[]): boolean => {
      const text = this.#rest + (typeof chunk === 'string' ? chunk : textOf(chunk));
      const end = text.lastIndexOf('\n') + 1;
      this.#rest = text.slice(end);
      if (end > 0) lines(put, text.slice(0, end));
      const done = rest.findLast((each) => typeof each === 'function');
      if (typeof done === 'function') process.nextTick(done as () => void);
      return true;
    };
    stream.write = this.#stand;
  }

  /** The stream is as it was; a line that has not ended is written as it is. */
  release(): void {
    // Whoever has come between has its own end.
    if (this.#stream.write !== this.#stand) return;
    if (this.#own) this.#stream.write = this.#write;
    else delete (this.#stream as Partial<TerminalOutput>).write;
    if (this.#rest !== '') this.#write.call(this.#stream, this.#rest);
  }
}

function textOf(chunk: unknown): string {
  return chunk instanceof Uint8Array ? Buffer.from(chunk).toString('utf8') : String(chunk);
}

function sameLines(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((line, i) => line === b[i]);
}
