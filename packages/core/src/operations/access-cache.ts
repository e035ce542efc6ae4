/**
 * Values that are read again when they are older than `maxAgeMs`, counted from before they were read. What
 * was dropped while it was being read is not kept. At most `maxEntries`; those read longest ago go.
 */
export class AccessCache<V> {
  readonly #maxAgeMs: number;
  readonly #maxEntries: number;
  readonly #now: () => number;
  readonly #entries = new Map<string, { readonly value: V; readonly at: number }>();
  readonly #reading = new Map<string, { readonly at: number; readonly value: Promise<V> }>();

  constructor(options: {
    readonly maxAgeMs: number;
    readonly maxEntries: number;
    readonly now?: () => number;
  }) {
    this.#maxAgeMs = options.maxAgeMs;
    this.#maxEntries = options.maxEntries;
    this.#now = options.now ?? (() => performance.now());
  }

  /** What is known and fresh. */
  peek(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || this.#now() - entry.at >= this.#maxAgeMs) return undefined;
    return entry.value;
  }

  /** What is known and fresh, else what `load` reads; those who ask at once share one reading. */
  async get(key: string, load: () => Promise<V>): Promise<V> {
    const known = this.peek(key);
    if (known !== undefined) return known;
    const shared = this.#reading.get(key);
    if (shared !== undefined) return shared.value;
    const reading = { at: this.#now(), value: load() };
    this.#reading.set(key, reading);
    try {
      const value = await reading.value;
      if (this.#reading.get(key) === reading) this.#keep(key, value, reading.at);
      return value;
    } finally {
      if (this.#reading.get(key) === reading) this.#reading.delete(key);
    }
  }

  /** Forgets a value, also one that is being read; all of them without a key. */
  drop(key?: string): void {
    if (key === undefined) {
      this.#entries.clear();
      this.#reading.clear();
      return;
    }
    this.#entries.delete(key);
    this.#reading.delete(key);
  }

  /** Forgets the values, also those that are being read, whose keys match. */
  dropWhere(matches: (key: string) => boolean): void {
    for (const keys of [this.#entries.keys(), this.#reading.keys()]) {
      for (const key of keys) if (matches(key)) this.drop(key);
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  #keep(key: string, value: V, at: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, at });
    if (this.#entries.size <= this.#maxEntries) return;
    const oldest = this.#entries.keys().next().value;
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}
