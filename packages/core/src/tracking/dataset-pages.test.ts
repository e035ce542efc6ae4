import { beforeAll, describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';
import type { Services } from '../open-platform.ts';

const shared = sharePlatform();
const quick = { environment: false, experiment: 'a' } as const;

describe('pages of a search by datasets', () => {
  let platform: Services;
  beforeAll(async () => {
    ({ platform } = shared.fresh());
    const { tracking } = platform;
    const use = async (
      name: string,
      ...datasets: (readonly [string, string, 'train' | 'test'])[]
    ) =>
      tracking.withRun({ ...quick, name }, async (run) => {
        for (const [of, digest, role] of datasets) {
          await run.logDataset({ name: of, digest, role });
        }
        run.logMetric('acc', datasets.length);
      });
    await use('mnist', ['mnist', 'd1', 'train'], ['mnist', 'd2', 'test']);
    await use('custom', ['custom', 'd3', 'train']);
    await use('both', ['mnist', 'd1', 'test'], ['custom', 'd3', 'test']);
    await use('none');
  });

  test.each([
    // As MLflow's documentation has them.
    ['datasets.name LIKE "%cust%"', ['both', 'custom']],
    ["datasets.digest = 'd2'", ['mnist']],
    ['dataset.digest IN ("d2", "d3")', ['both', 'custom', 'mnist']],
    ["datasets.context = 'train'", ['custom', 'mnist']],
    ["datasets.name = 'mnist' AND datasets.context = 'train'", ['mnist']],
    // Each comparison asks for a dataset of its own: it need not be the same one.
    ["datasets.digest = 'd1' and datasets.context = 'test'", ['both', 'mnist']],
    ["datasets.name != 'mnist'", ['both', 'custom']],
    ["NOT datasets.name = 'mnist'", ['custom', 'none']],
    ['datasets.name IS NULL', ['none']],
    ['datasets.context IS NOT NULL AND metrics.acc = 1', ['custom']],
    ["datasets.`name` NOT LIKE 'mn%'", ['custom']],
    [
      "(datasets.name = 'custom' OR metrics.acc = 0) AND status = 'FINISHED'",
      ['both', 'custom', 'none'],
    ],
    ["datasets.name = 'unheard of'", []],
    ["datasets.name = 'mnist' AND datasets.name = 'custom'", ['both']],
  ])('%s', async (filter, expected) => {
    const { runs } = await platform.tracking.searchRuns({ filter, orderBy: ['name'] });
    expect(runs.map((run) => run.name)).toEqual(expected);
    const { count } = await platform.tracking.countRuns({ filter, exact: true });
    expect(count).toBe(expected.length);
  });

  test('pages hold the runs that the first page saw, while others log datasets', async () => {
    const { tracking } = platform;
    const seen: string[] = [];
    const filter = "datasets.context IN ('train', 'test')";
    const search = { filter, limit: 1, orderBy: ['name'] } as const;
    for (
      let cursor: string | undefined, first = true;
      first || cursor !== undefined;
      first = false
    ) {
      const page = await tracking.searchRuns(cursor === undefined ? search : { ...search, cursor });
      seen.push(...page.runs.map((run) => run.name));
      cursor = page.cursor;
      await tracking.withRun({ ...quick, name: 'later' }, (run) =>
        run.logDataset({ name: 'mnist', digest: `later ${seen.length}`, role: 'train' }),
      );
    }
    expect(seen).toEqual(['both', 'custom', 'mnist']);
  });
});
