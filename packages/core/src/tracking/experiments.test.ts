import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';
import type { NewExperiment } from './experiment.ts';

const shared = sharePlatform();
const open = () => shared.fresh().platform.tracking;

describe('createExperiment', () => {
  test('gives back what was given, and finds it by name and by id', async () => {
    const tracking = open();
    const tags = { team: 'vision', __proto__x: '', empty: '' };
    const made = await tracking.createExperiment({ name: 'fraud/cnn', description: 'd', tags });
    expect(made).toMatchObject({
      name: 'fraud/cnn',
      description: 'd',
      tags,
      lifecycle: 'active',
      createdBy: expect.stringMatching(/^user:/),
      revision: 1,
    });
    expect(await tracking.getExperiment('fraud/cnn')).toEqual(made);
    expect(await tracking.getExperiment(made.id)).toEqual(made);
    expect(await tracking.findExperiment('fraud')).toBeUndefined();
  });

  test('a taken name is a conflict that says what to do, or reused, or told apart', async () => {
    const tracking = open();
    const made = await tracking.createExperiment({ name: 'a' });
    await expect(tracking.createExperiment({ name: 'a' })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining("ifExists: 'reuse'"),
    });
    expect(await tracking.createExperiment({ name: 'a', ifExists: 'reuse' })).toEqual(made);
    const others = await Promise.all(
      Array.from({ length: 5 }, () => tracking.createExperiment({ name: 'a', ifExists: 'suffix' })),
    );
    for (const other of others) expect(other.name).toMatch(/^a-\d{4}-\d\d-\d\d-\d{6}$/);
    expect(new Set(others.map((other) => other.name)).size).toBe(5);
  });

  test('ten at once by one name: one is made, all reuse it', async () => {
    const tracking = open();
    const made = await Promise.all(
      Array.from({ length: 10 }, () => tracking.createExperiment({ name: 'x', ifExists: 'reuse' })),
    );
    expect(new Set(made.map((one) => one.id)).size).toBe(1);
    expect((await tracking.listExperiments()).experiments).toHaveLength(1);
  });

  test('a long name keeps room for the suffix, and splits no character', async () => {
    const tracking = open();
    const name = `${'x'.repeat(236)}${'😀'.repeat(9)}!`;
    await tracking.createExperiment({ name });
    const other = await tracking.createExperiment({ name, ifExists: 'suffix' });
    expect(other.name.length).toBeLessThanOrEqual(255);
    expect(other.name.isWellFormed()).toBe(true);
    expect(other.name).toMatch(/-\d{6}$/);
  });

  test.each<[string, unknown, string]>([
    ['no name', {}, 'name'],
    ['an empty name', { name: '' }, '1 to 255 characters'],
    ['a blank name', { name: '  ' }, '1 to 255 characters'],
    ['a long name', { name: 'n'.repeat(256) }, 'at most 255'],
    ['NUL', { name: 'a\u0000' }, 'U+0000'],
    ['a lone surrogate', { name: '\ud800' }, 'lone surrogate'],
    ['a number as name', { name: 7 }, 'name'],
    ['a long description', { name: 'a', description: 'd'.repeat(2049) }, 'at most 2048'],
    [
      '21 tags',
      { name: 'a', tags: Object.fromEntries([...Array(21)].map((_, i) => [i, ''])) },
      '21 tags',
    ],
    ['a tag that is a number', { name: 'a', tags: { n: 1 } }, 'tags.n'],
    ['an empty tag key', { name: 'a', tags: { '': 'x' } }, 'tag key is empty'],
    ['an unknown option', { name: 'a', ifExist: 'reuse' }, '"ifExist"'],
    ['an unknown way', { name: 'a', ifExists: 'merge' }, 'ifExists'],
  ])('%s is refused by name', async (_, options, message) => {
    const tracking = open();
    await expect(tracking.createExperiment(options as NewExperiment)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(message),
    });
    expect((await tracking.listExperiments()).experiments).toEqual([]);
  });
});

describe('updateExperiment', () => {
  test('changes what was named, and keeps its name unique', async () => {
    const tracking = open();
    await tracking.createExperiment({ name: 'taken' });
    const made = await tracking.createExperiment({ name: 'a', description: 'd' });
    const archived = await tracking.updateExperiment('a', { name: 'b', lifecycle: 'archived' });
    expect(archived).toMatchObject({
      name: 'b',
      description: 'd',
      lifecycle: 'archived',
      revision: 2,
    });
    expect(await tracking.findExperiment('a')).toBeUndefined();
    await expect(tracking.updateExperiment('b', { name: 'taken' })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('"taken" already'),
    });
    expect(await tracking.getExperiment(made.id)).toEqual(archived);
  });

  test('a change based on an old revision is a conflict that names both', async () => {
    const tracking = open();
    const made = await tracking.createExperiment({ name: 'a' });
    await tracking.updateExperiment('a', { description: 'mine' });
    await expect(
      tracking.updateExperiment('a', { description: 'yours', revision: made.revision }),
    ).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('revision 2, not 1'),
    });
    expect((await tracking.getExperiment('a')).description).toBe('mine');
  });

  test.each([{ liefcycle: 'archived' }, { lifecycle: 'deleted' }, { name: '' }, { name: 5 }])(
    '%j is refused',
    async (change) => {
      const tracking = open();
      await tracking.createExperiment({ name: 'a' });
      await expect(tracking.updateExperiment('a', change as object)).rejects.toMatchObject({
        code: 'INVALID',
      });
    },
  );

  test('tags of several callers at once are all there', async () => {
    const tracking = open();
    await tracking.createExperiment({ name: 'a' });
    await Promise.all(
      Array.from({ length: 10 }, (_, i) => tracking.setExperimentTags('a', { [`t${i}`]: `${i}` })),
    );
    expect(Object.keys((await tracking.getExperiment('a')).tags)).toHaveLength(10);
  });
});

