/** A call of a store's method. */
export interface StoreCall {
  readonly method: string;
  readonly args: readonly unknown[];
}

/**
 * What stands between a caller and a store: makes the call with `proceed` (other arguments, another
 * answer, twice, not at all).
 */
export type Around = (
  call: StoreCall,
  proceed: (args?: readonly unknown[]) => Promise<unknown>,
) => Promise<unknown>;

/** What does not answer with a promise, and what ends a store, goes through as it is. */
const untouched: ReadonlySet<string | symbol> = new Set(['uri', 'list', 'close']);

/**
 * The store with `around` between it and its callers, for every method that answers with a promise but
 * `close`. A MetadataStore, a SeriesStore, an ArtifactStore (its spaces as well) or one space.
 */
export function interposed<S extends object>(store: S, around: Around): S {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const method = value.bind(target) as (...args: readonly unknown[]) => unknown;
      if (typeof name === 'symbol' || untouched.has(name)) return method;
      if (name === 'space') {
        return (...args: readonly unknown[]) => interposed(method(...args) as object, around);
      }
      return async (...args: readonly unknown[]) =>
        await around({ method: name, args }, async (other = args) => await method(...other));
    },
  });
}
