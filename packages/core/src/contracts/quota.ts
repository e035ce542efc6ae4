import type { Change } from './metadata-store.ts';

/**
 * What a workspace may use up: `storage` in bytes of content, `runs` that it keeps, `compute` in milliseconds
 * of pipeline steps, `requests`: rows that its deployments answered, shadows aside.
 */
export type QuotaResource = 'storage' | 'runs' | 'compute' | 'requests';

/** Keeps a workspace within its quotas. Where none is set, it costs a look each second. */
export interface QuotaKeeper {
  /**
   * EXHAUSTED, naming limit, use and remedy, unless `by` (0 when left out) more fit; what retention no
   * longer keeps is collected first. `started` is for what has begun: it may go into the overdraft;
   * `fresh` looks anew at what a commit has found otherwise.
   */
  assertRoom(
    resource: QuotaResource,
    options?: { readonly by?: number; readonly started?: boolean; readonly fresh?: boolean },
  ): Promise<void>;
  /**
   * Counts something in the commit that makes it: with `strict`, CONFLICT naming the kind `quota` where it
   * does not fit. Nothing where no quota is set.
   */
  charge(
    resource: QuotaResource,
    by: number,
    options?: { readonly strict?: boolean },
  ): Promise<readonly Change[]>;
  /** Counts what is there already, or is no more. Never a reason for it to fail. */
  count(resource: QuotaResource, by: number): Promise<void>;
}
