import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DownloadCache } from '../src/contracts/download-cache.ts';
import type { EvidenceSource } from '../src/contracts/evidence-source.ts';
import type { MetadataStore } from '../src/contracts/metadata-store.ts';
import type { Scope } from '../src/contracts/scope.ts';
import type { SeriesStore } from '../src/contracts/series-store.ts';
import type { Route } from '../src/contracts/traffic-router.ts';
import { createDeployments, type Deployments } from '../src/deployments/deployments.ts';
import type { RolloutPolicy } from '../src/deployments/strategy-policy.ts';
import { FileArtifactStore } from '../src/embedded/file-artifact-store.ts';
import type { Json } from '../src/json.ts';
import { platformKinds } from '../src/platform-kinds.ts';
import { createRegistry, type Registry } from '../src/registry/registry.ts';
import { defaultStagePolicy, type StagePolicy } from '../src/registry/stage-policy.ts';
import type { ProgramOptions } from '../src/testing/faults/child-of-scenario.ts';
import { CrashPoints, withCrashPoints } from '../src/testing/faults/crash-points.ts';
import type { CrashScenario } from '../src/testing/faults/every-crash.ts';
import type { Invariant } from '../src/testing/faults/invariants.ts';
import type { MetadataStoreHarness } from '../src/testing/metadata/scene.ts';
import type { Tracking } from '../src/tracking/tracking.ts';
import { uuidV7 } from '../src/uuid.ts';

type ClockedHarness = MetadataStoreHarness & Required<Pick<MetadataStoreHarness, 'clock'>>;

/** Where a rollout is made, whether its candidate is bad from the second step on, and a promotion starts it. */
export interface RolloutInput {
  readonly dir: string;
  readonly bad: boolean;
  readonly promoted: boolean;
}

interface RolloutCrashWorld<H> extends AsyncDisposable {
  readonly harness: H;
  readonly store: MetadataStore;
  readonly input: RolloutInput;
}

const workspace = 'default';
const minuteMs = 60_000;
const begun = 1_700_000_000_000;
const looks = 10;
const silent = (): void => undefined;

const policy: RolloutPolicy = {
  steps: [
    { weightPercent: 20, durationMs: 3 * minuteMs },
    { weightPercent: 50, durationMs: 3 * minuteMs },
  ],
  ...{ latency: false, accuracy: false, drift: false, ready: false },
  rollbackWatchMs: 5 * minuteMs,
};

/** What would be known at a time, whoever asks and however often: of the rollout, and of the watch after it. */
function evidenceOf({ bad }: RolloutInput): EvidenceSource {
  return {
    async ask({ figure, from = begun, to = begun }) {
      const minutes = Math.floor((to - begun) / minuteMs);
      const windows = Array.from({ length: minutes }, (_, i) => ({
        ...{ canaryRequests: 100, canaryBad: bad && from === begun && i >= 3 ? 40 : 0 },
        ...{ baselineRequests: 300, baselineBad: 0 },
      }));
      return { figure, samples: 100 * minutes, inputs: { windows }, at: to };
    },
  };
}

/** Rolls a version out and lets its watch end, wherever it was broken off before. */
export async function rollOut(
  store: MetadataStore,
  input: RolloutInput,
  points: CrashPoints,
  wrap: (store: MetadataStore) => MetadataStore = (same) => same,
): Promise<void> {
  await using artifacts = await FileArtifactStore.open({ dir: join(input.dir, 'artifacts') });
  let now = begun;
  const scope: Scope = {
    ...{ workspace, principal: { id: 'user:ben', roles: [] } },
    metadata: wrap(withCrashPoints(store, points)),
    artifacts: artifacts.space(workspace),
    // Nothing is predicted in this story.
    series: {} as SeriesStore,
    artifactUri: (sha256) => sha256,
    clock: { now: () => now },
    ids: { next: () => uuidV7() },
    logger: { debug: silent, info: silent, warn: silent, error: silent },
    authorizer: { authorize: async () => ({ allowed: true, reason: 'a test' }) },
  };
  const code = { checks: new Map(), effects: new Map() };
  const parts = { code, uses: async () => [], downloads: {} as DownloadCache };
  const { registry } = createRegistry(scope, {} as Tracking, parts);
  const deployments = createDeployments(scope, registry, () => evidenceOf(input));
  const ids: string[] = [];
  for (const version of ['1.0.0', '2.0.0']) {
    const files = { a: Buffer.from(`a of ${version}`) };
    const registered = { model: 'm', version, from: { files }, format: 'CUSTOM' } as const;
    const signature = { inputs: [], outputs: [] };
    ids.push((await registry.register({ ...registered, signature })).id);
  }
  const [one = '', two = ''] = ids;
  const made = { name: 'api', versionId: one, environment: 'PRODUCTION', warmMs: 0 } as const;
  await deployments.create({ ...made, ifExists: 'reuse' });
  const id = input.promoted
    ? await promote(registry, deployments)
    : (
        await deployments.deploy('api', {
          ...{ versionId: two, policy, reason: 'r', requestKey: 'the rollout', at: begun },
        })
      ).id;
  for (let look = 1; look <= looks; look += 1) {
    now = begun + look * minuteMs;
    await deployments.evaluateRollout(id, { at: now });
    // Whatever else is due by then.
    for (const loop of deployments.loops) await loop.runOnce(new AbortController().signal);
  }
}

