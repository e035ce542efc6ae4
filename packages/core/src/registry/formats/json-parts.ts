import type { ModelFiles } from '../../contracts/model-format.ts';
import type { Json } from '../../json.ts';
import { FileWindow } from './file-window.ts';
import { damaged, refused } from './model-fault.ts';
import { decodeUtf8, parseJson } from './text-file.ts';

/** Which parts of a value to keep: `true` for all of it, or members by name. What is not named is skipped. */
export type Selection = true | { readonly [key: string]: Selection };

const maxPart = 16 << 20;
const maxKey = 65_536;
const maxDepth = 1_000;
const maxKeys = 1_000_000;

/**
 * The selected parts of a JSON file, of which the rest is passed over without being kept: trees and graphs may be
 * hundreds of megabytes. Objects have those of the selected members that are there. CORRUPT for what is no JSON as
 * far as that is seen, INVALID for what is too large or too deep.
 */
export async function readJsonParts(
  files: ModelFiles,
  path: string,
  selection: Selection,
): Promise<Json> {
  const scan = new JsonScan(new FileWindow(files, path), new FileWindow(files, path));
  const value = await scan.value(selection);
  await scan.end();
  return value;
}

const code = (text: string): number => text.charCodeAt(0);
const quote = code('"');
const backslash = code('\\');
const open = code('{');
const close = code('}');
const openList = code('[');
const closeList = code(']');
const comma = code(',');
const colon = code(':');
const pageBytes = 1 << 20;

class JsonScan {
  readonly #window: FileWindow;
  /** For what is read a second time, so that the first reading goes on. */
  readonly #parts: FileWindow;
  #page: Uint8Array = new Uint8Array(0);
  #pageStart = 0;
  #at = 0;
  #keys = 0;

  constructor(window: FileWindow, parts: FileWindow) {
    this.#window = window;
    this.#parts = parts;
  }

  async value(selection: Selection): Promise<Json> {
    const first = await this.#next();
    if (selection !== true && first === open) return this.#object(selection);
    const start = this.#at;
    await this.#skip(first);
    if (this.#at - start > maxPart)
      throw this.#refused(`has ${this.#at - start} bytes in one part; at most ${maxPart} are read`);
    const text = decodeUtf8(await this.#parts.bytes(start, this.#at), this.#window.path);
    return parseJson(text, this.#window.path, `what lies at ${start}`);
  }

  async end(): Promise<void> {
    while (this.#at < this.#window.sizeBytes) {
      if (!isSpace(await this.#byte())) throw this.#damaged('goes on after its value');
      this.#at += 1;
    }
  }

  async #object(selection: { readonly [key: string]: Selection }): Promise<Json> {
    const members: [string, Json][] = [];
    this.#at += 1;
    for (let next = await this.#next(); next !== close; next = await this.#next()) {
      const key = await this.#key();
      if ((await this.#next()) !== colon) throw this.#damaged('has a name without a value');
      this.#at += 1;
      const wanted = Object.hasOwn(selection, key) ? selection[key] : undefined;
      if (wanted === undefined) await this.#skip(await this.#next());
      else members.push([key, await this.value(wanted)]);
      const after = await this.#next();
      if (after === comma) this.#at += 1;
      else if (after !== close) throw this.#damaged('has no comma where one should be');
    }
    this.#at += 1;
    return Object.fromEntries(members);
  }

  async #key(): Promise<string> {
    this.#keys += 1;
    if (this.#keys > maxKeys) throw this.#refused(`has more than ${maxKeys} members in one object`);
    const start = this.#at;
    if ((await this.#byte()) !== quote) throw this.#damaged('has no name where one should be');
    await this.#skip(quote);
    if (this.#at - start > maxKey) throw this.#refused('has a name that is too long');
    const inPage = start >= this.#pageStart;
    const bytes = inPage
      ? this.#page.subarray(start - this.#pageStart, this.#at - this.#pageStart)
      : await this.#parts.bytes(start, this.#at);
    return parseJson(decodeUtf8(bytes, this.#window.path), this.#window.path) as string;
  }

  /** Passes a value whose first byte is `first`. */
  async #skip(first: number): Promise<void> {
    if (first === open || first === openList || first === quote) return this.#skipNested();
    const start = this.#at;
    while (this.#at < this.#window.sizeBytes && isPlain(await this.#byte())) this.#at += 1;
    if (this.#at === start) throw this.#damaged('has no value where one should be');
  }

  async #skipNested(): Promise<void> {
    const nesting = new Nesting();
    do {
      await this.#byte();
      this.#at = this.#pageStart + nesting.pass(this.#page, this.#at - this.#pageStart);
      if (nesting.depth > maxDepth)
        throw this.#refused(`is nested more than ${maxDepth} levels deep`);
      if (nesting.crossed) throw this.#damaged('closes what was not opened');
    } while (!nesting.ended);
  }

  /** The first byte that is no space, which is not passed. */
  async #next(): Promise<number> {
    let byte = await this.#byte();
    while (isSpace(byte)) {
      this.#at += 1;
      byte = await this.#byte();
    }
    return byte;
  }

  async #byte(): Promise<number> {
    const i = this.#at - this.#pageStart;
    if (i < this.#page.length) return this.#page[i] as number;
    if (this.#at >= this.#window.sizeBytes) throw this.#damaged('is cut off');
    const first = this.#page.length === 0;
    this.#page = await this.#window.upTo(this.#at, first ? 4096 : pageBytes);
    this.#pageStart = this.#at;
    return this.#page[0] as number;
  }

  #damaged(what: string): Error {
    return damaged(this.#window.path, `is no JSON: it ${what} at ${this.#at}`);
  }

  #refused(what: string): Error {
    return refused(this.#window.path, what);
  }
}

/** Finds the end of a text, list or object without looking at what is in it. */
class Nesting {
  readonly #closers: number[] = [];
  #inText = false;
  #escaped = false;
  crossed = false;

  get depth(): number {
    return this.#closers.length;
  }

  get ended(): boolean {
    return this.#closers.length === 0 && !this.#inText;
  }

  /** Passes bytes of a page up to the end of the value, a fault, or the end of the page; answers where. */
  pass(page: Uint8Array, from: number): number {
    let i = from;
    for (; i < page.length; i += 1) {
      const byte = page[i] as number;
      if (this.#inText) this.#passText(byte);
      else if (byte === quote) this.#inText = true;
      else if (byte === open) this.#closers.push(close);
      else if (byte === openList) this.#closers.push(closeList);
      else if (byte === close || byte === closeList) this.crossed = this.#closers.pop() !== byte;
      else continue;
      if (this.ended || this.crossed || this.#closers.length > maxDepth) return i + 1;
    }
    return i;
  }

  #passText(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === backslash) this.#escaped = true;
    else if (byte === quote) this.#inText = false;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** What numbers, true, false and null are made of. */
function isPlain(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    byte === 0x2d ||
    byte === 0x2b ||
    byte === 0x2e
  );
}
