import type { ModelFiles } from '../../contracts/model-format.ts';
import type { Json } from '../../json.ts';
import { FileWindow } from './file-window.ts';
import type { Selection } from './json-parts.ts';
import { damaged, refused } from './model-fault.ts';
import { decodeUtf8, storable } from './text-file.ts';

const maxText = 16 << 20;
const maxDepth = 200;
/** Of values that are kept, and of those that are passed one by one. */
const maxKept = 300_000;
const maxPassed = 50_000_000;

/**
 * The selected parts of a file in Universal Binary JSON, of which the rest is passed over: typed lists at once.
 * CORRUPT for what is no such file, INVALID for what is too large or too deep.
 */
export async function readUbjParts(
  files: ModelFiles,
  path: string,
  selection: Selection,
): Promise<Json> {
  const scan = new UbjScan(new FileWindow(files, path));
  const value = await scan.value(await scan.marker(), selection, 0);
  await scan.end();
  return storable(value, path);
}

/** Sizes of the values that have one. */
const sizes: Readonly<Record<string, number>> = {
  Z: 0,
  T: 0,
  F: 0,
  i: 1,
  U: 1,
  C: 1,
  I: 2,
  l: 4,
  d: 4,
  L: 8,
  D: 8,
};

interface Container {
  /** The type of all elements, where it is said once. */
  readonly type: string | undefined;
  readonly count: number | undefined;
}

class UbjScan {
  readonly #window: FileWindow;
  #at = 0;
  #kept = 0;
  #passed = 0;

  constructor(window: FileWindow) {
    this.#window = window;
  }

  /** The type of the next value; N is one of padding. */
  async marker(): Promise<string> {
    for (;;) {
      const marker = String.fromCharCode((await this.#take(1))[0] as number);
      if (marker !== 'N') return marker;
      this.#pass();
    }
  }

  async end(): Promise<void> {
    if (this.#at !== this.#window.sizeBytes) throw this.#damaged('goes on after its value');
  }

  /** A value whose type was read: its selected parts. */
  async value(marker: string, selection: Selection, depth: number): Promise<Json> {
    this.#kept += 1;
    if (this.#kept > maxKept)
      throw this.#refused(`has more than ${maxKept} values in a part that is read`);
    this.#assertDepth(depth);
    if (marker === '{') return this.#object(selection, depth);
    if (marker === '[') return this.#list(depth);
    return this.#scalar(marker);
  }

  async #object(selection: Selection, depth: number): Promise<Json> {
    const members: [string, Json][] = [];
    const { type, count } = await this.#container();
    for (let i = 0; count === undefined || i < count; i += 1) {
      const first = await this.marker();
      if (count === undefined && first === '}') break;
      const key = await this.#text(await this.#length(first));
      const marker = type ?? (await this.marker());
      const wanted =
        selection === true ? true : Object.hasOwn(selection, key) ? selection[key] : undefined;
      if (wanted === undefined) await this.#skip(marker, depth + 1);
      else members.push([key, await this.value(marker, wanted, depth + 1)]);
    }
    return Object.fromEntries(members);
  }

  async #list(depth: number): Promise<Json> {
    const values: Json[] = [];
    const { type, count } = await this.#container();
    for (let i = 0; count === undefined || i < count; i += 1) {
      const marker = type ?? (await this.marker());
      if (count === undefined && marker === ']') break;
      values.push(await this.value(marker, true, depth + 1));
    }
    return values;
  }

  async #skip(marker: string, depth: number): Promise<void> {
    this.#assertDepth(depth);
    this.#pass();
    const size = sizes[marker];
    if (size !== undefined) return this.#jump(size);
    if (marker === 'S' || marker === 'H')
      return this.#jump(await this.#length(await this.marker()));
    if (marker !== '{' && marker !== '[') throw this.#unknown(marker);
    const { type, count } = await this.#container();
    const each = type === undefined ? undefined : sizes[type];
    if (marker === '[' && each !== undefined && count !== undefined)
      return this.#jump(each * count);
    for (let i = 0; count === undefined || i < count; i += 1) {
      if (marker === '{') {
        const first = await this.marker();
        if (count === undefined && first === '}') break;
        this.#jump(await this.#length(first));
      }
      const inner = type ?? (await this.marker());
      if (count === undefined && marker === '[' && inner === ']') break;
      await this.#skip(inner, depth + 1);
    }
  }

  /** What may stand after the opening of a list or object: `$` and a type, `#` and a count. */
  async #container(): Promise<Container> {
    let type: string | undefined;
    if ((await this.#peek()) === '$') {
      this.#at += 1;
      type = await this.marker();
      if ((await this.#peek()) !== '#') throw this.#damaged('has a typed list without a count');
    }
    if ((await this.#peek()) !== '#') return { type, count: undefined };
    this.#at += 1;
    return { type, count: await this.#length(await this.marker()) };
  }

  async #length(marker: string): Promise<number> {
    if (!'iUIlL'.includes(marker)) throw this.#damaged('has no length where one should be');
    const length = (await this.#scalar(marker)) as number;
    if (length >= 0 && Number.isSafeInteger(length)) return length;
    throw this.#damaged('has a length that is none');
  }

  async #scalar(marker: string): Promise<Json> {
    if (marker === 'S' || marker === 'H')
      return this.#text(await this.#length(await this.marker()));
    const size = sizes[marker];
    if (size === undefined) throw this.#unknown(marker);
    const bytes = await this.#take(size);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    switch (marker) {
      case 'T':
      case 'F':
        return marker === 'T';
      case 'Z':
        return null;
      case 'i':
        return view.getInt8(0);
      case 'U':
        return view.getUint8(0);
      case 'C':
        return String.fromCharCode(view.getUint8(0));
      case 'I':
        return view.getInt16(0);
      case 'l':
        return view.getInt32(0);
      case 'L':
        return Number(view.getBigInt64(0));
      case 'd':
        return view.getFloat32(0);
      default:
        return view.getFloat64(0);
    }
  }

  async #text(length: number): Promise<string> {
    if (length > maxText) throw this.#refused(`has a text of ${length} bytes`);
    return decodeUtf8(await this.#take(length), this.#window.path);
  }

  async #peek(): Promise<string> {
    return String.fromCharCode((await this.#window.bytes(this.#at, this.#at + 1))[0] as number);
  }

  async #take(count: number): Promise<Uint8Array> {
    const bytes = await this.#window.bytes(this.#at, this.#at + count);
    this.#at += count;
    return bytes;
  }

  #jump(count: number): void {
    this.#at += count;
    if (this.#at > this.#window.sizeBytes)
      throw this.#damaged(`has a value that should reach to ${this.#at}`);
  }

  #pass(): void {
    this.#passed += 1;
    if (this.#passed > maxPassed) throw this.#refused(`has more than ${maxPassed} values`);
  }

  #assertDepth(depth: number): void {
    if (depth > maxDepth) throw this.#refused(`is nested more than ${maxDepth} levels deep`);
  }

  #unknown(marker: string): Error {
    return this.#damaged(
      `has a value of the type ${JSON.stringify(marker)}, which there is none of,`,
    );
  }

  #damaged(what: string): Error {
    return damaged(this.#window.path, `is no Universal Binary JSON: it ${what} at ${this.#at}`);
  }

  #refused(what: string): Error {
    return refused(this.#window.path, what);
  }
}