/** Versions may go on to Production, and nobody is asked. */
const openPolicy: StagePolicy = {
  ...defaultStagePolicy,
  transitions: (['STAGING', 'PRODUCTION'] as const).map((to) => ({
    ...{ from: to === 'STAGING' ? 'DEVELOPMENT' : 'STAGING', to },
    ...{ checks: [], approvals: 0, approverRoles: [] },
  })),
};

/** The second version is promoted, and the deployment follows; answers the rollout's id. */
async function promote(registry: Registry, deployments: Deployments): Promise<string> {
  await registry.setPolicy('m', openPolicy);
  for (const version of ['1.0.0', '2.0.0']) {
    if (version === '2.0.0') await deployments.configure('api', { onPromotion: { policy } }, 'r');
    for (const to of ['STAGING', 'PRODUCTION'] as const) {
      const requestKey = `${version} to ${to}`;
      await registry.requestTransition({ model: 'm', version, to, reason: 'r', requestKey });
    }
  }
  const [follow] = deployments.loops;
  await follow?.runOnce(new AbortController().signal);
  const [rollout] = await deployments.listRollouts('api');
  if (rollout === undefined) throw new Error('The promotion was not followed.');
  return rollout.id;
}

/** How `exit` is done on a store. */
export interface RolloutProcess<H> extends ProgramOptions {
  argument(harness: H, input: RolloutInput): Json;
}

/** A rollout, crashed everywhere. */
export function rolloutCrashes<H extends ClockedHarness>(
  open: () => H,
  options: {
    readonly bad: boolean;
    readonly promoted?: boolean;
    readonly process?: RolloutProcess<H>;
    wrap?(store: MetadataStore): MetadataStore;
  },
): CrashScenario<RolloutCrashWorld<H>> {
  const { bad, promoted = false, process: program, wrap = (store) => store } = options;
  const recover = async ({ harness, input }: RolloutCrashWorld<H>): Promise<void> => {
    await using store = await harness.openSecond();
    await rollOut(store, input, new CrashPoints(), wrap);
  };
  return {
    name: `a rollout that ${bad ? 'is turned back' : 'goes to its end'}${promoted ? ', with its promotion' : ''}`,
    async open() {
      const harness = open();
      const store = await harness.open(platformKinds);
      const dir = mkdtempSync(join(tmpdir(), 'keelson-rollout-'));
      return {
        ...{ harness, store, input: { dir, bad, promoted } },
        async [Symbol.asyncDispose]() {
          await harness[Symbol.asyncDispose]();
          rmSync(dir, { recursive: true, force: true });
        },
      };
    },
    async attempt({ harness, input }, points) {
      await using store = await harness.openSecond();
      await rollOut(store, input, points, wrap);
    },
    ...(program === undefined
      ? {}
      : {
          process: {
            ...program,
            argument: ({ harness, input }: RolloutCrashWorld<H>) =>
              program.argument(harness, input),
          },
        }),
    meanwhile: recover,
    recover,
    invariants: rolloutInvariants,
  };
}

type Check = Invariant<Pick<RolloutCrashWorld<unknown>, 'store' | 'input'>>;

