import type { ArtifactSpace } from '../contracts/artifact-store.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { QuotaKeeper, QuotaResource } from '../contracts/quota.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { draftEvent } from '../events/draft-event.ts';
import { asJson, type JsonObject } from '../json.ts';
import { AccessCache } from './access-cache.ts';
import { commitChanges } from './decide-and-commit.ts';
import { everyRecord } from './every-record.ts';
import {
  dueUpkeep,
  fullAt,
  periodOf,
  quotaFromRecord,
  type StoredQuota,
  warningShare,
} from './quota-law.ts';

type KeeperScope = Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'clock' | 'ids' | 'logger'>;

/** What else a keeper does with the quotas of its workspace. */
export interface WorkspaceQuotas extends QuotaKeeper {
  /** As they are now. */
  read(): Promise<readonly StoredQuota[]>;
  /** Forgets what it has read. */
  forget(): void;
  /** The space, with `storage` kept and counted. */
  guarding(space: ArtifactSpace): ArtifactSpace;
  /** What frees room, by retention; called at most every ten minutes. */
  onFull(collect: () => Promise<unknown>): void;
  /** How much there really is of what can be counted; undefined for what only happens. */
  truth(resource: QuotaResource): Promise<number | undefined>;
  /** Makes a counter what is really there; answers what it was, or undefined where it was right. */
  correct(resource: QuotaResource): Promise<number | undefined>;
}

const collectEveryMs = 600_000;
const lookEveryMs = 60_000;

/** The id of a quota's record. */
export function quotaId(resource: QuotaResource): string {
  return `quota-${resource}`;
}

