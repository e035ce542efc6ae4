import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FaultyWorld, openFaultyWorld } from '../../../test/planted-faults.ts';
import type { Change } from '../../contracts/metadata-store.ts';

let w: FaultyWorld;

beforeAll(async () => {
  w = await openFaultyWorld();
});
afterAll(() => w?.[Symbol.asyncDispose]());

const found = async (mend = false) => {
  const { findings } = await w.platform.operations.reconcile({ mend });
  return findings.map(
    ({ subject, problem, mended }) => `${subject}${mended ? ' (mended)' : ''}: ${problem}`,
  );
};
const create = (kind: string, id: string, columns: object, body = {}): Change => {
  return { op: 'create', kind, id, columns: columns as never, body };
};
const run = (id: string, columns: object): Change =>
  create('run', id, {
    ...{ experimentId: w.world.experimentId, name: id, status: 'COMPLETED', startedAt: 1000 },
    ...{ endedAt: 3000, durationMs: 2000, sourceType: 'LOCAL', userId: 'u', lifecycle: 'active' },
    ...columns,
  });
const artifact = {
  ...{ path: 'a', livePath: 'a', sha256: 'a'.repeat(64), sizeBytes: 1, type: 'OTHER' },
  mimeType: 'text/plain',
};

test('a world of services alone is sound, whatever state its parts are in', async () => {
  expect(await found()).toEqual([]);
});

/** What is planted, what is found of it, and whether it is mended without a person. */
const mendable: readonly (readonly [
  name: string,
  plant: () => Promise<unknown>,
  problem: RegExp,
])[] = [
  [
    'a run that ends before it starts',
    () => w.plant(run('r-times', { endedAt: 5 })),
    /^run:r-times: It ends before it starts\.$/,
  ],
  [
    'a run whose duration is another',
    () => w.plant(run('r-length', { durationMs: 7 })),
    /^run:r-length: It lasts 7 ms, and 2000 ms lie between/,
  ],
  [
    'a run that has ended without an end',
    () => w.plant(run('r-open', { endedAt: undefined, durationMs: undefined })),
    /^run:r-open: It is COMPLETED and has no end\.$/,
  ],
  [
    'an artifact of no run',
    () =>
      w.plant(
        create('artifact', 'stray', { ...artifact, runId: 'no-run', sha256: w.world.sha256 }),
      ),
    /^artifact:stray: Its runId no-run is no run that is there\.$/,
  ],
  [
    'params of no run',
    () => w.plant(create('param_entry', 'stray', { runId: 'no-run', loggedAt: 1 })),
    /^param_entry:stray: /,
  ],
  [
    'an edge to nothing',
    () => w.plant(create('edge', 'stray', { from: w.world.runIds[0], to: 'nothing', role: 'r' })),
    /^edge:stray: Its to nothing is no run or /,
  ],
  [
    'a model that names another version as in production',
    async () => {
      const model = await w.platform.registry.getModel(w.world.model);
      await w.spoil('model', model.id, { columns: { productionVersionId: 'gone', lastNumber: 0 } });
    },
    /^model:.*: Its last number is 0, and version 2 is there\. It names gone as in production/,
  ],
  [
    'a step of no execution',
    () =>
      w.plant(
        create('step_output', 'stray', {
          ...{ executionId: 'none', step: 's', name: 'n', attempt: 1, path: 'p', sizeBytes: 1 },
          ...{ sha256: w.world.sha256, mimeType: 'text/plain' },
        }),
      ),
    /^step_output:stray: Its executionId none is no execution that is there\.$/,
  ],
  [
    'a route of no deployment',
    () =>
      w.plant(
        create(
          'route',
          'stray',
          { deploymentId: 'none', deploymentName: 'stray' },
          { targets: [{ versionId: w.world.versionId, weightPercent: 100 }] },
        ),
      ),
    /^route:stray: Its deploymentId none is no deployment that is there\.$/,
  ],
  [
    'a deployment with a rollout that is not there',
    () => w.spoil('deployment', w.world.deploymentId, { columns: { activeRolloutId: 'gone' } }),
    /^deployment:.*: Its activeRolloutId gone is no rollout or ab_test that is there\.$/,
  ],
  [
    'a monitor of no deployment',
    () =>
      w.plant(
        create('monitor', 'stray', {
          ...{ deploymentId: 'none', deploymentName: 'stray', versionId: w.world.versionId },
          ...{ evaluatedAt: 1, referenceSetAt: 1 },
        }),
      ),
    /^monitor:stray: Its deploymentId none is no deployment that is there\.$/,
  ],
  [
    'content of nobody',
    async () => {
      await w.store.scope.artifacts.put(Buffer.from('nobody’s'));
      w.ahead(86_400_001);
    },
    /^content:[0-9a-f]{64}: No record refers to its \d+ bytes/,
  ],
];

describe('found, reported, and mended when that is asked for', () => {
  test.each(mendable)('%s', async (_name, plant, problem) => {
    await plant();
    const before = await found();
    expect([before.length, before[0]]).toEqual([1, expect.stringMatching(problem)]);
    expect(await found()).toEqual(before);
    const mended = await found(true);
    expect(mended.map((each) => each.replace(' (mended)', ''))).toEqual(before);
    expect(mended[0]).toContain(' (mended)');
    expect(await found(true)).toEqual([]);
  });
});

describe('found, and left to a person', () => {
  /** Each is added to those before: nothing mends them. */
  const left: (readonly [name: string, plant: () => Promise<unknown>, problem: RegExp])[] = [
    [
      'a run of no experiment',
      () => w.plant(run('r-alone', { experimentId: 'gone' })),
      /^run:r-alone: Its experimentId gone is no experiment that is there\.$/,
    ],
    [
      'a run that starts in the future',
      () => w.plant(run('r-future', { startedAt: 9e12, endedAt: 9e12 + 1, durationMs: 1 })),
      /^run:r-future: It starts in the future\.$/,
    ],
    [
      'a route to a version that is not there',
      () => {
        const targets = [{ versionId: 'gone', weightPercent: 100 }];
        return w.spoil('route', w.world.deploymentId, { body: { targets } });
      },
      /^route:.*: It cannot be followed: its version gone is not there\. Set another route\.$/,
    ],
    [
      'two versions in production',
      async () => {
        for (const id of [w.world.versionId, w.world.secondVersionId]) {
          await w.spoil('model_version', id, { columns: { stage: 'PRODUCTION' } });
        }
      },
      /^model:.* are in production at once: archive all but one\.$/,
    ],
    [
      'content that is damaged',
      () => w.damage(w.world.sha256),
      /^(artifact|model_version):.*: .*is damaged|not what was stored/,
    ],
  ];
  test.each(left)('%s', async (_name, plant, problem) => {
    await plant();
    for (const mend of [false, true]) {
      const now = await found(mend);
      expect(now.filter((each) => problem.test(each)).length).toBeGreaterThan(0);
      expect(now.filter((each) => each.includes('(mended)'))).toEqual([]);
    }
  });
});