describe('deleteExperiment and restoreExperiment', () => {
  test('hide the experiment with its runs, and bring them back', async () => {
    const tracking = open();
    await tracking.withRun({ experiment: 'kept' }, () => undefined);
    await tracking.withRun({ experiment: 'a' }, () => undefined);
    const { id } = await tracking.getExperiment('a');
    await tracking.deleteExperiment('a');
    await tracking.deleteExperiment(id);
    expect(await tracking.findExperiment('a')).toBeUndefined();
    expect((await tracking.getExperiment(id)).lifecycle).toBe('deleted');
    expect((await tracking.searchRuns()).runs).toHaveLength(1);
    expect(await tracking.countRuns({ exact: true })).toEqual({ count: 1, exact: true });
    // By its id they can still be looked at.
    expect((await tracking.searchRuns({ experiment: id })).runs).toHaveLength(1);
    await expect(tracking.updateExperiment(id, { name: 'b' })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('restoreExperiment'),
    });
    await expect(tracking.startRun({ experiment: id })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('restoreExperiment'),
    });
    expect(await tracking.restoreExperiment(id)).toMatchObject({ name: 'a', lifecycle: 'active' });
    expect((await tracking.searchRuns()).runs).toHaveLength(2);
  });

  test('a name that was taken meanwhile is a conflict; an archived one is not woken', async () => {
    const tracking = open();
    const { id } = await tracking.createExperiment({ name: 'a' });
    await tracking.deleteExperiment('a');
    await tracking.createExperiment({ name: 'a' });
    await expect(tracking.restoreExperiment(id)).rejects.toMatchObject({ code: 'CONFLICT' });
    await tracking.updateExperiment('a', { lifecycle: 'archived' });
    const archived = await tracking.getExperiment('a');
    expect(await tracking.restoreExperiment(archived.id)).toEqual(archived);
  });
});

describe('listExperiments', () => {
  test('below a path: what lies there, however deep, in pages', async () => {
    const tracking = open();
    const names = ['fraud', 'fraud/cnn', 'fraud/cnn/a', 'fraud-2', 'fraud0', 'fraud/😀', 'risk/x'];
    for (const name of names) await tracking.createExperiment({ name });
    const listed = async (below: string) =>
      (await tracking.listExperiments({ below })).experiments.map(({ name }) => name);
    expect(await listed('fraud')).toEqual(['fraud/cnn', 'fraud/cnn/a', 'fraud/😀']);
    expect(await listed('fraud/')).toEqual(await listed('fraud'));
    expect(await listed('fraud/cnn')).toEqual(['fraud/cnn/a']);
    expect(await listed('fra')).toEqual([]);
    const first = await tracking.listExperiments({ below: 'fraud', limit: 2 });
    const rest = await tracking.listExperiments({ below: 'fraud', cursor: first.cursor ?? '' });
    expect(rest.experiments.map(({ name }) => name)).toEqual(['fraud/😀']);
    for (const below of ['', '/', 5]) {
      const refused = tracking.listExperiments({ below } as object);
      await expect(refused).rejects.toMatchObject({ code: 'INVALID' });
    }
  });

  test('pages by name', async () => {
    const tracking = open();
    for (const name of ['c', 'a', 'b']) await tracking.createExperiment({ name });
    const first = await tracking.listExperiments({ limit: 2 });
    expect(first.experiments.map((one) => one.name)).toEqual(['a', 'b']);
    const rest = await tracking.listExperiments({ limit: 2, cursor: first.cursor ?? '' });
    expect(rest.experiments.map((one) => one.name)).toEqual(['c']);
    expect(rest.cursor).toBeUndefined();
    await expect(tracking.listExperiments({ limit: 0 })).rejects.toMatchObject({ code: 'INVALID' });
    await expect(tracking.listExperiments({ page: 2 } as object)).rejects.toMatchObject({
      code: 'INVALID',
    });
  });

  test('one that does not exist is NOT_FOUND, with what to do', async () => {
    const tracking = open();
    for (const call of [
      () => tracking.getExperiment('none'),
      () => tracking.updateExperiment('none', {}),
      () => tracking.setExperimentTags('none', {}),
      () => tracking.deleteExperiment('none'),
      () => tracking.restoreExperiment('none'),
      () => tracking.searchRuns({ experiment: 'none' }),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining('createExperiment'),
      });
    }
    await expect(tracking.getExperiment('x'.repeat(2_000))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});

describe('runCount', () => {
  test('counts the runs that are not deleted, wherever an experiment is read', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const quick = { environment: false } as const;
    expect((await tracking.createExperiment({ name: 'e' })).runCount).toBe(0);
    const runs = await Promise.all(
      ['e', 'e', 'e', 'other'].map((experiment) => tracking.startRun({ ...quick, experiment })),
    );
    const [first] = runs;
    await tracking.deleteRun(first?.id as string);
    expect((await tracking.getExperiment('e')).runCount).toBe(2);
    expect((await tracking.findExperiment('e'))?.runCount).toBe(2);
    const { experiments } = await tracking.listExperiments();
    expect(experiments.map(({ name, runCount }) => [name, runCount])).toEqual([
      ['e', 2],
      ['other', 1],
    ]);
    await tracking.restoreRun(first?.id as string);
    expect((await tracking.updateExperiment('e', { description: 'd' })).runCount).toBe(3);
    await tracking.deleteExperiment('e');
    const { id } = runs[0] as { readonly id: string };
    const restored = await tracking.restoreExperiment((await tracking.getRun(id)).experimentId);
    expect(restored.runCount).toBe(3);
  });
});
