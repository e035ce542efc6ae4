import { KeelsonError } from './errors.ts';

/** What a pattern is made of. */
export type PatternNode =
  /** One character (code point), of those that this source of a regular expression matches. */
  | { readonly type: 'one'; readonly source: string }
  | { readonly type: 'assert'; readonly of: PatternAssertion }
  | { readonly type: 'sequence'; readonly parts: readonly PatternNode[] }
  | { readonly type: 'either'; readonly parts: readonly PatternNode[] }
  | {
      readonly type: 'repeat';
      readonly of: PatternNode;
      readonly min: number;
      /** Infinity for any number. */
      readonly max: number;
    };

/** What holds between two characters. */
export type PatternAssertion = 'start' | 'end' | 'boundary' | 'no boundary';

const maxNesting = 200;

/**
 * The structure of a regular expression (ECMAScript, flag `u`). INVALID for what is none, and for what no engine
 * matches in time that grows with the length of the text alone: references back to groups, looking ahead and behind.
 */
export function parsePattern(source: string): PatternNode {
  try {
    new RegExp(source, 'u');
  } catch (cause) {
    throw refused(source, (cause as Error).message, cause);
  }
  return new PatternReader(source).read();
}

/** INVALID, with the pattern and why. */
export function refused(source: string, why: string, cause?: unknown): KeelsonError {
  const shown = source.length > 120 ? `${source.slice(0, 117)}…` : source;
  return new KeelsonError('INVALID', `The pattern ${JSON.stringify(shown)} is not taken: ${why}`, {
    cause,
  });
}

/** Reads what is known to be a regular expression, so that it need not be strict. */
class PatternReader {
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  read(): PatternNode {
    const parts = [this.#sequence()];
    while (this.#takes('|')) parts.push(this.#sequence());
    return parts.length === 1 ? (parts[0] as PatternNode) : { type: 'either', parts };
  }

  #sequence(): PatternNode {
    const parts: PatternNode[] = [];
    while (this.#at < this.#source.length && !this.#sees('|') && !this.#sees(')')) {
      parts.push(this.#quantified(this.#atom()));
    }
    return { type: 'sequence', parts };
  }

  #quantified(of: PatternNode): PatternNode {
    const found = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})/.exec(this.#source.slice(this.#at, this.#at + 50));
    if (found === null) return of;
    const [whole, least, comma, most] = found;
    this.#at += whole.length;
    // Lazy or not, the same texts match.
    this.#takes('?');
    if (whole === '*') return { type: 'repeat', of, min: 0, max: Infinity };
    if (whole === '+') return { type: 'repeat', of, min: 1, max: Infinity };
    if (whole === '?') return { type: 'repeat', of, min: 0, max: 1 };
    const min = Number(least);
    const open = most === '' ? Infinity : Number(most);
    return { type: 'repeat', of, min, max: comma === '' ? min : open };
  }

  #atom(): PatternNode {
    if (this.#takes('^')) return { type: 'assert', of: 'start' };
    if (this.#takes('$')) return { type: 'assert', of: 'end' };
    if (this.#takes('(')) return this.#group();
    if (this.#sees('\\')) return this.#escape();
    if (this.#sees('[')) return this.#one(/^\[(?:\\.|[^\]\\])*\]/su);
    return this.#one(/^./su);
  }

  #group(): PatternNode {
    this.#depth += 1;
    if (this.#depth > maxNesting) throw this.#refused('it is nested too deeply.');
    if (this.#takes('?')) {
      if (/^(?:[=!]|<[=!])/.test(this.#source.slice(this.#at, this.#at + 2))) {
        throw this.#refused('looking ahead and behind can take for ever; write it without.');
      }
      const name = /^(?::|<[^>]*>)/u.exec(this.#source.slice(this.#at))?.[0];
      if (name === undefined) throw this.#refused('flags within it are not taken.');
      this.#at += name.length;
    }
    const inner = this.read();
    this.#at += 1;
    this.#depth -= 1;
    return inner;
  }

  #escape(): PatternNode {
    const next = this.#source[this.#at + 1] ?? '';
    if (/[1-9k]/.test(next)) {
      throw this.#refused('references back to a group can take for ever; write it without.');
    }
    if (next === 'b' || next === 'B') {
      this.#at += 2;
      return { type: 'assert', of: next === 'b' ? 'boundary' : 'no boundary' };
    }
    return this.#one(
      // A pair of surrogates is one character.
      /^\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|u\{[^}]*\}|u[\da-fA-F]{4}|x[\da-fA-F]{2}|[pP]\{[^}]*\}|c[a-zA-Z]|.)/su,
    );
  }

  #one(form: RegExp): PatternNode {
    const source = form.exec(this.#source.slice(this.#at))?.[0] ?? '';
    this.#at += source.length;
    return { type: 'one', source };
  }

  #sees(text: string): boolean {
    return this.#source.startsWith(text, this.#at);
  }

  #takes(text: string): boolean {
    if (!this.#sees(text)) return false;
    this.#at += text.length;
    return true;
  }

  #refused(why: string): KeelsonError {
    return refused(this.#source, why);
  }
}
