import { definePipeline, openPlatform, type Pipeline } from '@keelson/core';
import pg from 'pg';
import { expect, onTestFinished, test, vi } from 'vitest';
import { temporaryDirectory } from '../../core/test/open-test-platform.ts';
import { pgBackend } from '../src/index.ts';
import { describeOnPg } from './server/test-database.ts';

await describeOnPg('what a step of a pipeline asks of PostgreSQL', ({ url, freshSchema }) => {
  test('is fewer than 16 statements, two of which commit its changes', async () => {
    const backend = pgBackend({ url, schema: freshSchema(), listen: false });
    const dir = await temporaryDirectory();
    await using platform = await openPlatform({ dir, metadata: backend, series: backend });
    const statements: string[] = [];
    const query = pg.Client.prototype.query;
    const spy = vi.spyOn(pg.Client.prototype, 'query').mockImplementation(function (
      this: pg.Client,
      ...args: unknown[]
    ) {
      const [first] = args;
      statements.push(typeof first === 'string' ? first : String((first as { text: string }).text));
      return Reflect.apply(query, this, args) as never;
    });
    onTestFinished(() => spy.mockRestore());
    const count = async (pipeline: Pipeline): Promise<{ all: number; commits: number }> => {
      statements.length = 0;
      const { id } = await platform.pipelines.start(pipeline as Pipeline<Record<never, never>>);
      expect(await platform.pipelines.wait(id)).toMatchObject({ status: 'COMPLETED' });
      // Others hear of events at most each 10 ms, and leases are looked at each second: by time, not by step.
      const own = statements.filter((text) => !text.includes('pg_notify'));
      const commits = own.filter((text) => text.includes('commit_changes'));
      return { all: own.length, commits: commits.length };
    };
    const [few, many] = [chainOf(10), chainOf(60)];
    for (const pipeline of [few, many]) await count(pipeline);
    const [before, after] = [await count(few), await count(many)];
    expect((after.commits - before.commits) / 50).toBeCloseTo(2, 1);
    expect((after.all - before.all) / 50).toBeLessThan(16);
  });
});

function chainOf(steps: number): Pipeline {
  return definePipeline(`chain${steps}`, { version: '1.0.0' }, (p) => {
    let before = p.step('s0', {}, () => 0);
    for (let i = 1; i < steps; i += 1) {
      before = p.step(`s${i}`, { before }, ({ inputs }) => inputs.before + 1);
    }
  });
}
