import type { Commit, CommitResult, MetadataStore } from '../../contracts/metadata-store.ts';
import { isKeelsonError } from '../../errors.ts';
import { healthWorkspace } from '../health/store-checks.ts';
import type { Metrics } from './metrics.ts';

/** A store that counts its commits and the events in them; everything else is the store's own. */
export function meteredStore(store: MetadataStore, metrics: Metrics): MetadataStore {
  const commit = async (request: Commit): Promise<CommitResult> => {
    const startedAt = performance.now();
    try {
      const result = await store.commit(request);
      metrics.add('keelson_commits_total', ['ok']);
      countEvents(request, metrics);
      return result;
    } catch (error) {
      metrics.add('keelson_commits_total', [outcomeOf(error)]);
      throw error;
    } finally {
      const seconds = (performance.now() - startedAt) / 1000;
      metrics.observe('keelson_commit_duration_seconds', [], seconds);
    }
  };
  return {
    now: () => store.now(),
    find: (...args) => store.find(...args),
    findMany: (...args) => store.findMany(...args),
    query: (...args) => store.query(...args),
    count: (...args) => store.count(...args),
    history: (...args) => store.history(...args),
    reach: (...args) => store.reach(...args),
    commit,
    readEvents: (...args) => store.readEvents(...args),
    latestEventCursor: () => store.latestEventCursor(),
    removeEvents: (...args) => store.removeEvents(...args),
    waitForEvents: (...args) => store.waitForEvents(...args),
    claim: (...args) => store.claim(...args),
    claimOwners: (...args) => store.claimOwners(...args),
    renew: (...args) => store.renew(...args),
    release: (...args) => store.release(...args),
    ping: (...args) => store.ping(...args),
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  };
}

function outcomeOf(error: unknown): string {
  return isKeelsonError(error) ? error.code.toLowerCase() : 'internal';
}

function countEvents({ workspace, changes }: Commit, metrics: Metrics): void {
  // Probes of the platform's own are nobody's runs.
  if (workspace === healthWorkspace) return;
  for (const change of changes) {
    if (change.op !== 'emit') continue;
    const { type, payload } = change.event;
    metrics.add('keelson_events_emitted_total', [type]);
    if (type !== 'step.completed') continue;
    const { durationMs, pipeline } = payload;
    if (typeof durationMs === 'number' && typeof pipeline === 'string') {
      metrics.observe('keelson_step_duration_seconds', [pipeline], durationMs / 1000);
    }
  }
}