/** Keeps the quotas of one workspace. */
export function createQuotaKeeper(scope: KeeperScope, bare: ArtifactSpace): WorkspaceQuotas {
  const { metadata, workspace, clock } = scope;
  const cache = new AccessCache<ReadonlyMap<QuotaResource, StoredQuota>>({
    maxAgeMs: 1000,
    maxEntries: 1,
  });
  /** Counted here since the quotas were read. */
  let since = new Map<QuotaResource, number>();
  let collect: (() => Promise<unknown>) | undefined;
  let collectedAt = Number.NEGATIVE_INFINITY;
  const lookedAt = new Map<
    QuotaResource,
    { readonly at: number; readonly counter: number | undefined }
  >();

  async function load(): Promise<ReadonlyMap<QuotaResource, StoredQuota>> {
    since = new Map();
    const found = new Map<QuotaResource, StoredQuota>();
    for await (const record of everyRecord({ metadata, workspace }, 'quota')) {
      const quota = quotaFromRecord(record, clock.now());
      found.set(quota.resource, await upkeep(quota));
    }
    return found;
  }

  function known(): Promise<ReadonlyMap<QuotaResource, StoredQuota>> {
    return cache.get('all', load);
  }

  /** A new period, a sample for the trend, and the warning, once; whoever comes second leaves it. */
  async function upkeep(quota: StoredQuota): Promise<StoredQuota> {
    const now = clock.now();
    const period = periodOf(quota.per, now);
    const due = dueUpkeep(quota, now);
    if (due === undefined && period === quota.period) return quota;
    const { warn = false, warned = quota.warned, samples = quota.samples } = due ?? {};
    const { id, revision, overdraft, resource, used, limit } = quota;
    const columns = { warned, ...(period === quota.period ? {} : { period, used: 0 }) };
    const full = fullAt(samples, quota, now);
    const change: Change = {
      op: 'replace',
      kind: 'quota',
      id,
      expect: revision,
      columns,
      body: asJson({ overdraft, samples }) as JsonObject,
    };
    const payload = { resource, used, limit, ...(full === undefined ? {} : { fullAt: full }) };
    const event = draftEvent(scope, {
      type: 'storage.quota_warning',
      subject: `quota:${resource}`,
      source: 'operations',
      payload,
    });
    try {
      await commitChanges(scope, warn ? [change, { op: 'emit', event }] : [change]);
      return { ...quota, period, warned, samples, revision: revision + 1 };
    } catch (error) {
      if (!isKeelsonError(error, 'STALE', 'NOT_FOUND')) throw error;
      return quota;
    }
  }

  function usedNow(quota: StoredQuota): number {
    return quota.used + (since.get(quota.resource) ?? 0);
  }

  function fits(quota: StoredQuota, by: number, started: boolean): boolean {
    const bound = started ? quota.limit * (1 + quota.overdraft) : quota.limit;
    const used = usedNow(quota);
    return by === 0 ? used < bound : used + by <= bound;
  }

  /** What retention lets go, and then what is really there. */
  async function makeRoom(resource: QuotaResource): Promise<void> {
    if (collect !== undefined && performance.now() - collectedAt > collectEveryMs) {
      collectedAt = performance.now();
      try {
        await collect();
      } catch (error) {
        const fields = { component: 'operations', resource, error };
        scope.logger.warn(fields, 'A full workspace could not be collected; run operations.gc().');
      }
    }
    // The truth is a walk over all there is: not for each of many who are refused while nothing changes.
    const looked = lookedAt.get(resource);
    const old = looked === undefined || performance.now() - looked.at > lookEveryMs;
    if (old || looked.counter !== (await counter(resource))) {
      const at = performance.now();
      await correct(resource);
      lookedAt.set(resource, { at, counter: await counter(resource) });
    }
    cache.drop();
  }

  async function truth(resource: QuotaResource): Promise<number | undefined> {
    if (resource === 'runs') {
      return (await metadata.count(workspace, 'run', undefined, { exact: true })).count;
    }
    if (resource !== 'storage') return undefined;
    let bytes = 0;
    for await (const { sizeBytes } of bare.list()) bytes += sizeBytes;
    return bytes;
  }

  async function counter(resource: QuotaResource): Promise<number | undefined> {
    const record = await metadata.find(workspace, 'quota', quotaId(resource));
    return record?.columns['used'] as number | undefined;
  }

  async function correct(resource: QuotaResource): Promise<number | undefined> {
    const before = await counter(resource);
    const real = before === undefined ? undefined : await truth(resource);
    // What was counted while it was looked at is in the truth, or will be counted right the next time.
    if (before === undefined || real === undefined || real === before) return undefined;
    if ((await counter(resource)) !== before) return undefined;
    await adjust(resource, real - before);
    cache.drop();
    return before;
  }

  async function adjust(resource: QuotaResource, by: number): Promise<void> {
    await commitChanges(scope, [adjustment(resource, by)]);
  }

  const keeper: WorkspaceQuotas = {
    async assertRoom(resource, { by = 0, started = false, fresh = false } = {}) {
      if (fresh) cache.drop();
      const quota = (await known()).get(resource);
      if (quota === undefined || fits(quota, by, started)) return;
      await makeRoom(resource);
      const now = (await known()).get(resource);
      if (now !== undefined && !fits(now, by, started))
        throw exhausted(workspace, now, usedNow(now));
    },

    async charge(resource, by, { strict = false } = {}) {
      const quota = (await known()).get(resource);
      if (quota === undefined || by === 0) return [];
      return [{ ...adjustment(resource, by), ...(strict ? { max: quota.limit } : {}) }];
    },

    async count(resource, by) {
      try {
        if (by === 0 || !(await known()).has(resource)) return;
        await adjust(resource, by);
        since.set(resource, (since.get(resource) ?? 0) + by);
        const quota = (await known()).get(resource);
        if (quota === undefined || quota.warned) return;
        if (usedNow(quota) < quota.limit * warningShare) return;
        // Looked at now, so that the warning does not wait for the next that is counted.
        cache.drop();
        await known();
      } catch (error) {
        const fields = { component: 'operations', workspace, resource, by, error };
        scope.logger.warn(fields, `${by} of ${resource} could not be counted; reconcile finds it.`);
      }
    },

    guarding: (space) => ({
      ...boundSpace(space),
      async put(source, options) {
        await keeper.assertRoom('storage', { started: true });
        const content = await space.put(source, options);
        await keeper.count('storage', content.sizeBytes);
        return content;
      },
      async remove(sha256, options) {
        const quota = (await known()).get('storage');
        const sizeBytes = quota && (await space.find(sha256))?.sizeBytes;
        const removed = await space.remove(sha256, options);
        if (removed && sizeBytes !== undefined) await keeper.count('storage', -sizeBytes);
        return removed;
      },
    }),

    async read() {
      cache.drop();
      return [...(await known()).values()];
    },
    forget: () => cache.drop(),
    onFull(act) {
      collect ??= act;
    },
    truth,
    correct,
  };
  return keeper;
}

function adjustment(resource: QuotaResource, by: number): Extract<Change, { op: 'adjust' }> {
  return { op: 'adjust', kind: 'quota', id: quotaId(resource), column: 'used', by };
}

/** A space may be an object of a class: its methods, each bound. */
function boundSpace(space: ArtifactSpace): ArtifactSpace {
  return {
    put: (...args) => space.put(...args),
    open: (...args) => space.open(...args),
    find: (...args) => space.find(...args),
    verify: (...args) => space.verify(...args),
    keep: (...args) => space.keep(...args),
    remove: (...args) => space.remove(...args),
    list: (...args) => space.list(...args),
    ...(space.signedUrl === undefined ? {} : { signedUrl: space.signedUrl.bind(space) }),
  };
}

const remedies: Readonly<Record<QuotaResource, string>> = {
  storage: 'delete runs that are no longer needed and run operations.gc()',
  runs: 'delete runs that are no longer needed and run operations.gc()',
  compute: 'wait for the next period',
  requests: 'wait for the next period',
};

function exhausted(
  workspace: string,
  { resource, limit, per, overdraft }: StoredQuota,
  used: number,
): KeelsonError {
  const period = per === undefined ? '' : ` a ${per}`;
  return new KeelsonError(
    'EXHAUSTED',
    `Workspace ${workspace} has used up its quota of ${resource}: ${used} of ${limit}${period}. To go on, ${remedies[resource]}, or have the limit raised with operations.quotas.set.`,
    { details: { workspace, resource, used, limit, overdraft } },
  );
}
