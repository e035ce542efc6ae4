import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';
import type { Services } from '../open-platform.ts';
import type { ModelVersion } from './model-version.ts';

const shared = sharePlatform();

const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2] }],
  outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
} as const;

async function trained(
  { tracking }: Services,
  options: { readonly rate: number; readonly digest: string; readonly files: readonly string[] },
): Promise<string> {
  const params = { rate: options.rate, layers: 3 };
  const quick = { experiment: 'e', environment: false, params } as const;
  return await tracking.withRun(quick, async (run) => {
    await run.logDataset({ name: 'clicks', digest: options.digest, role: 'train' });
    for (const file of options.files) {
      const [path, content] = file.split('=') as [string, string];
      await run.logArtifact(`model/${path}`, Buffer.from(content));
    }
    return run.id;
  });
}

async function pair() {
  const { platform } = shared.fresh();
  const first = await platform.registry.register({
    model: 'fraud',
    from: {
      runId: await trained(platform, { rate: 0.1, digest: 'f00d', files: ['a=1', 'b=22', 'c=3'] }),
      path: 'model',
    },
    format: 'JS',
    signature,
    metrics: { auc: 0.9, loss: 0.5, odd: 1 },
    tags: { team: 'risk', tier: '1' },
    lineage: { codeCommit: 'c1', datasets: [{ name: 'extra', digest: 'd1' }] },
  });
  const second = await platform.registry.register({
    model: 'fraud',
    from: {
      runId: await trained(platform, { rate: 0.2, digest: 'beef', files: ['a=1', 'b=333', 'd=4'] }),
      path: 'model',
    },
    format: 'JS',
    signature: { ...signature, inputs: [{ name: 'y', datatype: 'FP64', shape: [-1, 2] }] },
    metrics: { auc: 0.95, loss: 0.6 },
    tags: { team: 'risk' },
    lineage: {
      codeCommit: 'c1',
      datasets: [{ name: 'extra', digest: 'd1' }],
      parentVersionIds: [first.id],
    },
  });
  return { platform, first, second };
}

