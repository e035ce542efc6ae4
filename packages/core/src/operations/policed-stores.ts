import type { ArtifactSpace, ArtifactStore } from '../contracts/artifact-store.ts';
import type { HealthCheck } from '../contracts/caretaker.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { Logger } from '../contracts/ports.ts';
import { isKeelsonError } from '../errors.ts';
import { type BreakerState, createPolicy, type Policy, type PolicyOptions } from '../resilience.ts';
import { schedules } from './health/check-schedules.ts';

/** The policies of a platform: their breakers are told of in the log and seen by a check. */
export class Policies {
  readonly #logger: Logger;
  readonly #policies: Policy[] = [];

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  create(options: Omit<PolicyOptions, 'onChange'>): Policy {
    const onChange = (state: BreakerState, name: string): void => {
      const fields = { component: 'operations', operation: 'breaker', policy: name, state };
      const message = `The breaker of ${name} is ${state}.`;
      if (state === 'open') this.#logger.warn(fields, message);
      else this.#logger.info(fields, message);
    };
    const policy = createPolicy({ ...options, onChange });
    this.#policies.push(policy);
    return policy;
  }

  /** Whether all breakers are closed. */
  check(): HealthCheck {
    return {
      ...schedules.readiness,
      name: 'breakers',
      component: 'outside',
      kind: 'readiness',
      critical: false,
      run: async () => {
        const reports = this.#policies.map((policy) => policy.report());
        const open = reports.filter(({ breaker }) => breaker !== 'closed' && breaker !== undefined);
        const details = Object.fromEntries(
          reports.map(({ name, breaker, running, refused, failures }) => [
            name,
            { breaker: breaker ?? 'none', running, refused, failures },
          ]),
        );
        if (open.length === 0) {
          return { status: 'HEALTHY', message: 'Everything outside is called.', details };
        }
        const names = open.map(({ name }) => name).join(', ');
        const message = `${names} failed too often and is left alone for a while.`;
        return { status: 'DEGRADED', message, details };
      },
    };
  }
}

/** A server that is away: neither a slow statement nor a caller's fault says so. */
const isAway = (error: unknown): boolean => isKeelsonError(error, 'UNAVAILABLE');

const breaker = { failures: 5, restMs: 1_000, mostMs: 5_000 };

/**
 * A store on a server behind a breaker: after five calls in a row that found it away, calls fail at once,
 * and one call a few seconds later finds out. `ping` and waiting for events go past it.
 */
export function policedMetadata(store: MetadataStore, policies: Policies): MetadataStore {
  const policy = policies.create({ name: 'the database', breaker, isTransient: isAway });
  const run = <T>(call: () => Promise<T>): Promise<T> => policy.run(call);
  return {
    now: () => run(() => store.now()),
    find: (...args) => run(() => store.find(...args)),
    findMany: (...args) => run(() => store.findMany(...args)),
    query: (...args) => run(() => store.query(...args)),
    count: (...args) => run(() => store.count(...args)),
    history: (...args) => run(() => store.history(...args)),
    reach: (...args) => run(() => store.reach(...args)),
    commit: (...args) => run(() => store.commit(...args)),
    readEvents: (...args) => run(() => store.readEvents(...args)),
    latestEventCursor: () => run(() => store.latestEventCursor()),
    removeEvents: (...args) => run(() => store.removeEvents(...args)),
    waitForEvents: (...args) => store.waitForEvents(...args),
    claim: (...args) => run(() => store.claim(...args)),
    claimOwners: (...args) => run(() => store.claimOwners(...args)),
    renew: (...args) => run(() => store.renew(...args)),
    release: (...args) => run(() => store.release(...args)),
    ping: (...args) => store.ping(...args),
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  };
}

function signing(
  space: ArtifactSpace,
  run: <T>(call: () => Promise<T>) => Promise<T>,
): Pick<ArtifactSpace, 'signedUrl'> {
  const sign = space.signedUrl?.bind(space);
  return sign === undefined ? {} : { signedUrl: (...args) => run(() => sign(...args)) };
}

/** Contents on a server behind a breaker, as {@link policedMetadata}; lists go past it. */
export function policedArtifacts(store: ArtifactStore, policies: Policies): ArtifactStore {
  const policy = policies.create({ name: 'the object store', breaker, isTransient: isAway });
  const run = <T>(call: () => Promise<T>): Promise<T> => policy.run(call);
  const spaceOf = (space: ArtifactSpace): ArtifactSpace => ({
    put: (...args) => run(() => space.put(...args)),
    open: (...args) => run(() => space.open(...args)),
    find: (...args) => run(() => space.find(...args)),
    verify: (...args) => run(() => space.verify(...args)),
    keep: (...args) => run(() => space.keep(...args)),
    remove: (...args) => run(() => space.remove(...args)),
    list: (...args) => space.list(...args),
    ...signing(space, run),
  });
  return {
    space: (workspace) => spaceOf(store.space(workspace)),
    collectLeftovers: (olderThanMs) => run(() => store.collectLeftovers(olderThanMs)),
    uri: (...args) => store.uri(...args),
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  };
}
