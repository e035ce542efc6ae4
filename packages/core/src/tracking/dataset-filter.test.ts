import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;

describe('datasets.* in filters, as MLflow has them', () => {
  async function found(filter: string): Promise<string> {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const sets = {
      a: [{ name: 'iris', digest: 'sha256:1', role: 'train' }],
      b: [
        { name: 'iris', digest: 'sha256:2', role: 'test' },
        { name: 'wine', digest: 'sha256:3', role: 'train' },
      ],
      c: [],
    } as const;
    for (const [id, datasets] of Object.entries(sets)) {
      const run = await tracking.startRun({ ...quick, id });
      for (const dataset of datasets) await run.logDataset(dataset);
      await run.finish();
    }
    const { runs } = await tracking.searchRuns({ filter, orderBy: ['attributes.run_id ASC'] });
    const { count } = await tracking.countRuns({ filter, exact: true });
    expect(count).toBe(runs.length);
    return runs.map(({ id }) => id).join(' ');
  }

  test.each([
    ["datasets.name = 'iris'", 'a b'],
    ["dataset.name = 'wine'", 'b'],
    ["datasets.name LIKE '%i%'", 'a b'],
    ["datasets.name ILIKE 'WINE'", 'b'],
    ["datasets.digest = 'sha256:2'", 'b'],
    ["datasets.digest IN ('sha256:1', 'sha256:3')", 'a b'],
    ["datasets.context = 'train'", 'a b'],
    ["datasets.context = 'test' AND datasets.name = 'wine'", 'b'],
    ["NOT datasets.name = 'iris'", 'c'],
    ["datasets.name = 'none' OR attributes.run_id = 'c'", 'c'],
    ["datasets.name = 'iris''; DROP TABLE rec_run; --'", ''],
    ['datasets.name IS NOT NULL', 'a b'],
  ])('%s', async (filter, wanted) => {
    expect(await found(filter)).toBe(wanted);
  });

  test('what datasets do not have, and orders by them, are refused by name', async () => {
    await expect(found("datasets.size = '5'")).rejects.toMatchObject({
      code: 'SYNTAX',
      details: { position: 9, expected: 'one of the datasets (name, digest, context, role)' },
    });
    const { platform } = shared.fresh();
    const ordered = platform.tracking.searchRuns({ orderBy: ['datasets.name ASC'] });
    await expect(ordered).rejects.toMatchObject({ code: 'INVALID' });
  });
});
