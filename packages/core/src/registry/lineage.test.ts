import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';
import type { Services } from '../open-platform.ts';
import { datasetId } from '../tracking/dataset.ts';
import { productionPeriods } from './impact.ts';
import { lineageDiagram } from './lineage-diagram.ts';
import type { LineageGraph } from './lineage-graph.ts';
import type { ModelLineage, ModelVersion, Stage } from './model-version.ts';
import type { StagePolicy } from './stage-policy.ts';

const shared = sharePlatform();

/** Moves that ask for nothing. */
const quickPolicy: StagePolicy = {
  singleProduction: true,
  selfApproval: false,
  transitions: (
    [
      ['DEVELOPMENT', 'PRODUCTION'],
      ['PRODUCTION', 'STAGING'],
      ['STAGING', 'PRODUCTION'],
      ['PRODUCTION', 'ARCHIVED'],
    ] as const
  ).map(([from, to]) => ({ from, to, checks: [], approvals: 0, approverRoles: [] })),
};

async function register(
  { registry }: Services,
  content: string,
  lineage: Partial<ModelLineage> = {},
  model = 'm',
): Promise<ModelVersion> {
  const from = { files: { 'model.json': Buffer.from(content) } };
  return await registry.register({ model, from, format: 'JS', lineage });
}

/** A run with a dataset and a file below `model`. */
async function trained({ tracking }: Services, name: string, digest: string): Promise<string> {
  return await tracking.withRun({ experiment: 'e', name, environment: false }, async (run) => {
    await run.logDataset({ name: 'clicks', digest, role: 'train' });
    await run.logArtifact('model/model.json', Buffer.from(name));
    return run.id;
  });
}

function told({ nodes }: LineageGraph): readonly string[] {
  return nodes.map(({ type, label, depth, side }) => `${depth} ${side} ${type} ${label}`);
}

