import type { RowColumn } from '../../contracts/series-store.ts';
import { encodeJson } from '../../json.ts';
import { storableText, storableValue, type Unstorable } from './storable-value.ts';

/** Texts of which the JSON is remembered: classes are few, and come again and again. */
const remembered = 64;

/** A column of texts that is there as soon as one row has a text; equal ones that come one after another are looked at once. */
export class TextColumn {
  readonly #count: number;
  #values: (string | null)[] | undefined;
  #given = '';
  #stored = '';

  constructor(count: number) {
    this.#count = count;
  }

  /** What is no text leaves the row without one. */
  put(i: number, value: unknown): void {
    if (typeof value !== 'string') return;
    if (value !== this.#given) {
      this.#given = value;
      this.#stored = storableText(value);
    }
    this.#values ??= new Array<string | null>(this.#count).fill(null);
    this.#values[i] = this.#stored;
  }

  /** Undefined where no row has a text. */
  column(): RowColumn | undefined {
    return this.#values && { type: 'text', values: this.#values };
  }
}

/** A column of anything, as JSON. */
export class JsonColumn {
  readonly #count: number;
  readonly #unstorable: Unstorable;
  readonly #known = new Map<string, string>();
  #values: (string | null)[] | undefined;

  constructor(count: number, unstorable: Unstorable) {
    this.#count = count;
    this.#unstorable = unstorable;
  }

  put(i: number, value: unknown): void {
    if (value === undefined) return;
    this.#values ??= new Array<string | null>(this.#count).fill(null);
    this.#values[i] = typeof value === 'string' ? this.#ofText(value) : this.#ofOther(value);
  }

  column(): RowColumn | undefined {
    return this.#values && { type: 'json', values: this.#values };
  }

  #ofText(text: string): string | null {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const made = this.#ofOther(text);
    if (made !== null && this.#known.size < remembered) this.#known.set(text, made);
    return made;
  }

  #ofOther(value: unknown): string | null {
    if (typeof value === 'number') return encodeJson(value);
    const stored = storableValue(value, this.#unstorable);
    if (stored === undefined) return null;
    return typeof stored === 'string' ? JSON.stringify(stored) : stored.json;
  }
}

/** A column of numbers that is there as soon as one row has another than the usual one. */
export class NumberColumn {
  readonly #count: number;
  readonly #usual: number | undefined;
  #values: Float64Array | undefined;
  #missing: Uint8Array | undefined;
  #present = 0;
  #isNeeded = false;

  constructor(count: number, usual?: number) {
    this.#count = count;
    this.#usual = usual;
  }

  /** What is no number leaves the row without one. */
  put(i: number, value: unknown): void {
    if (typeof value !== 'number') return;
    this.#values ??= new Float64Array(this.#count).fill(Number.NaN);
    this.#missing ??= new Uint8Array(this.#count).fill(1);
    this.#values[i] = value;
    this.#missing[i] = 0;
    this.#present += 1;
    if (value !== this.#usual) this.#isNeeded = true;
  }

  /** Undefined where no row has a number, or all have the usual one. */
  column(): RowColumn | undefined {
    if (this.#values === undefined || this.#missing === undefined || !this.#isNeeded) return;
    const whole = { type: 'number', values: this.#values } as const;
    return this.#present === this.#count ? whole : { ...whole, missing: this.#missing };
  }
}
