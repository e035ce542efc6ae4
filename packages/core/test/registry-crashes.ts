import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DownloadCache } from '../src/contracts/download-cache.ts';
import type { MetadataStore } from '../src/contracts/metadata-store.ts';
import type { Scope } from '../src/contracts/scope.ts';
import type { SeriesStore } from '../src/contracts/series-store.ts';
import { FileArtifactStore } from '../src/embedded/file-artifact-store.ts';
import { KeelsonError } from '../src/errors.ts';
import type { Json } from '../src/json.ts';
import { createSagas } from '../src/operations/sagas.ts';
import { platformKinds } from '../src/platform-kinds.ts';
import { createRegistry, type Registry } from '../src/registry/registry.ts';
import type { StageEffect } from '../src/registry/stage-effects.ts';
import { createTransitionSaga } from '../src/registry/stage-effects.ts';
import { defaultStagePolicy, type StagePolicy } from '../src/registry/stage-policy.ts';
import type { ProgramOptions } from '../src/testing/faults/child-of-scenario.ts';
import { CrashPoints, withCrashPoints } from '../src/testing/faults/crash-points.ts';
import type { CrashScenario } from '../src/testing/faults/every-crash.ts';
import type { Invariant } from '../src/testing/faults/invariants.ts';
import type { MetadataStoreHarness } from '../src/testing/metadata/scene.ts';
import type { Tracking } from '../src/tracking/tracking.ts';
import { uuidV7 } from '../src/uuid.ts';

type ClockedHarness = MetadataStoreHarness & Required<Pick<MetadataStoreHarness, 'clock'>>;

/** Where a promotion is made, and whether the second one is refused by its effect. */
export interface PromotionInput {
  readonly dir: string;
  readonly refused: boolean;
}

interface RegistryCrashWorld<H> extends AsyncDisposable {
  readonly harness: H;
  readonly store: MetadataStore;
  readonly input: PromotionInput;
}

const workspace = 'default';
const versions = ['1.0.0', '2.0.0'] as const;
const leaseMs = 15_000;
const silent = (): void => undefined;

/** The policy of the story: somebody approves, and then it is published before it counts. */
const policy: StagePolicy = {
  ...defaultStagePolicy,
  transitions: defaultStagePolicy.transitions.map((rule) =>
    rule.to === 'PRODUCTION' ? { ...rule, effects: ['publish'] } : rule,
  ),
};

/**
 * Registers two versions and brings each into production, wherever it was broken off before. What is due
 * later is driven as time goes by.
 */
export async function promote(
  store: MetadataStore,
  input: PromotionInput,
  points: CrashPoints,
  advance: (ms: number) => unknown,
  wrap: (store: MetadataStore) => MetadataStore = (same) => same,
): Promise<void> {
  await using artifacts = await FileArtifactStore.open({ dir: join(input.dir, 'artifacts') });
  const publish: StageEffect = {
    name: 'publish',
    async run({ version, idempotencyKey }) {
      await points.hit('before publishing');
      if (input.refused && version.version === versions[1]) {
        throw new KeelsonError('INVALID', 'nobody wants it');
      }
      appendFileSync(logOf(input), `${version.version} ${idempotencyKey}\n`);
      await points.hit('after publishing', ['exit', 'stall']);
    },
  };
  const effects = new Map([[publish.name, publish]]);
  const scopeOf = (id: string): Scope => ({
    ...{ workspace, principal: { id, roles: [] } },
    metadata: wrap(withCrashPoints(store, points)),
    artifacts: withCrashPoints(artifacts.space(workspace), points),
    // No run is in this story, and nothing is downloaded.
    series: {} as SeriesStore,
    artifactUri: (sha256) => sha256,
    clock: { now: () => Date.now() },
    ids: { next: () => uuidV7() },
    logger: { debug: silent, info: silent, warn: silent, error: silent },
    authorizer: { authorize: async () => ({ allowed: true, reason: 'a test' }) },
  });
  const registryOf = (scope: Scope): Registry => {
    const code = { checks: new Map(), effects };
    const parts = { code, uses: async () => [], downloads: {} as DownloadCache };
    return createRegistry(scope, {} as Tracking, parts).registry;
  };
  const scope = scopeOf('user:ben');
  const ben = registryOf(scope);
  const ana = registryOf(scopeOf('user:ana'));
  const saga = createTransitionSaga(scope, effects);
  const owners = { self: uuidV7(), dead: () => [] };
  const sagas = createSagas(scope, {
    ...{ definitions: [], owners, leaseMs },
    bound: () => [saga],
  });

  for (const version of versions) {
    const files = { a: Buffer.from(`a of ${version}`), 'b/c': Buffer.from('of both') };
    const registered = { model: 'm', version, from: { files }, format: 'CUSTOM' } as const;
    await ben.register({ ...registered, signature: { inputs: [], outputs: [] } });
    if (version === versions[0]) await ben.setPolicy('m', policy);
    const ask = async (to: 'STAGING' | 'PRODUCTION') =>
      await ben.requestTransition({
        ...{ model: 'm', version, to, reason: 'r', requestKey: `${to} ${version}` },
      });
    await ask('STAGING');
    const { id } = await ask('PRODUCTION');
    if ((await ben.getTransition(id)).status === 'PENDING') await ana.approve(id);
    for (let turn = 0; (await ben.getTransition(id)).status === 'APPLYING'; turn += 1) {
      if (turn === 100) throw new Error('The transition does not come to its end.');
      const worked = await sagas.loops[0]?.runOnce(new AbortController().signal);
      if (worked !== true) await advance(leaseMs / 3);
    }
  }
}

