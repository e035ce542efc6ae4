import type { Clock } from '@keelson/core';
import { agoText, bytesText, durationText, figureText, timeText } from './formats.ts';
import { type Column, tableLines } from './table.ts';
import type { Style, Terminal } from './terminal.ts';
import { clean, cleanLines, pad, textWidth } from './text-width.ts';

/** What is shown to people. Texts are cleaned of what could act on the terminal. */
export interface View {
  /** Columns there are. */
  readonly width: number;
  /** A line, or several; longer ones are not broken. */
  text(text?: string): void;
  /** A line over what follows, with an empty one before it where something stands there. */
  heading(text: string): void;
  /** Names and values below each other; undefined ones are left out. */
  facts(facts: Readonly<Record<string, string | number | undefined>>): void;
  /** Rows in columns that fit the width; `empty` instead where there is none. */
  table<Row>(
    rows: readonly Row[],
    columns: readonly Column<Row>[],
    options?: { readonly empty?: string },
  ): void;
  /** The text in a style; to be the start of a line or a whole one, not a cell. */
  style(style: Style, text: string): string;
  /** How long ago, such as `5 min ago`; empty for undefined. */
  ago(at: number | undefined): string;
  /** A time in UTC to the second; empty for undefined. */
  time(at: number | undefined): string;
  duration(ms: number): string;
  bytes(bytes: number): string;
  /** A figure in few digits. */
  figure(value: number | undefined): string;
}

/** Where a command's result goes. */
export interface Output {
  /** Whether `--json` was given. */
  readonly json: boolean;
  /** The result, once: the document with `--json`, else what `draw` shows. */
  show(document: unknown, draw: (view: View) => void): void;
  /** One of many parts of a result that goes on for long: a line of JSON, else the line. */
  item(document: unknown, line: string): void;
  /** A remark on stderr, not part of the result; none with `--quiet`. */
  note(text: string): void;
  /** Bytes of a result as they are, such as a page that is written to a pipe. */
  raw(text: string): void;
}

/** The output of one command, and whether it has shown anything. */
export function createOutput(room: {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly json: boolean;
  readonly quiet: boolean;
}): Output & { readonly shown: boolean } {
  const { terminal, json } = room;
  let shown = false;
  return {
    json,
    get shown() {
      return shown;
    },
    show(document, draw) {
      if (json && shown)
        throw new Error('A command shows its result once; use out.item for parts.');
      shown = true;
      if (json) terminal.out(`${toJson(document, 2)}\n`);
      else draw(createView(terminal, room.clock));
    },
    item(document, line) {
      shown = true;
      terminal.out(json ? `${toJson(document)}\n` : `${cleanLines(line)}\n`);
    },
    note(text) {
      if (!room.quiet) terminal.error(`${cleanLines(text)}\n`);
    },
    raw(text) {
      shown = true;
      terminal.out(text);
    },
  };
}

/** JSON with keys as they come, what JSON has not as the control plane writes it. */
function toJson(document: unknown, indent?: number): string {
  return JSON.stringify(document, (_, value) => plain(value), indent) ?? 'null';
}

function plain(value: unknown): unknown {
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))) {
    return { $number: Object.is(value, -0) ? '-0' : String(value) };
  }
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Float64Array) return Array.from(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return typeof value === 'bigint' ? String(value) : value;
}

function createView(terminal: Terminal, clock: Clock): View {
  let empty = true;
  const line = (text: string): void => {
    empty = false;
    terminal.out(`${text}\n`);
  };
  return {
    width: terminal.columns,
    text: (text = '') => line(styledLines(text)),
    heading(text) {
      if (!empty) line('');
      line(terminal.style('bold', clean(text)));
    },
    facts(facts) {
      const all = Object.entries(facts).filter(([, value]) => value !== undefined);
      const width = Math.max(0, ...all.map(([name]) => textWidth(name)));
      for (const [name, value] of all) {
        line(`${terminal.style('dim', pad(name, width))}  ${cleanLines(String(value))}`.trimEnd());
      }
    },
    table(rows, columns, options = {}) {
      if (rows.length === 0 && options.empty !== undefined) {
        line(options.empty);
        return;
      }
      const { head, body } = tableLines(rows, columns, terminal.columns);
      line(terminal.style('bold', head));
      for (const each of body) line(each);
    },
    style: (style, text) => terminal.style(style, clean(text)),
    ago: (at) => agoText(at, clock.now()),
    time: timeText,
    duration: durationText,
    bytes: bytesText,
    figure: figureText,
  };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: styles that were put there by style().
const styles = /(\u001b\[\d+(?:;\d+)*m)/;

/** Cleans all but the colours, which move nothing. */
function styledLines(text: string): string {
  return text
    .split(styles)
    .map((part) => (styles.test(part) ? part : cleanLines(part)))
    .join('');
}