/** As if nothing had happened: the same decisions at the same times, each told once. */
const decided: Check = {
  name: 'each step is decided once, at its time, on its evidence',
  async violations({ store, input: { bad } }) {
    const { records } = await store.query(workspace, 'rollout', {});
    if (records.length !== 1) return [`there are ${records.length} rollouts`];
    const decisions = records[0]?.body['decisions'] as unknown as readonly {
      readonly action: string;
      readonly at: number;
      readonly stepIndex: number;
      readonly verdicts: readonly unknown[];
    }[];
    const found = decisions.map(
      ({ action, at, stepIndex, verdicts }) =>
        `${stepIndex} ${action} ${(at - begun) / minuteMs} ${verdicts.length}`,
    );
    const due = bad
      ? ['0 advance 3 2', '1 rollback 4 2']
      : ['0 advance 3 2', '1 advance 6 2', '2 complete 7 0'];
    const status = records[0]?.columns['status'];
    const ended = status === (bad ? 'ROLLED_BACK' : 'COMPLETED') ? [] : [`it is ${status}`];
    return `${found}` === `${due}` ? ended : [...ended, `decided was ${found.join('; ')}`];
  },
};

const routed: Check = {
  name: 'the route is at its last step, one generation for each, and the deployment is free',
  async violations({ store, input: { bad } }) {
    const [route] = (await store.query(workspace, 'route', {})).records;
    const [deployment] = (await store.query(workspace, 'deployment', {})).records;
    const { targets, shadows } = (route?.body ?? {}) as unknown as Route;
    const names = targets.map(({ key, weightPercent }) => `${key} ${weightPercent}`);
    const wrong: string[] = [];
    if (`${names}` !== (bad ? 'm@1.0.0 100' : 'm@2.0.0 100')) wrong.push(`answering is ${names}`);
    if (shadows.length > 0) wrong.push('there are shadows left');
    if (route?.revision !== (bad ? 4 : 5)) wrong.push(`the generation is ${route?.revision}`);
    if (deployment?.columns['activeRolloutId'] !== undefined) wrong.push('it is not free');
    const { lastRevision, currentRevision } = deployment?.columns ?? {};
    if (lastRevision !== 2 || currentRevision !== (bad ? 1 : 2))
      wrong.push(`revisions are ${lastRevision}, ${currentRevision}`);
    const { records } = await store.query(workspace, 'deployment_revision', {});
    const statuses = records.map(({ columns }) => columns['rolloutStatus']).toSorted();
    const due = bad ? 'COMPLETED,ROLLED_BACK' : 'COMPLETED,COMPLETED';
    if (`${statuses}` !== due) wrong.push(`revisions are ${statuses}`);
    return wrong;
  },
};

const told: Check = {
  name: 'each change is told once',
  async violations({ store, input: { bad, promoted } }) {
    const filter = { subjects: ['deployment:api'] };
    const { events } = await store.readEvents({ workspace, filter, limit: 1000 });
    const types = events.map(({ type }) => type);
    const due = bad
      ? [
          ...['deployment.started', 'traffic.shifted', 'rollout.started', 'traffic.shifted'],
          ...['rollout.advanced', 'traffic.shifted'],
          ...(promoted ? ['deployment.promotion_turned_back'] : []),
          ...['deployment.rolling_back', 'deployment.rolled_back'],
        ]
      : [
          ...['deployment.started', 'traffic.shifted', 'rollout.started', 'traffic.shifted'],
          ...['rollout.advanced', 'traffic.shifted', 'rollout.advanced', 'traffic.shifted'],
          ...['deployment.version_released', 'rollout.completed'],
        ];
    return `${types}` === `${due}` ? [] : [`told was ${types.join(', ')}`];
  },
};

const staged: Check = {
  name: 'the registry has in production what answers',
  async violations({ store, input: { bad, promoted } }) {
    if (!promoted) return [];
    const { records } = await store.query(workspace, 'model_version', {});
    const stages = records.map(({ columns }) => `${columns['version']} ${columns['stage']}`);
    const due = bad
      ? ['1.0.0 PRODUCTION', '2.0.0 STAGING']
      : ['1.0.0 ARCHIVED', '2.0.0 PRODUCTION'];
    return `${stages.toSorted()}` === `${due}` ? [] : [`stages are ${stages}`];
  },
};

/** What must hold after a rollout, whatever has happened on the way. */
export const rolloutInvariants: readonly Check[] = [decided, routed, told, staged];
