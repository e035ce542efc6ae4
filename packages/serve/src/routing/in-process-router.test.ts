import { KeelsonError, type Route, type TrafficRouter, type VersionedRoute } from '@keelson/core';
import {
  type RoutedTraffic,
  runCase,
  runSuite,
  type TrafficRouterHarness,
  trafficRouterSuite,
} from '@keelson/core/testing';
import { describe, expect, test } from 'vitest';
import { InProcessRouter } from './in-process-router.ts';

/** Traffic through a router that runs in this process; versions are names that are alive or not. */
class LocalTraffic implements TrafficRouterHarness {
  readonly inner = new InProcessRouter();
  readonly router: TrafficRouter;
  readonly #dead = new Set<string>();

  constructor(change: (inner: InProcessRouter) => Partial<TrafficRouter> = () => ({})) {
    const { inner } = this;
    this.router = {
      apply: (route) => inner.apply(route),
      observed: (id) => inner.observed(id),
      outcomes: (id, windowMs) => inner.outcomes(id, windowMs),
      remove: (id) => inner.remove(id),
      ...change(inner),
    };
  }

  async send(request: RoutedTraffic): Promise<string> {
    const { deploymentId, requestId, headers, attributes } = request;
    const startedAt = performance.now();
    const { versionId } = this.inner.pick(
      deploymentId,
      { requestId, header: (name) => headers?.[name], attribute: (name) => attributes?.[name] },
      (id) => !this.#dead.has(id),
    );
    const latencyMs = performance.now() - startedAt + 1e-3;
    this.inner.record(deploymentId, versionId, latencyMs, request.fails === true);
    return versionId;
  }

  async setAlive(versionId: string, alive: boolean): Promise<void> {
    if (alive) this.#dead.delete(versionId);
    else this.#dead.add(versionId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.inner.remove('deployment-a');
  }
}

/** Applies each route after a change to it; what is observed is what was given. */
function applying(change: (versioned: VersionedRoute) => Partial<Route>): TrafficRouterHarness {
  const given = new Map<string, VersionedRoute>();
  return new LocalTraffic((inner) => ({
    async apply(versioned) {
      const applied = { ...versioned, route: { ...versioned.route, ...change(versioned) } };
      const generation = await inner.apply(applied);
      given.set(versioned.route.deploymentId, structuredClone(versioned));
      return generation;
    },
    observed: async (id) => ((await inner.observed(id)) === undefined ? undefined : given.get(id)),
  }));
}

/** Answers some requests in its own way, the others as it should. */
class Astray extends LocalTraffic {
  readonly #astray: (request: RoutedTraffic, route: Route | undefined) => string | undefined;

  constructor(astray: (request: RoutedTraffic, route: Route | undefined) => string | undefined) {
    super();
    this.#astray = astray;
  }

  override async send(request: RoutedTraffic): Promise<string> {
    const route = this.inner.current(request.deploymentId)?.route;
    return this.#astray(request, route) ?? super.send(request);
  }
}

function normalized(targets: Route['targets']): Route['targets'] {
  const sum = targets.reduce((total, { weightPercent }) => total + weightPercent, 0);
  if (targets.length === 0) return [{ versionId: 'stable', weightPercent: 100 }];
  return targets.map((target) => ({
    ...target,
    weightPercent: (target.weightPercent / sum) * 100,
  }));
}

/** Routers that break one promise each, and the cases that must fail for it, and no others. */
const brokenRouters: Record<
  string,
  { fails: readonly string[]; make: () => TrafficRouterHarness }