describe('lineage', () => {
  async function family() {
    const { platform } = shared.fresh();
    const runId = await trained(platform, 'night run', 'f00d');
    const base = await register(platform, 'base', {}, 'base');
    const version = await platform.registry.register({
      model: 'm',
      from: { runId, path: 'model' },
      format: 'JS',
      lineage: {
        codeCommit: 'abc123',
        parentVersionIds: [base.id, base.id],
        pipelineExecutionId: 'execution-1',
        datasets: [
          { digest: 'f00d', role: 'calibration' },
          { digest: 'beef', name: 'prices' },
          { digest: 'nameless' },
        ],
        environment: { image: 'trainer:7', lockHash: 'a1b2' },
        featureSets: ['clicks@3'],
      },
    });
    const child = await register(platform, 'child', { parentVersionIds: [version.id] });
    return { platform, runId, base, version, child };
  }

  test('of a version: everything that led to it, each by its type', async () => {
    const { platform, version, child } = await family();
    const graph = await platform.registry.lineage(version.id);
    expect(graph.truncated).toBe(false);
    expect(told(graph).toSorted()).toEqual(
      [
        '0 origin model_version m@1.0.0',
        '1 upstream run night run',
        '1 upstream model_version base@1.0.0',
        '1 upstream execution execution-1',
        '1 upstream commit abc123',
        '1 upstream environment trainer:7',
        '1 upstream environment lock file a1b2',
        '1 upstream feature_set clicks@3',
        '1 upstream dataset clicks (f00d)',
        '1 upstream dataset prices (beef)',
        '1 upstream dataset nameless (nameless)',
      ].toSorted(),
    );
    const edges = graph.edges.map(({ from, to, type, role }) => ({ from, to, type, role }));
    expect(edges).toHaveLength(11);
    const clicks = datasetId('clicks', 'f00d');
    expect(edges).toEqual(
      expect.arrayContaining([
        { from: clicks, to: version.lineage.sourceRunId, type: 'data', role: 'train' },
        { from: clicks, to: version.id, type: 'data', role: 'calibration' },
        { from: 'commit:abc123', to: version.id, type: 'code', role: 'code' },
        { from: 'features:clicks@3', to: version.id, type: 'features', role: 'features' },
      ]),
    );
    expect(graph.nodes[0]).toMatchObject({ id: version.id, stage: 'DEVELOPMENT' });
    const near = await platform.registry.lineage('m@1.1.0', { direction: 'both', depth: 1 });
    expect(told(near)).toEqual([
      '0 origin model_version m@1.1.0',
      '1 upstream model_version m@1.0.0',
    ]);
    expect(near.nodes[0]?.id).toBe(child.id);
  });

  test.each([
    ['commit:abc123', 'commit abc123'],
    ['image:trainer:7', 'environment trainer:7'],
    ['lock:a1b2', 'environment lock file a1b2'],
    ['features:clicks@3', 'feature_set clicks@3'],
    ['beef', 'dataset prices (beef)'],
    [datasetId('prices', 'beef'), 'dataset prices (beef)'],
    ['execution-1', 'execution execution-1'],
    ['base@1.0.0', 'model_version base@1.0.0'],
  ])('forward from %s: what became of it', async (id, origin) => {
    const { platform, version, child } = await family();
    const graph = await platform.registry.lineage(id, { direction: 'forward' });
    expect(told(graph)[0]).toBe(`0 origin ${origin}`);
    expect(graph.nodes.map((node) => [node.id, node.depth]).slice(1)).toEqual([
      [version.id, 1],
      [child.id, 2],
    ]);
  });

  test('of a version by what points to it, and of one that was deleted', async () => {
    const { platform } = shared.fresh();
    const first = await register(platform, 'a');
    await register(platform, 'b');
    await platform.registry.setAlias('m', 'champion', first.version);
    for (const [reference, id] of [
      ['m@champion', first.id],
      ['m@1', first.id],
    ] as const) {
      expect((await platform.registry.lineage(reference)).nodes[0]?.id).toBe(id);
    }
    await platform.registry.deleteVersion('m', '1.1.0', { reason: 'wrong' });
    const { nodes } = await platform.registry.lineage('m@1.1.0');
    expect(nodes[0]).toMatchObject({ type: 'model_version', label: 'm@1.1.0', deleted: true });
  });

  test('of a digest: every dataset that has it is where the question begins', async () => {
    const { platform } = shared.fresh();
    await register(platform, 'a', { datasets: [{ digest: 'd', name: 'one' }] });
    await register(platform, 'b', { datasets: [{ digest: 'd', name: 'two' }] });
    const graph = await platform.registry.lineage('d', { direction: 'forward' });
    expect(graph.nodes.map(({ depth }) => depth)).toEqual([0, 0, 1, 1]);
  });

  test('of what nobody knows: a node of its own', async () => {
    const { platform } = shared.fresh();
    const graph = await platform.registry.lineage('nobody@1.0.0', { direction: 'both' });
    expect(told(graph)).toEqual(['0 origin unknown nobody@1.0.0']);
  });

  test('of a run: commit, lock file and image are what the run was captured with', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun({ experiment: 'e' });
    await run.logArtifact('model/m', Buffer.from('m'));
    await run.finish();
    const from = { runId: run.id, path: 'model' };
    const { lineage } = await platform.registry.register({ model: 'm', from, format: 'JS' });
    const { environment, sourceVersion } = await platform.tracking.getRun(run.id);
    const { sha256 } = environment['dependencies'] as { readonly sha256: string };
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(lineage.environment?.lockHash).toBe(sha256);
    expect(lineage.codeCommit).toBe(sourceVersion);
    const found = await platform.registry.lineage(`lock:${sha256}`, { direction: 'forward' });
    expect(told(found)[1]).toBe('1 downstream model_version m@1.0.0');
  });

  test('a deployment of a version, and its data', async () => {
    const { platform } = shared.fresh();
    const version = await register(platform, 'a', { datasets: [{ digest: 'd', name: 'data' }] });
    const { id, model, version: number } = version;
    const asked = { model, version: number, reason: 'r', to: 'PRODUCTION' } as const;
    await platform.registry.setPolicy('m', quickPolicy);
    await platform.registry.requestTransition(asked);
    const place = { name: 'shop', versionId: id, environment: 'PRODUCTION' } as const;
    await platform.deployments.create(place);
    const graph = await platform.registry.lineage('d', { direction: 'forward' });
    expect(told(graph).at(-1)).toBe('2 downstream deployment shop');
  });

  const someText = 'x'.repeat(300);
  test.each<[string, object, RegExp]>([
    ['a key that there is not', { dataset: [] }, /dataset/],
    ['a parent that is no text', { parentVersionIds: [7] }, /parentVersionIds\.0/],
    ['parents that are no list', { parentVersionIds: 'id' }, /parentVersionIds/],
    ['too many parents', { parentVersionIds: Array(51).fill('a') }, /parentVersionIds/],
    ['a dataset without a digest', { datasets: [{ name: 'a' }] }, /datasets\.0\.digest/],
    ['a dataset of more', { datasets: [{ digest: 'a', size: 1 }] }, /datasets\.0/],
    ['a digest of no length', { datasets: [{ digest: '' }] }, /datasets\.0\.digest/],
    ['a long commit', { codeCommit: someText }, /codeCommit/],
    ['an environment of more', { environment: { os: 'linux' } }, /environment/],
    ['a cause that is a text', { cause: 'alert' }, /cause/],
    ['a cause that is no JSON', { cause: { at: 1n } }, /cause/i],
    ['a NUL', { codeCommit: 'a\u0000' }, /U\+0000|NUL/],
  ])('refuses %s', async (_, lineage, message) => {
    const { platform } = shared.fresh();
    const refused = register(platform, 'a', lineage as Partial<ModelLineage>);
    await expect(refused).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(message),
    });
    expect(await platform.registry.findModel('m')).toBeUndefined();
  });

  test('refuses parents that are not there, and another run than that of the files', async () => {
    const { platform } = shared.fresh();
    const orphan = register(platform, 'a', { parentVersionIds: ['no-such'] });
    await expect(orphan).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('no-such'),
    });
    const deleted = await register(platform, 'a');
    await platform.registry.deleteVersion('m', deleted.version, { reason: 'wrong' });
    const ofDeleted = register(platform, 'b', { parentVersionIds: [deleted.id] });
    await expect(ofDeleted).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('1.0.0 of m'),
    });
    const runId = await trained(platform, 'r', 'd');
    const from = { runId, path: 'model' };
    const lineage = { sourceRunId: 'another' };
    const liar = platform.registry.register({ model: 'm', from, format: 'JS', lineage });
    await expect(liar).rejects.toMatchObject({ code: 'INVALID' });
    expect(await platform.registry.listVersions('m')).toEqual([]);
  });

  test('a parent that is deleted while a version is made from it: one of the two is refused', async () => {
    const { platform } = shared.fresh();
    for (let round = 0; round < 12; round += 1) {
      const parent = await register(platform, `parent ${round}`);
      const [child, deletion] = await Promise.allSettled([
        register(platform, `child ${round}`, { parentVersionIds: [parent.id] }, 'children'),
        platform.registry.deleteVersion('m', parent.version, { reason: 'wrong' }),
      ]);
      expect([child.status, deletion.status].toSorted()).toEqual(['fulfilled', 'rejected']);
    }
  });

  test.each([{ depth: -1 }, { depth: 1.5 }, { limit: 0 }, { limit: 10_001 }, { way: 'up' }])(
    'refuses %j',
    async (options) => {
      const { platform } = shared.fresh();
      const asked = platform.registry.lineage('x', options as object);
      await expect(asked).rejects.toMatchObject({ code: 'INVALID' });
    },
  );

  test('of any history is what a naive walk over its edges finds', async () => {
    const made = fc.record({
      parents: fc.uniqueArray(fc.nat(9), { maxLength: 3 }),
      datasets: fc.uniqueArray(fc.nat(2), { maxLength: 2 }),
      commit: fc.option(fc.nat(1), { nil: undefined }),
    });
    const question = fc.record({
      start: fc.nat(20),
      direction: fc.constantFrom('backward' as const, 'forward' as const, 'both' as const),
      depth: fc.nat(4),
    });
    const history = fc.array(made, { minLength: 1, maxLength: 7 });
    await fc.assert(
      fc.asyncProperty(history, fc.array(question, { minLength: 5 }), async (plan, questions) => {
        const { platform } = shared.fresh();
        const edges: [from: string, to: string][] = [];
        const versions: string[] = [];
        for (const [i, { parents, datasets, commit }] of plan.entries()) {
          const before = parents.filter((n) => n < i).map((n) => versions[n] as string);
          const { id } = await register(platform, `content ${i}`, {
            parentVersionIds: before,
            datasets: datasets.map((n) => ({ name: 'd', digest: `${n}` })),
            ...(commit === undefined ? {} : { codeCommit: `c${commit}` }),
          });
          versions.push(id);
          const from = [
            ...before,
            ...datasets.map((n) => datasetId('d', `${n}`)),
            ...(commit === undefined ? [] : [`commit:c${commit}`]),
          ];
          edges.push(...from.map((each): [string, string] => [each, id]));
        }
        const all = [...new Set([...versions, ...edges.flat()])].toSorted();
        for (const { start, direction, depth } of questions) {
          const of = all[start % all.length] as string;
          const graph = await platform.registry.lineage(of, { direction, depth });
          expect(graph.nodes.map((node) => [node.id, node.depth, node.side])).toEqual(
            naiveNodes(edges, of, direction, depth),
          );
          const inside = new Set(graph.nodes.map(({ id }) => id));
          for (const { from, to } of graph.edges) {
            expect([inside.has(from), inside.has(to)]).toEqual([true, true]);
          }
          const limit = Math.max(1, graph.nodes.length - 1);
          const cut = await platform.registry.lineage(of, { direction, depth, limit });
          expect(cut.nodes).toHaveLength(limit);
          expect(cut.truncated).toBe(graph.nodes.length > limit);
        }
      }),
      { numRuns: 12 },
    );
  });
});

