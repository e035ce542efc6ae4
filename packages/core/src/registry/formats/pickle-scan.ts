/** What is seen in a pickle without loading it. */
export interface PickleScan {
  readonly protocol: number;
  /** What it would import, `module.name` each, in the order of the pickle. */
  readonly globals: readonly string[];
  /** Whether the scan came to the end of the pickle: arrays between (joblib) and a cut stop it. */
  readonly complete: boolean;
  readonly operations: number;
}

const maxGlobals = 200;
const maxOperations = 2_000_000;
const maxText = 1_024;

/** How many bytes follow an operation: a number of them, `1`, `4` or `8` for a length of so many bytes, or lines. */
type Argument = number | { readonly length: 1 | 4 | 8 } | { readonly lines: 1 | 2 };

const operations: ReadonlyMap<number, Argument> = new Map<number, Argument>([
  ...[...'(.012NRQ]abd}el)stuo'].map((each) => [each.charCodeAt(0), 0] as const),
  ...[0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x97, 0x98].map(
    (each) => [each, 0] as const,
  ),
  ...[...'Khq\u0080\u0082'].map((each) => [each.charCodeAt(0), 1] as const),
  ...[...'M\u0083'].map((each) => [each.charCodeAt(0), 2] as const),
  ...[...'Jjr\u0084'].map((each) => [each.charCodeAt(0), 4] as const),
  ...[...'G\u0095'].map((each) => [each.charCodeAt(0), 8] as const),
  ...[...'UC\u008c\u008a'].map((each) => [each.charCodeAt(0), { length: 1 }] as const),
  ...[...'TXB\u008b'].map((each) => [each.charCodeAt(0), { length: 4 }] as const),
  ...[...'\u008d\u008e\u0096'].map((each) => [each.charCodeAt(0), { length: 8 }] as const),
  ...[...'FILSVPgp'].map((each) => [each.charCodeAt(0), { lines: 1 }] as const),
  ...[...'ci'].map((each) => [each.charCodeAt(0), { lines: 2 }] as const),
]);

const op = (text: string): number => text.charCodeAt(0);
const texts: ReadonlySet<number> = new Set([...'XUTVS\u008c\u008d'].map(op));

/**
 * Walks the operations of a pickle without performing any, as far as `bytes` goes. What it names, it would
 * import on loading, which is never done. undefined where the first operations are none of a pickle.
 */
export function scanPickle(bytes: Uint8Array): PickleScan | undefined {
  const walk = new PickleWalk(bytes);
  while (walk.step());
  const { protocol, globals, complete, count } = walk;
  if (count < 2 || (!complete && count < 8 && protocol < 2)) return undefined;
  return { protocol, globals: [...globals], complete, operations: count };
}

class PickleWalk {
  protocol = 0;
  complete = false;
  count = 0;
  readonly globals = new Set<string>();
  readonly #bytes: Buffer;
  readonly #memo = new Map<number, string>();
  /** The texts pushed last: STACK_GLOBAL takes two of them. */
  #texts: readonly [string, string] = ['', ''];
  #memoSize = 0;
  #last: string | undefined;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** One operation; false where the pickle ends, or can no longer be followed. */
  step(): boolean {
    const code = this.#bytes[this.#at];
    const argument = code === undefined ? undefined : operations.get(code);
    if (code === undefined || argument === undefined || this.count > maxOperations) return false;
    const body = this.#body(argument);
    if (body === undefined) return false;
    this.count += 1;
    if (code === op('.')) {
      this.complete = true;
      return false;
    }
    this.#follow(code, body);
    return true;
  }

  /** The bytes that an operation is about; undefined where they are cut off. */
  #body(argument: Argument): Buffer | undefined {
    const start = this.#at + 1;
    if (typeof argument === 'number') return this.#take(start, argument);
    if ('lines' in argument) {
      let end = start;
      for (let i = 0; i < argument.lines; i += 1) {
        end = this.#bytes.indexOf(0x0a, end) + 1;
        if (end === 0) return undefined;
      }
      return this.#take(start, end - start);
    }
    const { length: width } = argument;
    if (start + width > this.#bytes.length) return undefined;
    const size =
      width === 8
        ? Number(this.#bytes.readBigUInt64LE(start))
        : this.#bytes.readUIntLE(start, width);
    return this.#take(start + width, size);
  }

  #take(start: number, size: number): Buffer | undefined {
    if (start + size > this.#bytes.length) return undefined;
    this.#at = start + size;
    return this.#bytes.subarray(start, start + size);
  }

  #follow(code: number, body: Buffer): void {
    if (texts.has(code)) {
      this.#push(textOf(code, body));
      return;
    }
    switch (code) {
      case 0x80:
        this.protocol = body[0] as number;
        return;
      case 0x94:
        this.#remember(this.#memoSize);
        return;
      case op('q'):
        this.#remember(body[0] as number);
        return;
      case op('r'):
        this.#remember(body.readUInt32LE(0));
        return;
      case op('h'):
        this.#push(this.#memo.get(body[0] as number));
        return;
      case op('j'):
        this.#push(this.#memo.get(body.readUInt32LE(0)));
        return;
      case op('c'):
      case op('i'): {
        const [module = '', name = ''] = body.toString('utf8').split('\n');
        this.#name(module, name);
        return;
      }
      case 0x93:
        this.#name(...this.#texts);
        return;
      default:
        if (code !== 0x95 && code !== op('p')) this.#last = undefined;
    }
  }

  #push(text: string | undefined): void {
    this.#last = text;
    if (text !== undefined) this.#texts = [this.#texts[1], text];
  }

  #remember(place: number): void {
    this.#memoSize += 1;
    if (this.#last !== undefined) this.#memo.set(place, this.#last);
  }

  #name(module: string, name: string): void {
    this.#last = undefined;
    const whole = `${module}.${name}`;
    if (this.globals.size < maxGlobals && /^[\w.<>]{1,300}$/.test(whole)) this.globals.add(whole);
  }
}

function textOf(code: number, body: Buffer): string | undefined {
  if (body.length > maxText) return undefined;
  const text = body.toString('utf8');
  return code === op('V') || code === op('S') ? text.trim().replace(/^'(.*)'$/, '$1') : text;
}

/** The version that scikit-learn writes into the state of its estimators, wherever in `bytes` it stands. */
export function sklearnVersionIn(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const at = text.indexOf('_sklearn_version');
  if (at < 0) return undefined;
  // Between the name and its value lie a few bytes of operations.
  return /^_sklearn_version[^0-9]{1,3}.{0,12}?(\d+\.\d+(?:\.\d+)*(?:\.?(?:rc|dev|post|a|b)\d+)?)/s.exec(
    text.slice(at, at + 60),
  )?.[1];
}
