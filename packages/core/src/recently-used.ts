/**
 * Objects by key, of which a bounded number is kept alive: those used last, and those that `mayGo` holds
 * back. The others are found as long as somebody else holds them.
 */
export class RecentlyUsed<V extends object> {
  readonly #max: number;
  readonly #mayGo: (value: V) => boolean;
  readonly #kept = new Map<string, V>();
  readonly #all = new Map<string, WeakRef<V>>();
  readonly #gone = new FinalizationRegistry<string>((key) => {
    // Another may have come under the key meanwhile.
    if (this.#all.get(key)?.deref() === undefined) this.#all.delete(key);
  });

  constructor(max: number, mayGo: (value: V) => boolean) {
    this.#max = max;
    this.#mayGo = mayGo;
  }

  get(key: string): V | undefined {
    const value = this.#all.get(key)?.deref();
    if (value !== undefined) this.#keep(key, value);
    return value;
  }

  set(key: string, value: V): void {
    this.#all.set(key, new WeakRef(value));
    this.#gone.register(value, key);
    this.#keep(key, value);
  }

  /** All that are still there. */
  values(): readonly V[] {
    return [...this.#all.values()].flatMap((ref) => ref.deref() ?? []);
  }

  get size(): number {
    return this.#all.size;
  }

  #keep(key: string, value: V): void {
    this.#kept.delete(key);
    this.#kept.set(key, value);
    if (this.#kept.size <= this.#max) return;
    // The oldest that may go; those that may not become the newest, so that none is looked at each time.
    for (const [oldest, candidate] of this.#kept) {
      if (oldest === key) return;
      this.#kept.delete(oldest);
      if (this.#mayGo(candidate)) return;
      this.#kept.set(oldest, candidate);
    }
  }
}
