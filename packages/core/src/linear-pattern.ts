import {
  type PatternAssertion,
  type PatternNode,
  parsePattern,
  refused,
} from './pattern-syntax.ts';

/** A regular expression that is tried on texts. */
export interface LinearPattern {
  /**
   * Whether it matches somewhere in the text, in time that grows with its length alone. INVALID, with the pattern,
   * where that is more than some tenths of a second, as for counts of thousands over a long text.
   */
  test(text: string): boolean;
  /** As a `RegExp` is written. */
  toString(): string;
}

/** One step of the machine that a pattern is compiled to. */
type Instruction =
  | { readonly op: 'one'; readonly matches: (character: number) => boolean }
  | { readonly op: 'assert'; readonly of: PatternAssertion }
  /** Goes on at each of these. */
  | { readonly op: 'split'; readonly to: number[] }
  | { readonly op: 'match' };

/** Counted repetitions are written out; beyond this they are refused. */
const maxInstructions = 5000;
const maxLength = 10_000;

/**
 * A regular expression as ECMAScript has it with the flag `u`, matched without ever going back: all that may come of
 * what has been read is followed at once, and what came of the same before is remembered. INVALID, with the pattern,
 * for what is none, for references back to groups, looking ahead and behind, flags within it, and for one that is
 * too large when its repetitions are written out.
 */
export function compileLinearPattern(source: string): LinearPattern {
  if (source.length > maxLength) {
    throw refused(source, `it has more than ${maxLength} characters.`);
  }
  const program = new PatternProgram(source);
  program.add(parsePattern(source));
  program.instructions.push({ op: 'match' });
  return new PatternMatcher(source, program.instructions);
}

/** Writes a pattern out as instructions, each going on at the next one. */
class PatternProgram {
  readonly instructions: Instruction[] = [];
  readonly #source: string;
  readonly #sets = new Map<string, (character: number) => boolean>();

  constructor(source: string) {
    this.#source = source;
  }

  add(node: PatternNode): void {
    switch (node.type) {
      case 'one':
        this.#push({ op: 'one', matches: this.#set(node.source) });
        return;
      case 'assert':
        this.#push({ op: 'assert', of: node.of });
        return;
      case 'sequence':
        for (const part of node.parts) this.add(part);
        return;
      case 'either':
        this.#either(node.parts);
        return;
      case 'repeat':
        this.#repeat(node.of, node.min, node.max);
        return;
    }
  }

  #either(parts: readonly PatternNode[]): void {
    const choice: number[] = [];
    this.#push({ op: 'split', to: choice });
    const ends: number[][] = [];
    for (const part of parts) {
      choice.push(this.instructions.length);
      this.add(part);
      const end: number[] = [];
      this.#push({ op: 'split', to: end });
      ends.push(end);
    }
    for (const end of ends) end.push(this.instructions.length);
  }

  #repeat(of: PatternNode, min: number, max: number): void {
    // What takes no character is the same however often it is there.
    const most = takesNone(of) ? Math.min(1, max) : max;
    for (let i = 0; i < Math.min(min, most); i += 1) this.add(of);
    if (most === Infinity) {
      const at = this.instructions.length;
      const choice = [at + 1];
      this.#push({ op: 'split', to: choice });
      this.add(of);
      this.#push({ op: 'split', to: [at] });
      choice.push(this.instructions.length);
      return;
    }
    const exits: number[][] = [];
    for (let i = min; i < most; i += 1) {
      const choice = [this.instructions.length + 1];
      this.#push({ op: 'split', to: choice });
      exits.push(choice);
      this.add(of);
    }
    for (const exit of exits) exit.push(this.instructions.length);
  }

  #push(instruction: Instruction): void {
    if (this.instructions.length >= maxInstructions) {
      throw refused(
        this.#source,
        `with its repetitions written out it is larger than ${maxInstructions} steps; minLength and maxLength bound a length.`,
      );
    }
    this.instructions.push(instruction);
  }

  #set(source: string): (character: number) => boolean {
    let matches = this.#sets.get(source);
    if (matches === undefined) {
      const form = new RegExp(`^${source}$`, 'u');
      matches = (character) => form.test(String.fromCodePoint(character));
      this.#sets.set(source, matches);
    }
    return matches;
  }
}

