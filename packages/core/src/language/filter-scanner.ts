import { KeelsonError } from '../errors.ts';

/** A part of a name, and whether it stood in quotes. */
export interface NamePart {
  readonly text: string;
  readonly quoted: boolean;
  readonly at: number;
}

/** A value as it was written. */
export interface WrittenValue {
  readonly value: string | number | boolean;
  readonly at: number;
}

const space = /[\s\uFEFF]*/y;
const word = /[\p{L}\p{M}\p{N}_\-/:@$#]+/uy;
const number = /[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/y;
const infinity = /[+-]?(?:Infinity|inf)/iy;
const operator = /[<>=!]+/y;

/**
 * Reads a filter from left to right, a piece at a time; never goes back over more than one piece, so
 * that any text is read in linear time. Positions count UTF-16 units from 0.
 */
export class FilterScanner {
  readonly text: string;
  #at = 0;

  constructor(text: string) {
    this.text = text;
    this.#skipSpace();
  }

  /** Where the next piece starts. */
  get at(): number {
    return this.#at;
  }

  get atEnd(): boolean {
    return this.#at >= this.text.length;
  }

  /** Whether one of the characters comes next; stays before it. */
  sees(character: string): boolean {
    return this.text[this.#at] === character;
  }

  /** Steps over a punctuation character; false when something else comes next. */
  take(character: '(' | ')' | ','): boolean {
    if (!this.sees(character)) return false;
    this.#move(this.#at + 1);
    return true;
  }

  /** Steps over a keyword, in any case; false when something else comes next. */
  takeKeyword(keyword: string): boolean {
    const found = this.#match(word, this.#at);
    if (found === undefined || found.toUpperCase() !== keyword) return false;
    const end = this.#at + found.length;
    // `in.x` and `not.x` are names.
    if (this.text[end] === '.') return false;
    this.#move(end);
    return true;
  }

  /** The next run of operator characters, stepped over; undefined when there is none. */
  takeOperator(): string | undefined {
    const found = this.#match(operator, this.#at);
    if (found !== undefined) this.#move(this.#at + found.length);
    return found;
  }

  /** A name: words and quoted parts joined by points, `params."learning rate".start`. */
  takeName(expected: string): readonly [NamePart, ...NamePart[]] {
    const parts: [NamePart, ...NamePart[]] = [this.#namePart(this.#at, expected)];
    while (this.text[this.#at] === '.')
      parts.push(this.#namePart(this.#at + 1, 'a part of the name'));
    this.#skipSpace();
    return parts;
  }

  /** A value: text in single or double quotes, a number, `Infinity`, `true` or `false`. */
  takeValue(expected: string): WrittenValue {
    const at = this.#at;
    const quote = this.text[at];
    if (quote === "'" || quote === '"') {
      const value = this.#quoted(at, quote);
      this.#skipSpace();
      return { value, at };
    }
    const digits = this.#match(infinity, at) ?? this.#match(number, at);
    if (digits !== undefined && !this.#continues(at + digits.length)) {
      this.#move(at + digits.length);
      return { value: this.#numberOf(digits, at), at };
    }
    if (this.takeKeyword('TRUE')) return { value: true, at };
    if (this.takeKeyword('FALSE')) return { value: false, at };
    return this.fail(expected);
  }

  /** The SYNTAX error at a position (the next piece's when left out). Never returns. */
  fail(expected: string, at: number = this.#at): never {
    throw syntaxError(this.text, at, expected, describeFound(this.text, at));
  }

  #namePart(at: number, expected: string): NamePart {
    this.#at = at;
    const quote = this.text[at];
    if (quote === '"' || quote === '`') return { text: this.#quoted(at, quote), quoted: true, at };
    const found = this.#match(word, at);
    if (found === undefined) return this.fail(expected, at);
    this.#at = at + found.length;
    return { text: found, quoted: false, at };
  }

  // Inside quotes a doubled quote stands for one; the position ends behind the closing quote.
  #quoted(start: number, quote: string): string {
    const pieces: string[] = [];
    let from = start + 1;
    for (;;) {
      const end = this.text.indexOf(quote, from);
      if (end < 0) throw syntaxError(this.text, start, `a closing ${quote}`, 'the end');
      pieces.push(this.text.slice(from, end));
      if (this.text[end + 1] !== quote) {
        this.#at = end + 1;
        return pieces.join(quote);
      }
      from = end + 2;
    }
  }

  #numberOf(digits: string, at: number): number {
    const bare = digits.replace(/^[+-]/, '').toLowerCase();
    const value = bare.startsWith('inf') ? Number.POSITIVE_INFINITY : Number(bare);
    if (value === Number.POSITIVE_INFINITY && !bare.startsWith('inf')) {
      return this.fail('a number within the range of doubles', at);
    }
    if (isRounded(bare, value)) {
      return this.fail(
        'an integer that a double holds exactly (in quotes it compares as text)',
        at,
      );
    }
    return digits.startsWith('-') ? -value : value;
  }

  #continues(at: number): boolean {
    return this.text[at] === '.' || this.#match(word, at) !== undefined;
  }

  #match(pattern: RegExp, at: number): string | undefined {
    pattern.lastIndex = at;
    return pattern.exec(this.text)?.[0];
  }

  #move(at: number): void {
    this.#at = at;
    this.#skipSpace();
  }

  #skipSpace(): void {
    this.#at += this.#match(space, this.#at)?.length ?? 0;
  }
}

/** A SYNTAX error that shows the place, with `details: { position, expected, found }`. */
export function syntaxError(
  text: string,
  position: number,
  expected: string,
  found: string,
): KeelsonError {
  const from = Math.max(0, position - 50);
  const lead = from > 0 ? '…' : '';
  const shown =
    lead + oneLine(text.slice(from, position + 30)) + (position + 30 < text.length ? '…' : '');
  const caret = ' '.repeat(lead.length + position - from);
  return new KeelsonError(
    'SYNTAX',
    `At position ${position} ${expected} is expected, not ${oneLine(found)}.\n  ${shown}\n  ${caret}^`,
    { details: { position, expected, found } },
  );
}

function describeFound(text: string, at: number): string {
  if (at >= text.length) return 'the end';
  const rest = text.slice(at, at + 40);
  const piece = /^(?:[\p{L}\p{M}\p{N}_\-/:@$#.]+|[<>=!]+)/u.exec(rest)?.[0] ?? firstCharacter(rest);
  return `"${oneLine(piece)}"`;
}

function firstCharacter(text: string): string {
  return String.fromCodePoint(text.codePointAt(0) ?? 0xfffd);
}

// Control characters and lone surrogates must reach neither a terminal nor a log.
function oneLine(text: string): string {
  return text.toWellFormed().replace(/[\p{Cc}\u2028\u2029]/gu, ' ');
}

// 9007199254740993 would be read as …992: whoever writes it means another record.
function isRounded(digits: string, value: number): boolean {
  if (value <= Number.MAX_SAFE_INTEGER || !/^[0-9]+$/.test(digits)) return false;
  return String(value) !== digits && BigInt(value) !== BigInt(digits);
}
