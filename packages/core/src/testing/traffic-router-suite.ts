import type {
  Route,
  RouteTarget,
  TrafficRouter,
  VersionedRoute,
} from '../contracts/traffic-router.ts';
import type { Json } from '../json.ts';
import { equal, ok, rejects } from './assertions.ts';
import type { Case, Suite } from './suite.ts';

/** A request that a case sends through a router. */
export interface RoutedTraffic {
  readonly deploymentId: string;
  readonly requestId: string;
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly attributes?: Readonly<Record<string, Json>>;
  /** The version that gets it answers with an error. */
  readonly fails?: boolean;
}

/** What an adapter gives the suite: a router, traffic through it, and versions that answer to their ids. */
export interface TrafficRouterHarness extends AsyncDisposable {
  readonly router: TrafficRouter;
  /** Which version got the request; rejects when none did. */
  send(request: RoutedTraffic): Promise<string>;
  /** Takes all replicas of a version away, or brings them back. Every version is alive at first. */
  setAlive(versionId: string, alive: boolean): Promise<void>;
}

const deploymentId = 'deployment-a';

function route(weights: Readonly<Record<string, number>>, more: Partial<Route> = {}): Route {
  const targets = Object.entries(weights).map(([versionId, weightPercent]) => ({
    versionId,
    weightPercent,
  }));
  return { deploymentId, targets, rules: [], shadows: [], ...more };
}

function at(
  generation: number,
  weights: Readonly<Record<string, number>>,
  more: Partial<Route> = {},
): VersionedRoute {
  return { generation, route: route(weights, more) };
}

async function sendMany(
  harness: TrafficRouterHarness,
  count: number,
  request: (i: number) => Omit<RoutedTraffic, 'deploymentId'>,
): Promise<string[]> {
  const answers: string[] = [];
  for (let i = 0; i < count; i += 1)
    answers.push(await harness.send({ deploymentId, ...request(i) }));
  return answers;
}

/** Holds when each version's share is within five standard deviations of its weight. */
function assertShares(answers: readonly string[], weights: Readonly<Record<string, number>>): void {
  for (const [versionId, percent] of Object.entries(weights)) {
    const p = percent / 100;
    const seen = answers.filter((answer) => answer === versionId).length;
    const allowed = 5 * Math.sqrt(answers.length * p * (1 - p));
    ok(
      Math.abs(seen - answers.length * p) <= allowed,
      `${versionId} should get ${percent} % of ${answers.length} requests; it got ${seen}`,
    );
  }
}

const sticky = { header: 'x-user', salt: 'salt-1' };

const byUser = (i: number): Omit<RoutedTraffic, 'deploymentId'> => ({
  requestId: `request-${Math.random()}`,
  headers: { 'x-user': `user-${i}` },
});

function promised(
  name: string,
  promise: string,
  run: (harness: TrafficRouterHarness) => Promise<void>,
): Case<TrafficRouterHarness> {
  return { name, promise, run };
}

const weightCases: readonly Case<TrafficRouterHarness>[] = [
  promised(
    'weights: shares of requests follow them',
    'Of many requests, each target gets as many as its weight says.',
    async (harness) => {
      const weights = { stable: 70, canary: 25, other: 5 };
      await harness.router.apply(at(1, weights));
      assertShares(await sendMany(harness, 3000, (i) => ({ requestId: `request-${i}` })), weights);
    },
  ),
  promised(
    'weights: a target of weight 0 gets nothing',
    'A target of weight 0 is named, but gets no request.',
    async (harness) => {
      await harness.router.apply(at(1, { stable: 100, idle: 0 }));
      const answers = await sendMany(harness, 300, (i) => ({ requestId: `request-${i}` }));
      ok(!answers.includes('idle'), 'A target of weight 0 should get no request');
    },
  ),
  promised(
    'weights: those that do not sum to 100 are refused',
    'A route whose weights do not sum to 100 is refused with INVALID, and changes nothing.',
    async (harness) => {
      await harness.router.apply(at(1, { stable: 100 }));
      for (const weights of [{ stable: 50, canary: 49 }, { canary: 101 }, {}]) {
        await rejects(
          'INVALID',
          () => harness.router.apply(at(2, weights)),
          `Weights ${JSON.stringify(weights)} should be refused`,
        );
      }
      equal(
        await harness.router.observed(deploymentId),
        at(1, { stable: 100 }),
        'The route before should still be in force',
      );
    },
  ),
];