> = {
  'shares evenly, whatever the weights': {
    fails: ['weights: shares of requests follow them'],
    make: () =>
      applying(({ route }) =>
        route.sticky !== undefined || route.targets.length < 3
          ? {}
          : {
              targets: normalized(
                route.targets.map((t) => ({ ...t, weightPercent: t.weightPercent > 0 ? 1 : 0 })),
              ),
            },
      ),
  },
  'sends a little to targets of weight 0': {
    fails: ['weights: a target of weight 0 gets nothing'],
    make: () =>
      new Astray(({ requestId }, route) =>
        requestId.endsWith('77')
          ? route?.targets.find((t) => t.weightPercent === 0)?.versionId
          : undefined,
      ),
  },
  'mends weights instead of refusing them': {
    fails: ['weights: those that do not sum to 100 are refused'],
    make: () => applying(({ route }) => ({ targets: normalized(route.targets) })),
  },
  'does not know sticky keys': {
    fails: [
      'sticky: one key stays with one target',
      'sticky: raising one weight moves keys to that target only',
    ],
    make: () => applying(() => ({ sticky: { header: 'not-there', salt: '' } })),
  },
  'deals keys anew with every route': {
    fails: ['sticky: raising one weight moves keys to that target only'],
    make: () =>
      applying(({ generation, route }) =>
        route.sticky === undefined
          ? {}
          : { sticky: { ...route.sticky, salt: `salt of ${generation}` } },
      ),
  },
  'goes back to older generations': {
    fails: ['apply: an older generation is refused'],
    make: () =>
      new LocalTraffic((inner) => ({
        async apply(versioned) {
          const { deploymentId } = versioned.route;
          const current = await inner.observed(deploymentId);
          if (current !== undefined && versioned.generation < current.generation)
            await inner.remove(deploymentId);
          return inner.apply(versioned);
        },
      })),
  },
  'refuses to apply a generation twice': {
    fails: ['apply: the same generation again changes nothing'],
    make: () =>
      new LocalTraffic((inner) => ({
        async apply(versioned) {
          const current = await inner.observed(versioned.route.deploymentId);
          if (current?.generation === versioned.generation)
            throw new KeelsonError('CONFLICT', 'Twice.');
          return inner.apply(versioned);
        },
      })),
  },
  'says that a route holds before it does': {
    fails: ['apply: an applied route holds at once'],
    make: () =>
      new LocalTraffic((inner) => ({
        async apply(versioned) {
          if (versioned.generation < 40) return inner.apply(versioned);
          setImmediate(() => void inner.apply(versioned));
          return versioned.generation;
        },
      })),
  },
  'takes the old route away before it has the new one': {
    fails: ['apply: no request sees half a route'],
    make: () => {
      let between = false;
      const traffic = new Astray(() => {
        if (between) throw new KeelsonError('UNAVAILABLE', 'There is no route.');
        return undefined;
      });
      const { apply } = traffic.router;
      traffic.router.apply = async (versioned) => {
        between = true;
        await Promise.resolve();
        between = false;
        return apply(versioned);
      };
      return traffic;
    },
  },
  'keeps the object of the caller': {
    fails: ['apply: a route is kept by value'],
    make: () => {
      let given: VersionedRoute | undefined;
      let text = '';
      const traffic = new Astray(() =>
        given !== undefined && JSON.stringify(given) !== text
          ? given.route.targets[0]?.versionId
          : undefined,
      );
      const { apply } = traffic.router;
      traffic.router.apply = async (versioned) => {
        const generation = await apply(versioned);
        given = versioned;
        text = JSON.stringify(versioned);
        return generation;
      };
      return traffic;
    },
  },
  'lets the last rule decide': {
    fails: ['rules: the first that matches decides before any weight'],
    make: () => applying(({ route }) => ({ rules: route.rules.toReversed() })),
  },
  'does not know the fallback': {
    fails: ['fallback: takes over for a target without live replicas'],
    make: () =>
      new (class extends LocalTraffic {
        override async setAlive(): Promise<void> {
          // Never notices.
        }
      })(),
  },
  'remembers removed routes': {
    fails: ['observed: what is in force, deployment by deployment'],
    make: () => {
      const seen = new Map<string, VersionedRoute>();
      return new LocalTraffic((inner) => ({
        async observed(id) {
          const now = await inner.observed(id);
          if (now !== undefined) seen.set(id, now);
          return now ?? seen.get(id);
        },
      }));
    },
  },
  'counts errors as answers': {
    fails: ['outcomes: requests, errors and latencies by target'],
    make: () =>
      new LocalTraffic((inner) => ({
        outcomes: async (id, windowMs) =>
          (await inner.outcomes(id, windowMs)).map((outcome) => ({ ...outcome, errors: 0 })),
      })),
  },
};

