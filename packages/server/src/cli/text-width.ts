import { stripVTControlCharacters } from 'node:util';

const letters = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const plain = /^[\x20-\x7e]*$/;
const wide =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]/u;
const invisible = /^[\p{Mark}\p{Control}\p{Format}]+$/u;
// What moves a cursor, colours a screen or turns the direction of writing.
const control = /[\p{Control}\u202a-\u202e\u2066-\u2069\u200e\u200f]/gu;

/** How many columns of a terminal a text takes; colours take none. */
export function textWidth(text: string): number {
  const bare = stripVTControlCharacters(text);
  if (plain.test(bare)) return bare.length;
  let width = 0;
  for (const { segment } of letters.segment(bare)) width += letterWidth(segment);
  return width;
}

/** The text within so many columns: what is longer ends in `…`. */
export function shorten(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  if (columns <= 1) return '…'.slice(0, Math.max(0, columns));
  let taken = '';
  let width = 0;
  for (const { segment } of letters.segment(text)) {
    const next = letterWidth(segment);
    if (width + next > columns - 1) break;
    taken += segment;
    width += next;
  }
  return `${taken.trimEnd()}…`;
}

/** The text in one line, without anything by which it could act on the terminal. */
export function clean(text: string): string {
  return text.replace(/\r?\n|\t/g, ' ').replace(control, '\ufffd');
}

/** The same of a text that may have lines. */
export function cleanLines(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => line.replace(/\t/g, '    ').replace(control, '\ufffd'))
    .join('\n');
}

/** Fills up with spaces to so many columns. */
export function pad(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const space = ' '.repeat(Math.max(0, columns - textWidth(text)));
  return align === 'left' ? text + space : space + text;
}

/** Breaks a text at spaces into lines of so many columns. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/ +/)) {
    if (line === '') line = word;
    else if (textWidth(line) + 1 + textWidth(word) <= columns) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  lines.push(line);
  return lines;
}

function letterWidth(letter: string): number {
  if (invisible.test(letter)) return 0;
  return wide.test(letter) ? 2 : 1;
}