const stickyCases: readonly Case<TrafficRouterHarness>[] = [
  promised(
    'sticky: one key stays with one target',
    'Requests with one sticky key go to one target, whatever their own ids are.',
    async (harness) => {
      await harness.router.apply(at(1, { stable: 50, canary: 50 }, { sticky }));
      const first = await sendMany(harness, 400, byUser);
      equal(await sendMany(harness, 400, byUser), first, 'Each user should stay with a target');
      assertShares(first, { stable: 50, canary: 50 });
    },
  ),
  promised(
    'sticky: raising one weight moves keys to that target only',
    'When a target gains weight, no key leaves it, and the others lose no more than it gained.',
    async (harness) => {
      await harness.router.apply(at(1, { stable: 90, canary: 10 }, { sticky }));
      const before = await sendMany(harness, 1000, byUser);
      await harness.router.apply(at(2, { stable: 75, canary: 25 }, { sticky }));
      const after = await sendMany(harness, 1000, byUser);
      const left = before.filter((from, i) => from === 'canary' && after[i] === 'stable').length;
      equal(left, 0, 'No user of the canary should leave it when its weight rises');
      assertShares(after, { stable: 75, canary: 25 });
    },
  ),
];

const applyCases: readonly Case<TrafficRouterHarness>[] = [
  promised(
    'apply: an older generation is refused',
    'A generation below the one in force is refused with STALE, and changes nothing.',
    async (harness) => {
      await harness.router.apply(at(5, { new: 100 }));
      await rejects('STALE', () => harness.router.apply(at(4, { old: 100 })), 'Route 4 is older');
      equal(await harness.send({ deploymentId, requestId: 'r' }), 'new', 'Route 5 should hold');
      equal(
        (await harness.router.observed(deploymentId))?.generation,
        5,
        'Generation 5 should be observed',
      );
    },
  ),
  promised(
    'apply: the same generation again changes nothing',
    'Applying a generation that is in force answers it again.',
    async (harness) => {
      equal(await harness.router.apply(at(3, { a: 100 })), 3, 'apply answers the generation');
      equal(await harness.router.apply(at(3, { a: 100 })), 3, 'and answers it again');
      equal(await harness.send({ deploymentId, requestId: 'r' }), 'a', 'The route should hold');
    },
  ),
  promised(
    'apply: an applied route holds at once',
    'Every request that arrives after apply resolved follows the new route.',
    async (harness) => {
      for (let generation = 1; generation <= 40; generation += 1) {
        const versionId = `version-${generation % 2}`;
        await harness.router.apply(at(generation, { [versionId]: 100 }));
        equal(
          await harness.send({ deploymentId, requestId: `request-${generation}` }),
          versionId,
          `Generation ${generation} should hold when apply has resolved`,
        );
      }
    },
  ),
  promised(
    'apply: no request sees half a route',
    'While a route is replaced, each request is answered by the old one or by the new one, whole.',
    async (harness) => {
      // Each route sends all it gets to one version; half of each would send some to the other or to none.
      const whole = (versionId: string): Partial<Route> => ({
        rules: [{ match: { header: 'x-kind', equals: 'ruled' }, versionId }],
      });
      await harness.router.apply(at(1, { 'version-1': 100 }, whole('version-1')));
      for (let generation = 2; generation <= 30; generation += 1) {
        const versionId = `version-${generation}`;
        let applied = false;
        const applying = harness.router
          .apply(at(generation, { [versionId]: 100 }, whole(versionId)))
          .finally(() => {
            applied = true;
          });
        const answers: string[] = [];
        do {
          answers.push(await harness.send({ deploymentId, requestId: `a${answers.length}` }));
          const headers = { 'x-kind': 'ruled' };
          answers.push(await harness.send({ deploymentId, requestId: 'b', headers }));
        } while (!applied);
        await applying;
        const legal = [`version-${generation - 1}`, versionId];
        ok(
          answers.every((answer) => legal.includes(answer)),
          `Answers during the change should be of ${legal}, not ${answers}`,
        );
      }
    },
  ),
  promised(
    'apply: a route is kept by value',
    'What a caller does to its object after apply changes nothing.',
    async (harness) => {
      const given = at(1, { a: 100 });
      await harness.router.apply(given);
      (given.route.targets as RouteTarget[])[0] = { versionId: 'changed', weightPercent: 100 };
      equal(await harness.send({ deploymentId, requestId: 'r' }), 'a', 'The route should hold');
      equal(
        (await harness.router.observed(deploymentId))?.route.targets[0]?.versionId,
        'a',
        'The route should be observed as it was given',
      );
    },
  ),
];

