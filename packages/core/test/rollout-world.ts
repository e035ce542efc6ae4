import type { PredictionRow } from '../src/contracts/prediction-sink.ts';
import { mainTarget } from '../src/deployments/deployment.ts';
import type { Deployments } from '../src/deployments/deployments.ts';
import type { Rollout } from '../src/deployments/rollout.ts';
import type { JsonObject } from '../src/json.ts';
import type { ModelVersion } from '../src/registry/model-version.ts';
import { seededRandom } from '../src/statistics/index.ts';
import { openRegistryWorld, type RegistryWorld } from './registry-world.ts';

/** How a version answers. */
export interface Behaviour {
  /** The share of requests that fail. */
  readonly errors?: number;
  readonly latencyMs?: number;
  /** The share of answers that are right. */
  readonly accuracy?: number;
  readonly prediction?: string;
  /** What it is asked with, by the number of the request; nothing when left out. */
  readonly features?: (request: number) => JsonObject;
}

/** A deployment `api` under traffic whose time a test owns: versions answer as they are told to. */
export interface RolloutWorld extends RegistryWorld {
  readonly deployments: Deployments;
  readonly one: ModelVersion;
  readonly two: ModelVersion;
  /** The time, epoch ms. */
  now(): number;
  /** Time goes on, and nobody asks. */
  wait(ms: number): void;
  /** How a version answers from now on; well, when nothing was said. */
  behaves(versionId: string, how: Behaviour): void;
  /** Requests over so long, evenly, shared by the route in force; with their labels, where asked. */
  traffic(requests: number, ms: number, options?: { readonly labels?: boolean }): Promise<void>;
  /** The loops of deployments, once each. */
  round(): Promise<void>;
  /** Serving says that these versions are loaded. */
  loaded(...versionIds: readonly string[]): Promise<void>;
  rollout(): Promise<Rollout>;
  /** Types of the events of the deployment, oldest first. */
  told(): Promise<readonly string[]>;
}

export async function openRolloutWorld(
  create: Partial<Parameters<Deployments['create']>[0]> = {},
): Promise<RolloutWorld> {
  let now = Date.now();
  const world = await openRegistryWorld({ clock: { now: () => now } });
  const { deployments, monitoring, events } = world.platform;
  const random = seededRandom(7);
  const one = await world.register('one');
  const two = await world.register('two');
  const { id: deploymentId } = await deployments.create({
    ...{ name: 'api', versionId: one.id, environment: 'PRODUCTION', ...create },
  });
  const how = new Map<string, Behaviour>();
  let asked = 0;

  function rowOf(versionId: string, facts: Pick<PredictionRow, 'requestId' | 'role' | 'at'>) {
    const {
      errors = 0,
      latencyMs = 10,
      accuracy = 1,
      prediction,
      features,
    } = how.get(versionId) ?? {};
    const right = random.uniform() < accuracy;
    return {
      ...{ deploymentId, versionId, ...facts, features: features?.(asked) ?? {} },
      prediction: prediction ?? (right ? 'right' : 'wrong'),
      latencyMs: latencyMs * (0.5 + random.uniform()),
      ...(random.uniform() < errors ? { error: 'it failed' } : {}),
    };
  }

  const rollouts = async (): Promise<Rollout> => {
    const rollout = (await deployments.listRollouts('api')).at(-1);
    if (rollout === undefined) throw new Error('There is no rollout.');
    return rollout;
  };

  return {
    ...{ ...world, deployments, one, two, now: () => now },
    wait(ms) {
      now += ms;
    },
    behaves: (versionId, behaviour) => void how.set(versionId, behaviour),

    async traffic(requests, ms, { labels = false } = {}) {
      const { route } = await deployments.route('api');
      const known: { requestId: string; value: string; observedAt: number }[] = [];
      for (let i = 0; i < requests; i += 1) {
        const at = now + Math.floor((ms * i) / requests);
        asked += 1;
        const requestId = `r${asked}`;
        let left = random.uniform() * 100;
        const chosen = route.targets.find((target) => {
          left -= target.weightPercent;
          return left < 0;
        });
        const versionId = chosen?.versionId ?? mainTarget(route);
        monitoring.predictions.record(rowOf(versionId, { requestId, role: 'primary', at }));
        for (const shadow of route.shadows) {
          if (shadow.versionId === versionId) continue;
          monitoring.predictions.record(rowOf(shadow.versionId, { requestId, role: 'shadow', at }));
        }
        if (labels) known.push({ requestId, value: 'right', observedAt: at + 1 });
      }
      now += ms;
      await monitoring.predictions.flush();
      if (labels) await monitoring.logLabels(deploymentId, known);
    },

    async round() {
      for (const loop of deployments.loops) await loop.runOnce(new AbortController().signal);
    },

    async loaded(...versionIds) {
      const versions = versionIds.map((versionId) => ({
        ...{ versionId, liveReplicas: 2, replicas: 2 },
      }));
      await deployments.reportHealth('api', { status: 'HEALTHY', reporter: 'serve', versions });
    },

    rollout: rollouts,

    async told() {
      const all = await Array.fromAsync(events.each({ subjects: ['deployment:api'] }));
      return all.map(({ type }) => type);
    },
  };
}