function logOf({ dir }: PromotionInput): string {
  return join(dir, 'published.log');
}

/** How `exit` is done on a store. */
export interface PromotionProcess<H> extends ProgramOptions {
  argument(harness: H, input: PromotionInput): Json;
}

/** Registrations and promotions, crashed everywhere. */
export function registryCrashes<H extends ClockedHarness>(
  open: () => H,
  options: {
    readonly refused: boolean;
    readonly process?: PromotionProcess<H>;
    wrap?(store: MetadataStore): MetadataStore;
  },
): CrashScenario<RegistryCrashWorld<H>> {
  const { refused, process: program, wrap = (store) => store } = options;
  const recover = async ({ harness, input }: RegistryCrashWorld<H>): Promise<void> => {
    await harness.clock.advance(leaseMs + 1);
    await using store = await harness.openSecond();
    await promote(store, input, new CrashPoints(), (ms) => harness.clock.advance(ms), wrap);
  };
  return {
    name: refused ? 'a promotion that must be undone' : 'promotions that must be done',
    async open() {
      const harness = open();
      const store = await harness.open(platformKinds);
      const dir = mkdtempSync(join(tmpdir(), 'keelson-promotion-'));
      return {
        ...{ harness, store, input: { dir, refused } },
        async [Symbol.asyncDispose]() {
          await harness[Symbol.asyncDispose]();
          rmSync(dir, { recursive: true, force: true });
        },
      };
    },
    async attempt({ harness, input }, points) {
      await using store = await harness.openSecond();
      await promote(store, input, points, (ms) => harness.clock.advance(ms), wrap);
    },
    ...(program === undefined
      ? {}
      : {
          process: {
            ...program,
            argument: ({ harness, input }: RegistryCrashWorld<H>) =>
              program.argument(harness, input),
          },
        }),
    meanwhile: recover,
    recover,
    invariants: [wholeVersions, stagesReached, decidedOnce, toldOnce],
  };
}

type Check = Invariant<RegistryCrashWorld<unknown>>;

const wholeVersions: Check = {
  name: 'two versions, numbers without gaps, each with its whole content',
  async violations({ store, input }) {
    const { records } = await store.query(workspace, 'model_version', {
      orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'asc' }],
    });
    const found = records.map(({ columns }) => `${columns['number']} ${columns['version']}`);
    const wrong = `${found}` === '1 1.0.0,2 2.0.0' ? [] : [`there are ${found.join(', ')}`];
    await using artifacts = await FileArtifactStore.open({ dir: join(input.dir, 'artifacts') });
    for (const { id, body } of records) {
      const files = body['files'] as unknown as readonly { readonly sha256: string }[];
      if (files.length !== 2) wrong.push(`${id} has ${files.length} files`);
      for (const { sha256 } of files) await artifacts.space(workspace).verify(sha256);
    }
    return wrong;
  },
};

const stagesReached: Check = {
  name: 'one version in production, the model agrees, and nothing is being applied',
  async violations({ store, input: { refused } }) {
    const { records } = await store.query(workspace, 'model_version', {
      orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'asc' }],
    });
    const [model] = (await store.query(workspace, 'model', {})).records;
    const stages = records.map(({ columns }) => columns['stage']).join(', ');
    const due = refused ? 'PRODUCTION, STAGING' : 'ARCHIVED, PRODUCTION';
    const production = records.find(({ columns }) => columns['stage'] === 'PRODUCTION')?.id;
    const wrong = stages === due ? [] : [`stages are ${stages}, not ${due}`];
    if (model?.columns['productionVersionId'] !== production) {
      wrong.push(`the model names ${model?.columns['productionVersionId']}, not ${production}`);
    }
    if (model?.columns['applyingId'] !== undefined) wrong.push('a transition is being applied');
    return wrong;
  },
};

const decidedOnce: Check = {
  name: 'each request is there once, ended, and approved once',
  async violations({ store, input: { refused } }) {
    const { records } = await store.query(workspace, 'stage_transition', {
      orderBy: [{ by: { from: 'column', name: 'requestKey' }, direction: 'asc' }],
    });
    const found = records.map(({ columns, body }) => {
      const approvals = (body['approvals'] as readonly Json[]).length;
      return `${columns['requestKey']}: ${columns['status']}, ${approvals}`;
    });
    const due = [
      'PRODUCTION 1.0.0: DONE, 1',
      `PRODUCTION 2.0.0: ${refused ? 'FAILED' : 'DONE'}, 1`,
      ...['STAGING 1.0.0: DONE, 0', 'STAGING 2.0.0: DONE, 0'],
    ];
    return `${found}` === `${due}` ? [] : [`there are ${found.join('; ')}`];
  },
};

const toldOnce: Check = {
  name: 'each change is told once, and each promotion published under one key',
  async violations({ store, input }) {
    const { events } = await store.readEvents({ workspace, limit: 1000 });
    const told = (type: string): number => events.filter((event) => event.type === type).length;
    const counts = ['model.registered', 'model.promoted', 'promotion.rejected'].map(told);
    const due = input.refused ? [2, 3, 1] : [2, 4, 0];
    const wrong = `${counts}` === `${due}` ? [] : [`told was ${counts}, not ${due}`];
    const log = existsSync(logOf(input)) ? readFileSync(logOf(input), 'utf8') : '';
    const published = new Set(log.split('\n').filter((line) => line !== ''));
    const times = input.refused ? 1 : 2;
    return published.size === times ? wrong : [...wrong, `published: ${[...published]}`];
  },
};