describe('compare', () => {
  test('metrics with their deltas and the best, sizes, signatures, files', async () => {
    const { platform, first, second } = await pair();
    const { versions, baseline, metrics, signatures, files, same } =
      await platform.registry.compare(['fraud@1', second.id]);
    expect(baseline).toBe(first.id);
    expect(
      versions.map(({ id, sizeBytes, sizeChangeBytes }) => [id, sizeBytes, sizeChangeBytes]),
    ).toEqual([
      [first.id, 4, 0],
      [second.id, 5, 1],
    ]);
    expect(
      metrics.map(({ name, direction, values, best }) => [name, direction, values, best]),
    ).toEqual([
      ['auc', 'higher', [0.9, 0.95], [second.id]],
      ['loss', 'lower', [0.5, 0.6], [first.id]],
      ['odd', undefined, [1, undefined], []],
    ]);
    expect(metrics[0]?.fromBaseline[1]?.difference).toBeCloseTo(0.05);
    expect(
      metrics.map(({ fromBaseline }) => fromBaseline.map((change) => change?.verdict)),
    ).toEqual([
      ['same', 'better'],
      ['same', 'worse'],
      [undefined, undefined],
    ]);
    expect(signatures).toEqual({
      same: false,
      known: [true, true],
      breaks: [[], ['input y is new', 'input x is gone']],
    });
    expect(files.map(({ path, change, same: equal }) => [path, change, equal])).toEqual([
      ['a', ['same', 'same'], true],
      ['b', ['same', 'changed'], false],
      ['c', ['same', 'removed'], false],
      ['d', [undefined, 'added'], false],
    ]);
    expect(same.files).toBe(1);
  });

  test('lineage, data, params and tags: what differs, and how much is the same', async () => {
    const { platform, first, second } = await pair();
    const comparison = await platform.registry.compare([first.id, second.id]);
    expect(comparison.lineage).toEqual([
      { key: 'parents', values: [undefined, first.id] },
      { key: 'source run', values: [first.lineage.sourceRunId, second.lineage.sourceRunId] },
    ]);
    expect(comparison.datasets).toEqual([
      { key: 'clicks (beef)', values: [undefined, 'train'] },
      { key: 'clicks (f00d)', values: ['train', undefined] },
    ]);
    expect(comparison.params).toEqual([{ key: 'rate', values: [0.1, 0.2] }]);
    expect(comparison.tags).toEqual([{ key: 'tier', values: ['1', undefined] }]);
    expect(comparison.same).toMatchObject({ lineage: 1, datasets: 1, params: 1, tags: 1 });
  });

  test('directions that are given or defined, another baseline, versions without runs', async () => {
    const { platform, first, second } = await pair();
    const from = { files: { a: Buffer.from('1') } };
    const lineage = { sourceRunId: 'in another system' };
    const { id } = await platform.registry.register({ model: 'else', from, format: 'JS', lineage });
    await platform.tracking.defineMetric({ name: 'odd', direction: 'lower' });
    const comparison = await platform.registry.compare([first.id, second.id, id], {
      baseline: second.id,
      directions: { auc: 'lower' },
    });
    expect(comparison.metrics.map(({ name, best }) => [name, best])).toEqual([
      ['auc', [first.id]],
      ['loss', [first.id]],
      ['odd', [first.id]],
    ]);
    expect(comparison.signatures.known).toEqual([true, true, false]);
    expect(comparison.signatures.breaks[2]).toBeUndefined();
    expect(comparison.params.map(({ key, values }) => [key, values[2]])).toEqual([
      ['layers', undefined],
      ['rate', undefined],
    ]);
  });

  test('as a page, whatever names and values hold', async () => {
    const { platform, first } = await pair();
    const odd: ModelVersion = await platform.registry.register({
      model: '<b>|x',
      from: { files: { 'i.json': Buffer.from('1') } },
      tags: { '<i>': '<i>' },
      format: 'JS',
      metrics: { '<script>': 1, auc: 0.95 },
    });
    const refs = [first.id, odd.id];
    const html = await platform.registry.comparisonPage(refs, 'html');
    expect(html).not.toMatch(/<script|<b>|<i>/);
    expect(html).toContain('&lt;b&gt;|x@1.0.0');
    const markdown = await platform.registry.comparisonPage(refs, 'markdown');
    expect(markdown).toContain('| auc (higher is better) | 0.9 | 0.95 (+0.05, +5.6 %, better) ★ |');
    expect(markdown).toMatch(/\| b \| [0-9a-f]{8} · 2 B \| removed \|/);
    for (const title of ['Metrics', 'Signature', 'Lineage', 'Data', 'Files']) {
      expect(markdown).toContain(`## ${title}`);
    }
    expect(markdown).toContain('has no signature');
  });

  test.each<[readonly unknown[], string]>([
    [[[]], 'INVALID'],
    [[['a']], 'INVALID'],
    [['fraud@1.0.0'], 'INVALID'],
    [[Array(21).fill('a')], 'INVALID'],
    [[['fraud@1', 'fraud@1.0.0']], 'INVALID'],
    [[['fraud@1', 7]], 'INVALID'],
    [[['fraud@1', 'fraud@2.0.0'], { baseline: 'fraud@3' }], 'INVALID'],
    [[['fraud@1', 'fraud@2.0.0'], { metrics: ['a'] }], 'INVALID'],
    [[['fraud@1', 'none']], 'NOT_FOUND'],
    [[['fraud@1', 'fraud@9.9.9']], 'NOT_FOUND'],
  ])('%j is refused', async (args, code) => {
    const { platform } = await pair();
    const compare = platform.registry.compare as (...given: readonly unknown[]) => Promise<unknown>;
    await expect(compare(...args)).rejects.toMatchObject({ code });
  });
});