/** By distance, then id; what lies on both sides is nearest, or upstream. */
function naiveNodes(
  edges: readonly (readonly [string, string])[],
  start: string,
  direction: 'backward' | 'forward' | 'both',
  depth: number,
): readonly (readonly [string, number, string])[] {
  const found = new Map<string, [number, string]>([[start, [0, 'origin']]]);
  for (const side of ['upstream', 'downstream'] as const) {
    if (direction === (side === 'upstream' ? 'forward' : 'backward')) continue;
    let frontier = [start];
    for (let step = 1; step <= depth; step += 1) {
      const next = edges.flatMap(([from, to]) => {
        const [near, far] = side === 'upstream' ? [to, from] : [from, to];
        return frontier.includes(near) ? [far] : [];
      });
      frontier = [...new Set(next)].filter((id) => !found.has(id));
      for (const id of frontier) found.set(id, [step, side]);
    }
  }
  return [...found]
    .map(([id, [at, side]]) => [id, at, side] as const)
    .toSorted((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
}

describe('impact', () => {
  async function move({ registry }: Services, { version }: ModelVersion, to: Stage): Promise<void> {
    await registry.requestTransition({ model: 'm', version, to, reason: 'r' });
  }

  async function story() {
    const { platform } = shared.fresh();
    const runId = await trained(platform, 'r', 'bad');
    const from = { runId, path: 'model' };
    const seen = await platform.registry.register({ model: 'm', from, format: 'JS' });
    await platform.registry.setPolicy('m', quickPolicy);
    const tuned = await register(platform, 'tuned', { parentVersionIds: [seen.id] });
    const clean = await register(platform, 'clean');
    const unused = await register(platform, 'unused', { parentVersionIds: [seen.id] });
    await move(platform, seen, 'PRODUCTION');
    await move(platform, seen, 'STAGING');
    await move(platform, clean, 'PRODUCTION');
    await move(platform, tuned, 'PRODUCTION');
    await move(platform, tuned, 'ARCHIVED');
    await move(platform, seen, 'PRODUCTION');
    return { platform, runId, seen, tuned, clean, unused };
  }

  test('which versions that saw a dataset were in production, and when', async () => {
    const { platform, runId, seen, tuned } = await story();
    const dataset = datasetId('clicks', 'bad');
    const { origins, versions, truncated } = await platform.registry.impact({
      datasetDigest: 'bad',
    });
    expect([origins, truncated]).toEqual([[dataset], false]);
    expect(versions.map(({ id, path }) => [id, path])).toEqual([
      [seen.id, [dataset, runId, seen.id]],
      [tuned.id, [dataset, runId, seen.id, tuned.id]],
    ]);
    const [first, again] = versions[0]?.periods ?? [];
    const [only] = versions[1]?.periods ?? [];
    expect(again?.until).toBeUndefined();
    expect(first?.until).toBeLessThanOrEqual(only?.from ?? Number.NaN);
    expect(only?.until).toBeLessThanOrEqual(again?.from ?? Number.NaN);
    expect(versions[0]).toMatchObject({ model: 'm', version: '1.0.0', stage: 'PRODUCTION' });

    for (const question of [{ datasetId: dataset }, { runId }, { versionId: seen.id }]) {
      const answer = await platform.registry.impact(question);
      expect(answer.versions.map(({ id, periods }) => ({ id, periods }))).toEqual(
        versions.map(({ id, periods }) => ({ id, periods })),
      );
    }
    expect((await platform.registry.impact({ commit: 'none' })).versions).toEqual([]);
  });

  test('between two times: the periods that touch them, whole', async () => {
    const { platform, seen } = await story();
    const { versions } = await platform.registry.impact({ versionId: seen.id });
    const periods = versions[0]?.periods ?? [];
    const [first] = periods;
    const began = first?.from ?? Number.NaN;
    const before = await platform.registry.impact({ versionId: seen.id, until: began - 1 });
    expect(before.versions).toEqual([]);
    const at = { versionId: seen.id, from: new Date(0), until: new Date(began) };
    expect((await platform.registry.impact(at)).versions[0]?.periods[0]).toEqual(first);
    const later = { versionId: seen.id, from: Date.now() + 60_000 };
    expect((await platform.registry.impact(later)).versions[0]?.periods).toEqual([periods[1]]);
  });

  test.each([
    [{}, /exactly one of .* not none/],
    [{ commit: 'a', versionId: 'b' }, /commit and versionId/],
    [{ dataset: 'a' }, /dataset/],
    [{ commit: 'a', from: 2, until: 1 }, /swap/],
    [{ commit: 'a', from: Number.NaN }, /from/],
    [{ commit: 'a', until: 'yesterday' }, /until/],
  ])('refuses %j', async (question, message) => {
    const { platform } = shared.fresh();
    await expect(platform.registry.impact(question as object)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(message),
    });
  });

  test('the periods of any history hold the times at which it was in production', () => {
    const entry = fc.record({
      gap: fc.nat(3),
      stage: fc.constantFrom('STAGING', 'PRODUCTION', 'ARCHIVED'),
      deleted: fc.boolean(),
      removed: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(entry), (steps) => {
        let at = 0;
        const history = steps.map(({ gap, stage, deleted, removed }) => {
          at += gap;
          return { at, removed, columns: { stage, deletedAt: deleted ? at : undefined } };
        });
        const periods = productionPeriods(history);
        for (let time = 0; time <= at + 1; time += 1) {
          const last = history.findLast((each) => each.at <= time);
          const there =
            last?.columns.stage === 'PRODUCTION' &&
            last.columns.deletedAt === undefined &&
            !last.removed;
          const told = periods.some(
            ({ from, until }) => from <= time && time < (until ?? Infinity),
          );
          expect(told).toBe(there);
        }
      }),
    );
  });
});

describe('a diagram', () => {
  const node = { depth: 0, side: 'origin' } as const;
  const graph: LineageGraph = {
    nodes: [
      { id: 'd', type: 'dataset', label: 'clicks "2026" (f00)', ...node, side: 'upstream' },
      { id: 'v', type: 'model_version', label: 'm@1.0.0', stage: 'PRODUCTION', ...node },
      { id: 'x', type: 'run', label: 'a]\n--> b\\', deleted: true, ...node, side: 'upstream' },
    ],
    edges: [
      { from: 'd', to: 'x', type: 'data', role: 'train' },
      { from: 'x', to: 'v', type: 'produced', role: 'produced' },
      { from: 'gone', to: 'v', type: 'parent', role: 'parent' },
    ],
    truncated: true,
  };

  test('in Mermaid', () => {
    expect(lineageDiagram(graph)).toBe(`flowchart LR
  n0[("dataset: clicks #34;2026#34; #40;f00#41;")]
  n1(["model version: m@1.0.0 #40;PRODUCTION#41;"]):::origin
  n2["run: a#93; --#62; b#92; #40;deleted#41;"]:::deleted
  n0 -->|"train"| n2
  n2 -->|"produced"| n1
  classDef origin stroke-width:3px
  classDef deleted stroke-dasharray:4 3
  classDef production stroke:#2a7d2a,stroke-width:2px
  %% cut at the limit: there is more
`);
  });

  test('for Graphviz', () => {
    expect(lineageDiagram(graph, 'dot')).toBe(`digraph lineage {
  rankdir=LR; node [fontname="sans-serif"];
  n0 [label="dataset: clicks \\"2026\\" (f00)", shape=cylinder];
  n1 [label="model version: m@1.0.0 (PRODUCTION)", shape=box, style=rounded, penwidth=3];
  n2 [label="run: a] --> b\\\\ (deleted)", shape=box, style=dashed];
  n0 -> n2 [label="train"];
  n2 -> n1 [label="produced"];
  // cut at the limit: there is more
}
`);
  });

  test('in no other language', () => {
    expect(() => lineageDiagram(graph, 'svg' as never)).toThrow(/format/);
  });
});