describe('InProcessRouter keeps the promises of TrafficRouter', () => {
  for (const suiteCase of trafficRouterSuite.cases) {
    test(suiteCase.name, () => runCase(suiteCase, () => new LocalTraffic()));
  }
});

describe('the suite notices a router that', () => {
  for (const [lack, { fails, make }] of Object.entries(brokenRouters)) {
    test(lack, async () => {
      const results = await runSuite(trafficRouterSuite, make);
      expect(results.filter(({ passed }) => !passed).map(({ name }) => name)).toEqual(fails);
    });
  }

  test('and each case is failed by one of them', () => {
    const failed = new Set(Object.values(brokenRouters).flatMap(({ fails }) => fails));
    expect(
      trafficRouterSuite.cases.map(({ name }) => name).filter((name) => !failed.has(name)),
    ).toEqual([]);
  });
});

describe('InProcessRouter', () => {
  const request = (requestId: string) => ({
    requestId,
    header: () => undefined,
    attribute: () => undefined,
  });
  const route: Route = {
    deploymentId: 'd',
    targets: [{ versionId: 'a', weightPercent: 100 }],
    rules: [],
    shadows: [{ versionId: 's', samplePercent: 20 }],
  };

  test('samples shadows by the share given, the same way for the same request', () => {
    const router = new InProcessRouter();
    router.applyNow({ generation: 1, route });
    const shadowed = Array.from(
      { length: 3000 },
      (_, i) => router.pick('d', request(`r${i}`), () => true).shadows.length,
    );
    const share = shadowed.reduce((sum, n) => sum + n, 0) / shadowed.length;
    expect(Math.abs(share - 0.2)).toBeLessThan(5 * Math.sqrt((0.2 * 0.8) / 3000));
    const again = shadowed.map(
      (_, i) => router.pick('d', request(`r${i}`), () => true).shadows.length,
    );
    expect(again).toEqual(shadowed);
  });

  test('forgets outcomes that are older than the window', async () => {
    let now = 0;
    const router = new InProcessRouter({ now: () => now });
    router.applyNow({ generation: 1, route });
    router.record('d', 'a', 5, false);
    now = 30_000;
    router.record('d', 'a', 100, true);
    expect(await router.outcomes('d', 10_000)).toMatchObject([{ requests: 1, errors: 1 }]);
    expect(await router.outcomes('d', 60_000)).toMatchObject([{ requests: 2, errors: 1 }]);
    now = 700_000;
    expect(await router.outcomes('d', 600_000)).toMatchObject([{ requests: 0, errors: 0 }]);
    router.record('d', 'left', 5, false);
    now = 1_200_000;
    router.applyNow({ generation: 2, route });
    expect(await router.outcomes('d', 600_000)).toMatchObject([
      {},
      { versionId: 'left', requests: 1 },
    ]);
    now = 1_400_000;
    router.applyNow({ generation: 3, route });
    now = 800_000;
    expect(await router.outcomes('d', 600_000)).toMatchObject([{ versionId: 'a' }]);
  });

  test('says which version is missing when neither target nor fallback lives', () => {
    const router = new InProcessRouter();
    router.applyNow({ generation: 1, route });
    expect(() => router.pick('d', request('r'), () => false)).toThrow(
      /Version a .* no live replica/,
    );
    expect(() => router.pick('unknown', request('r'), () => true)).toThrow(/no route/);
  });
});
