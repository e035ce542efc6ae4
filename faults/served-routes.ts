import { deepEqual, ok } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, type Platform, type VersionedRoute } from '../packages/core/src/index.ts';
import { InProcessRouter } from '../packages/serve/src/index.ts';
import {
  weatherBody,
  weatherModule,
  weatherSignature,
} from '../packages/serve/src/testing/serving-bed.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import type { RouteOrder } from './route-child.ts';
import { type RouteAnswer, RouteLoad, RouteServer } from './route-servers.ts';
import type { FaultScenario } from './scenario.ts';

const keys = Array.from({ length: 97 }, (_, i) => `user-${i}`);

/** Three versions, and a deployment of the first, whose answers follow a key. */
async function deploy({ registry, deployments }: Platform): Promise<ReadonlyMap<string, string>> {
  const versions = new Map<string, string>();
  for (const version of ['1.0.0', '1.1.0', '1.2.0']) {
    const { id } = await registry.register({
      ...{ model: 'weather', version, format: 'JS', signature: weatherSignature },
      from: { files: { 'model.mjs': Buffer.from(`// ${version}\n${weatherModule}`) } },
    });
    versions.set(id, version);
  }
  const [versionId] = [...versions.keys()] as [string];
  await deployments.create({
    ...{ name: 'weather', versionId, environment: 'DEVELOPMENT' },
    sticky: { header: 'x-user', salt: 's' },
  });
  // Each has answered, and stays warm: what takes time from here on is hearing of a route, not loading a version.
  for (const id of [...versions.keys()].slice(1))
    await deployments.setVersion('weather', id, 'a test');
  await deployments.setVersion('weather', versionId, 'a test');
  return versions;
}

/** Routes that there were before the weights are changed: that of the deployment, and one for each version. */
const before = 4;

/** Changes the weights from both processes in turns: 20 %, 60 %, all of the traffic, and the end of each rollout. */
async function changeWeights(
  servers: readonly RouteServer[],
  ids: readonly string[],
  changes: number,
): Promise<readonly { readonly generation: number; readonly at: number }[]> {
  const decided: { readonly generation: number; readonly at: number }[] = [];
  const order = async (what: RouteOrder): Promise<{ rollout: string; ended: boolean }> => {
    const server = servers[decided.length % servers.length] as RouteServer;
    const { ordered, at } = await server.order(what);
    decided.push({ generation: before + decided.length + 1, at });
    return ordered;
  };
  for (let rollout = 1; decided.length < changes; rollout += 1) {
    let under = await order({ deploy: ids[rollout % ids.length] as string, weights: [20, 60] });
    while (!under.ended) under = await order({ promote: under.rollout });
  }
  return decided;
}

/** Who is chosen for each key by each route. */
function choices(history: readonly VersionedRoute[]): ReadonlyMap<string, string> {
  const router = new InProcessRouter();
  const chosen = new Map<string, string>();
  for (const versioned of history) {
    router.applyNow(versioned);
    const { generation, route } = versioned;
    for (const key of keys) {
      const request = { requestId: 'r', header: () => key, attribute: () => undefined };
      const { versionId } = router.pick(route.deploymentId, request, () => true);
      chosen.set(`${generation} ${key}`, versionId);
    }
  }
  return chosen;
}

/** Those that no whole route has chosen that was in force there meanwhile. */
function strays(
  answers: readonly RouteAnswer[],
  history: readonly VersionedRoute[],
  versions: ReadonlyMap<string, string>,
): readonly RouteAnswer[] {
  const chosen = choices(history);
  // What a process says of its route it says a little later.
  const slackMs = 100;
  return answers.filter(({ server, key, status, version, sentAt, answeredAt }) => {
    const from = server.inForce.findLast(({ at }) => at <= sentAt - slackMs)?.inForce ?? 1;
    const to =
      server.inForce.find(({ at }) => at >= answeredAt + slackMs)?.inForce ?? history.length;
    const fitting = Array.from({ length: to - from + 1 }, (_, i) =>
      versions.get(chosen.get(`${from + i} ${key}`) ?? ''),
    );
    return status !== 200 || !fitting.includes(version);
  });
}

/** What {@link changeServedRoutes} has to do, and where. */
export interface ServedRoutesPlan {
  readonly url: string;
  readonly schema: string;
  /** Four for each rollout. */
  readonly changes: number;
  /** How many may take longer than a second, on a machine that has other things to do; none when left out. */
  readonly mayBeLate?: number;
  /** Done at the end, while both still serve the last route under load. */
  readonly last?: (
    servers: readonly RouteServer[],
    route: VersionedRoute['route'],
  ) => Promise<void>;
}

/**
 * Changes the weights of a deployment from two processes that serve it from one PostgreSQL, under load. Each change is in
 * force in both within a second, wholly; who answered is who a whole route chooses that was in force meanwhile. Answers
 * how many answers there were; throws where it does not hold.
 */
export async function changeServedRoutes(plan: ServedRoutesPlan): Promise<number> {
  const { url, schema, changes, mayBeLate = 0 } = plan;
  const parent = mkdtempSync(join(tmpdir(), 'keelson-routes-'));
  const dir = join(parent, '.keelson');
  const backend = pgBackend({ url, schema });
  try {
    await using platform = await openPlatform({ dir, metadata: backend, series: backend });
    const versions = await deploy(platform);
    await using one = await RouteServer.start({ url, schema, dir });
    await using other = await RouteServer.start({ url, schema, dir });
    const servers = [one, other];
    await using load = new RouteLoad(servers, 2, keys, weatherBody([[1, 1]]));
    const decided = await changeWeights(servers, [...versions.keys()], changes);
    const history = await platform.deployments.routeHistory('weather');
    const generations = history.map(({ generation }) => generation);
    deepEqual(
      generations,
      Array.from({ length: before + changes }, (_, i) => i + 1),
    );
    for (const server of servers) await assertFollowed(server, decided, history, mayBeLate);
    await plan.last?.(servers, (history.at(-1) as VersionedRoute).route);
    await load.stop();
    deepEqual(strays(load.answers, history, versions), []);
    return load.answers.length;
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

async function assertFollowed(
  server: RouteServer,
  decided: readonly { readonly generation: number; readonly at: number }[],
  history: readonly VersionedRoute[],
  mayBeLate: number,
): Promise<void> {
  await server.until('the last route', () => server.inForce.at(-1)?.inForce === history.length);
  const late = decided.flatMap(({ generation, at }) => {
    const had = server.inForce.find(({ inForce }) => inForce >= generation);
    const tookMs = (had?.at ?? Number.POSITIVE_INFINITY) - at;
    return tookMs < 1_000 ? [] : [`route ${generation} after ${tookMs} ms`];
  });
  ok(late.length <= mayBeLate, `Came into force late: ${late.join(', ')}.`);
  for (const { inForce, route } of server.inForce) deepEqual(route, history[inForce - 1]?.route);
}

/** Several processes on one database follow its routes. */
export const servedRoutes: FaultScenario = {
  name: 'served-routes',
  sentence:
    '100 changes of weights from two processes that serve one deployment: in force in both within a second, wholly.',
  async run({ store: { url }, extent }) {
    // Processes on one SQLite file are on one machine, and wake each other.
    if (url === undefined) return { faults: {}, invariants: 0 };
    const changes = extent === 'long' ? 100 : 8;
    const schema = `routes_${process.pid}`;
    const answers = await changeServedRoutes({ url, schema, changes });
    return { faults: { change: changes, answer: answers }, invariants: 4 };
  },
};
