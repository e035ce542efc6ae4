/** A process that serves one deployment from PostgreSQL, changes its weights when told, and tells which route it has. */
import { type Logger, openPlatform, type Route } from '../packages/core/src/index.ts';
import { serve } from '../packages/serve/src/index.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';

/** What this program is given. */
export interface ServeRouteArgument {
  readonly url: string;
  readonly schema: string;
  readonly dir: string;
}

/** What it is told: to begin a rollout to a version, or to take the one under way a step further. */
export type RouteOrder =
  | { readonly deploy: string; readonly weights: readonly number[] }
  | { readonly promote: string };

/** What it says. */
export type RouteWord =
  | { readonly port: number }
  | { readonly inForce: number; readonly route: Route; readonly at: number }
  | { readonly refused: string }
  | {
      readonly ordered: { readonly rollout: string; readonly ended: boolean };
      readonly at: number;
    };

const { url, schema, dir } = JSON.parse(process.argv[2] ?? '') as ServeRouteArgument;
const say = (word: RouteWord): void => {
  // Nobody listens any more to one that is closing.
  if (process.connected) process.send?.(word);
};
const silent = (): void => undefined;
const warn: Logger['warn'] = (facts) => say({ refused: JSON.stringify(facts) });
const logger: Logger = { debug: silent, info: silent, warn, error: warn };
const backend = pgBackend({ url, schema, maxConnections: 5 });
const platform = await openPlatform({ dir, metadata: backend, series: backend, logger });
const { deployments } = platform;
const server = await serve(platform, { deployments: ['weather'], isolation: 'none', logger });
say({ port: server.port });

let told: number | undefined;
const { id } = await deployments.get('weather');
const look = setInterval(async () => {
  const observed = await server.router.observed(id);
  if (observed === undefined || observed.generation === told) return;
  told = observed.generation;
  say({ inForce: observed.generation, route: observed.route, at: Date.now() });
}, 5);

async function follow(order: RouteOrder): Promise<void> {
  const reason = 'a test';
  const off = { errors: false, comparison: false, latency: false, accuracy: false } as const;
  const rollout =
    'promote' in order
      ? await deployments.promoteRollout(order.promote, reason)
      : await deployments.deploy('weather', {
          ...{ versionId: order.deploy, strategy: 'canary', reason },
          policy: {
            ...{ ...off, drift: false, ready: false },
            steps: order.weights.map((weightPercent) => ({
              weightPercent,
              durationMs: 86_400_000,
            })),
          },
        });
  const ended = rollout.status !== 'IN_PROGRESS';
  say({ ordered: { rollout: rollout.id, ended }, at: Date.now() });
}

process.on('message', (order: RouteOrder) => void follow(order));
process.once('disconnect', async () => {
  clearInterval(look);
  await server.close({ timeoutMs: 1_000 });
  await platform.close();
});