const ruleCases: readonly Case<TrafficRouterHarness>[] = [
  promised(
    'rules: the first that matches decides before any weight',
    'Rules are tried in order; header names match in any case; attributes match by value.',
    async (harness) => {
      await harness.router.apply(
        at(
          1,
          { stable: 100 },
          {
            rules: [
              { match: { header: 'X-Tester', equals: 'yes' }, versionId: 'tested' },
              { match: { attribute: 'region', equals: 'eu' }, versionId: 'european' },
              { match: { header: 'x-tester', equals: 'yes' }, versionId: 'never' },
            ],
          },
        ),
      );
      const send = (more: Partial<RoutedTraffic>): Promise<string> =>
        harness.send({ deploymentId, requestId: 'r', ...more });
      equal(await send({ headers: { 'x-tester': 'yes' } }), 'tested', 'The header should decide');
      equal(
        await send({ attributes: { region: 'eu' } }),
        'european',
        'The attribute should decide',
      );
      equal(
        await send({ headers: { 'x-tester': 'yes' }, attributes: { region: 'eu' } }),
        'tested',
        'The first rule should decide',
      );
      equal(await send({ headers: { 'x-tester': 'no' } }), 'stable', 'No rule matches');
    },
  ),
  promised(
    'fallback: takes over for a target without live replicas',
    'While the chosen target has no live replica, the fallback answers; afterwards the target does.',
    async (harness) => {
      await harness.router.apply(at(1, { main: 100 }, { fallbackVersionId: 'spare' }));
      equal(await harness.send({ deploymentId, requestId: 'r1' }), 'main', 'main is alive');
      await harness.setAlive('main', false);
      equal(await harness.send({ deploymentId, requestId: 'r2' }), 'spare', 'main is down');
      await harness.setAlive('main', true);
      equal(await harness.send({ deploymentId, requestId: 'r3' }), 'main', 'main is back');
    },
  ),
];

const observationCases: readonly Case<TrafficRouterHarness>[] = [
  promised(
    'observed: what is in force, deployment by deployment',
    'observed answers the route in force, and undefined where there is none or it was removed.',
    async (harness) => {
      const other: VersionedRoute = {
        generation: 1,
        route: { ...route({ z: 100 }), deploymentId: 'deployment-b' },
      };
      equal(await harness.router.observed(deploymentId), undefined, 'Nothing is in force yet');
      await harness.router.apply(at(7, { a: 60, b: 40 }));
      await harness.router.apply(other);
      equal(await harness.router.observed(deploymentId), at(7, { a: 60, b: 40 }), 'Route 7');
      await harness.router.remove(deploymentId);
      equal(await harness.router.observed(deploymentId), undefined, 'It was removed');
      equal(await harness.router.observed('deployment-b'), other, 'The other one should stay');
      equal(
        await harness.send({ deploymentId: 'deployment-b', requestId: 'r' }),
        'z',
        'The other one should still answer',
      );
    },
  ),
  promised(
    'outcomes: requests, errors and latencies by target',
    'outcomes counts what each target answered and failed, with latencies in order.',
    async (harness) => {
      await harness.router.apply(at(1, { a: 100 }));
      await sendMany(harness, 30, (i) => ({ requestId: `r${i}`, fails: i % 3 === 0 }));
      await harness.router.apply(at(2, { b: 100 }));
      await sendMany(harness, 5, (i) => ({ requestId: `s${i}` }));
      const outcomes = await harness.router.outcomes(deploymentId, 60_000);
      const counts = outcomes
        .map(({ versionId, requests, errors }) => ({ versionId, requests, errors }))
        .filter(({ requests }) => requests > 0)
        .sort((x, y) => (x.versionId < y.versionId ? -1 : 1));
      equal(
        counts,
        [
          { versionId: 'a', requests: 30, errors: 10 },
          { versionId: 'b', requests: 5, errors: 0 },
        ],
        'Requests and errors should be counted for the target that had them',
      );
      for (const { versionId, latencyMs, requests } of outcomes) {
        if (requests === 0) continue;
        const { p50, p95, p99, max } = latencyMs;
        ok(
          p50 > 0 && p50 <= p95 && p95 <= p99 && p99 <= max,
          `Latencies of ${versionId} should be positive and in order: ${[p50, p95, p99, max]}`,
        );
      }
    },
  ),
];

/** The promises of `TrafficRouter`. */
export const trafficRouterSuite: Suite<TrafficRouterHarness> = {
  contract: 'TrafficRouter',
  cases: [...weightCases, ...stickyCases, ...applyCases, ...ruleCases, ...observationCases],
};
