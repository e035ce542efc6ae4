import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';

const shared = sharePlatform();
const quick = { environment: false } as const;

describe('searchRuns', () => {
  test('filters by metrics, params, tags and attributes, and orders with missing values last', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    for (const [i, accuracy] of [0.5, 0.9, 0.7, Number.NaN].entries()) {
      const params = { optimizer: { learning_rate: 10 ** -i }, asText: `${i}` };
      const tags = { team: i % 2 === 0 ? 'vision' : 'nlp' };
      await tracking.withRun(
        { ...quick, experiment: 'a', name: `run ${i}`, params, tags },
        (run) => {
          run.logMetric('accuracy', 0, { step: 0 });
          run.logMetric('accuracy', accuracy, { step: 1 });
        },
      );
    }
    await tracking.withRun({ ...quick, experiment: 'a', name: 'no metric' }, () => undefined);
    const found = async (filter: string, orderBy?: string): Promise<string[]> => {
      const order = orderBy === undefined ? {} : { orderBy: [orderBy] };
      const { runs } = await tracking.searchRuns({ experiment: 'a', filter, ...order });
      return runs.map((run) => run.name);
    };
    expect(await found('metrics.accuracy > 0.6', 'metrics.accuracy DESC')).toEqual([
      'run 1',
      'run 2',
    ]);
    expect(await found('', 'metrics.accuracy DESC')).toEqual([
      'run 1',
      'run 2',
      'run 0',
      // NaN counts as missing; ties are settled by id.
      'run 3',
      'no metric',
    ]);
    expect(await found('metrics.accuracy.min = 0 AND params.asText >= 2', 'params.asText')).toEqual(
      ['run 2', 'run 3'],
    );
    expect(await found("tags.team = 'vision' AND status = 'FINISHED'", 'start_time')).toEqual([
      'run 0',
      'run 2',
    ]);
    expect(await found('params.optimizer.learning_rate BETWEEN 0.001 AND 0.1', 'name')).toEqual([
      'run 1',
      'run 2',
      'run 3',
    ]);
    expect(
      await tracking.countRuns({ filter: 'metrics.accuracy IS NOT NULL', exact: true }),
    ).toEqual({
      count: 4,
      exact: true,
    });
  });

  test('pages hold each run once, in several experiments, while others are added', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const start = (experiment: string) => tracking.startRun({ ...quick, experiment });
    const wanted: string[] = [];
    for (let i = 0; i < 12; i += 1) wanted.push((await start(i % 2 === 0 ? 'a' : 'b')).id);
    await start('c');
    const seen: string[] = [];
    for await (const run of tracking.eachRun({
      experiment: ['a', 'b'],
      limit: 5,
      orderBy: ['start_time'],
    })) {
      seen.push(run.id);
      if (seen.length === 3) await start('c');
    }
    expect([...seen].sort()).toEqual([...wanted].sort());
    const page = await tracking.searchRuns({ experiment: 'a', limit: 4 });
    expect(page.runs).toHaveLength(4);
    expect(page.cursor).toBeDefined();
    expect(await tracking.searchRuns({ experiment: [] })).toEqual({ runs: [] });
  });

  test('newest first when no order is given', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const first = await tracking.startRun({ ...quick, experiment: 'a' });
    await new Promise((resolve) => setTimeout(resolve, 2));
    const second = await tracking.startRun({ ...quick, experiment: 'a' });
    const { runs } = await tracking.searchRuns();
    expect(runs.map((run) => run.id)).toEqual([second.id, first.id]);
  });

  test.each<[string, unknown, string, string]>([
    ['a syntax error', { filter: 'metrics.loss >' }, 'SYNTAX', 'expected'],
    ['an unknown attribute', { filter: "colour = 'red'" }, 'SYNTAX', 'status'],
    ['an unknown order', { orderBy: ['metrics.loss SIDEWAYS'] }, 'SYNTAX', ''],
    ['an unknown option', { order_by: ['x'] }, 'INVALID', '"order_by"'],
    ['a filter that is no text', { filter: 5 }, 'INVALID', 'filter'],
    ['a limit of 0', { limit: 0 }, 'INVALID', 'limit'],
    ['a limit of 1,001', { limit: 1001 }, 'INVALID', 'limit'],
    ['a cursor that is none', { cursor: 'next' }, 'INVALID', 'cursor'],
    ['an unknown experiment', { experiment: 'none' }, 'NOT_FOUND', 'no experiment "none"'],
    ['an unknown lifecycle', { lifecycle: 'archived' }, 'INVALID', 'lifecycle'],
    ['NUL in a value', { filter: "tags.a = '\u0000'" }, 'SYNTAX', 'position 10'],
  ])('%s is refused by name', async (_, search, code, message) => {
    const { platform } = shared.fresh();
    await expect(platform.tracking.searchRuns(search as object)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  test('an aborted search rejects with ABORTED', async () => {
    const { platform } = shared.fresh();
    await expect(
      platform.tracking.searchRuns({ signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('text in a filter reaches the store as a value only', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const evil = "x' OR 1=1; DROP TABLE rec_run; --";
    await tracking.withRun({ ...quick, experiment: 'a', tags: { evil } }, () => undefined);
    const quoted = `tags.evil = '${evil.replaceAll("'", "''")}'`;
    expect((await tracking.searchRuns({ filter: quoted })).runs).toHaveLength(1);
    expect((await tracking.searchRuns({ filter: "tags.evil = 'x'" })).runs).toEqual([]);
    expect((await tracking.searchRuns()).runs).toHaveLength(1);
  });
});