function takesNone(node: PatternNode): boolean {
  if (node.type === 'one') return false;
  if (node.type === 'assert') return true;
  return node.type === 'repeat' ? takesNone(node.of) : node.parts.every(takesNone);
}

/** What was read last, as far as assertions ask. */
type Before = 'start' | 'word' | 'other';

/** All places that the machine may be at between two characters. */
interface State {
  readonly places: readonly number[];
  readonly before: Before;
  /** By character, up to 127. */
  readonly next: (State | 'matched' | undefined)[];
  readonly further: Map<number, State | 'matched'>;
  atEnd: boolean | undefined;
}

/** What is remembered of texts before: places in states, and ways from one to another. */
const maxKnown = 200_000;
/** For one text: places that are looked at which nothing is remembered of. A million take some tenths of a second. */
const maxSteps = 1_000_000;

class PatternMatcher implements LinearPattern {
  readonly #source: string;
  readonly #instructions: readonly Instruction[];
  readonly #seen: Uint32Array;
  #round = 0;
  #steps = 0;
  #states = new Map<string, State>();
  #known = 0;

  constructor(source: string, instructions: readonly Instruction[]) {
    this.#source = source;
    this.#instructions = instructions;
    this.#seen = new Uint32Array(instructions.length);
  }

  toString(): string {
    return `/${this.#source}/u`;
  }

  test(text: string): boolean {
    let state = this.#state([], 'start');
    this.#steps = 0;
    for (let at = 0; at < text.length; ) {
      const character = text.codePointAt(at) as number;
      at += character > 0xffff ? 2 : 1;
      const next =
        (character < 128 ? state.next[character] : state.further.get(character)) ??
        this.#step(state, character);
      if (next === 'matched') return true;
      state = next;
    }
    state.atEnd ??= this.#reached(state, 'end') === undefined;
    return state.atEnd;
  }

  #step(from: State, character: number): State | 'matched' {
    if (this.#steps > maxSteps) {
      throw refused(
        this.#source,
        'it takes too long on a text as long as this; repeat less in it.',
      );
    }
    const isWord = isWordCharacter(character);
    const places = this.#reached(from, isWord ? 'word' : 'other');
    let to: State | 'matched' = 'matched';
    if (places !== undefined) {
      const next = places.flatMap((place) => {
        const instruction = this.#instructions[place];
        const goesOn = instruction?.op === 'one' && instruction.matches(character);
        return goesOn ? [place + 1] : [];
      });
      to = this.#state(next, isWord ? 'word' : 'other');
    }
    this.#known += 1;
    if (character < 128) from.next[character] = to;
    else from.further.set(character, to);
    return to;
  }

  #state(places: readonly number[], before: Before): State {
    if (this.#known > maxKnown) {
      this.#states = new Map();
      this.#known = 0;
    }
    const key = `${before} ${places.join(' ')}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      state = { places, before, next: [], further: new Map(), atEnd: undefined };
      this.#states.set(key, state);
      this.#known += places.length + 1;
      this.#steps += places.length;
    }
    return state;
  }

  /** The places that take a character, from those of the state and from the beginning; undefined once it matches. */
  #reached(
    { places, before }: State,
    after: 'end' | 'word' | 'other',
  ): readonly number[] | undefined {
    this.#round += 1;
    const reached: number[] = [];
    const open = [0, ...places];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      this.#steps += 1;
      if (this.#seen[at] === this.#round) continue;
      this.#seen[at] = this.#round;
      const instruction = this.#instructions[at] as Instruction;
      switch (instruction.op) {
        case 'match':
          return undefined;
        case 'one':
          reached.push(at);
          break;
        case 'split':
          open.push(...instruction.to);
          break;
        case 'assert':
          if (holds(instruction.of, before, after)) open.push(at + 1);
          break;
      }
    }
    return reached.toSorted((a, b) => a - b);
  }
}

function holds(of: PatternAssertion, before: Before, after: 'end' | 'word' | 'other'): boolean {
  if (of === 'start') return before === 'start';
  if (of === 'end') return after === 'end';
  const isBoundary = (before === 'word') !== (after === 'word');
  return of === 'boundary' ? isBoundary : !isBoundary;
}

function isWordCharacter(character: number): boolean {
  return character < 128 && /\w/.test(String.fromCharCode(character));
}
