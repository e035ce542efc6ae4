import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { openTestPlatform, temporaryDirectory } from '../../test/open-test-platform.ts';

describe('four processes that log to one run', () => {
  test('lose no tag, param, metric or change of its description', async () => {
    const dir = await temporaryDirectory();
    const { platform } = await openTestPlatform({ dir });
    const { tracking } = platform;
    const rounds = 25;
    const run = await tracking.startRun({ experiment: 'e', environment: false, description: '0' });
    const names = ['a', 'b', 'c', 'd'];
    const children = names.map(
      (who) => new ChildProgram(childFile('share-run'), [dir, run.id, who, String(rounds)]),
    );
    for (const child of children)
      expect(await child.end(), child.errors).toMatchObject({ code: 0 });
    const read = await tracking.getRun(run.id);

    // The last value of each tag and param that one process alone sets is there.
    for (const who of names) {
      for (let n = 0; n < 5; n += 1)
        expect(read.tags[`own-${who}-${n}`]).toBe(String(20 + (n || 5)));
      for (let n = 1; n <= rounds; n += 1) expect(read.params[`own-${who}.${n}`]).toBe(n);
    }
    // What all set is what one of them set last.
    const last = names.map((who) => `${who} ${rounds}`);
    expect(last).toContain(read.tags['shared']);
    expect(last).toContain(read.params['shared']);
    const history = await tracking.getParamHistory(run.id);
    expect(history).toHaveLength(names.length * rounds);
    for (const who of names) {
      const own = history
        .map((entry) => entry.params['shared'])
        .filter((v) => String(v).startsWith(who));
      expect(own).toEqual(Array.from({ length: rounds }, (_, i) => `${who} ${i + 1}`));
    }

    // Each change that was based on what somebody else had changed was refused, and made again.
    expect(read.description).toBe(String(names.length * rounds));
    const conflicts = children.map((child) =>
      Number(child.lines.at(-1)?.replace('conflicts ', '')),
    );
    expect(conflicts.reduce((a, b) => a + b)).toBeGreaterThan(0);

    const shared = await tracking.getMetricHistory(run.id, 'shared');
    expect(shared.values).toHaveLength(names.length * rounds);
    for (const who of names) {
      const own = await tracking.getMetricHistory(run.id, `own-${who}`);
      expect(own.values).toEqual(Float64Array.from({ length: rounds }, (_, i) => i + 1));
      expect(own.steps).toEqual(Float64Array.from({ length: rounds }, (_, i) => i));
    }
    await run.finish();
  }, 90_000);
});
