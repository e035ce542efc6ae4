import { describe, expect, test } from 'vitest';
import { openTestPlatform, sharePlatform } from '../../test/open-test-platform.ts';
import type { Services } from '../open-platform.ts';
import type { RegisterOptions } from './register-options.ts';
import type { VersionSearch } from './version-search.ts';

const shared = sharePlatform();

async function register(
  { registry }: Services,
  model: string,
  version: string,
  more: Partial<RegisterOptions> = {},
): Promise<string> {
  const from = { files: { 'model.json': Buffer.from(`${model} ${version}`) } };
  const { id } = await registry.register({ model, version, from, format: 'JS', ...more });
  return id;
}

/** `a@1.0.0 a@1.1.0` …, in the order of the answer. */
async function found({ registry }: Services, search: VersionSearch): Promise<string> {
  const { versions } = await registry.searchVersions(search);
  const exact = await registry.countVersions({ ...search, exact: true });
  expect(exact).toEqual({ count: versions.length, exact: true });
  return versions.map(({ model, version }) => `${model}@${version}`).join(' ');
}

describe('searchVersions', () => {
  async function fleet(): Promise<Services> {
    const { platform } = shared.fresh();
    const quick = { experiment: 'e', environment: false, id: 'run-1' } as const;
    await platform.tracking.withRun(quick, async (run) => {
      await run.logDataset({ name: 'clicks', digest: 'f00d', role: 'train' });
      await run.logArtifact('model/m', Buffer.from('m'));
    });
    const team = (name: string) => ({ tags: { team: name } });
    const base = await register(platform, 'base', '0.9.0', {
      ...team('core'),
      lineage: { codeCommit: 'c0ffee', environment: { image: 'trainer:7', lockHash: 'a1' } },
    });
    await platform.registry.register({
      model: 'fraud',
      version: '1.0.0',
      from: { runId: 'run-1', path: 'model' },
      format: 'ONNX',
      metrics: { auc: 0.9 },
      ...team('risk'),
    });
    await register(platform, 'fraud', '1.10.0', {
      metrics: { auc: 0.95 },
      ...team('risk'),
      description: 'Tuned.',
      lineage: {
        parentVersionIds: [base],
        featureSets: ['clicks@3'],
        pipelineExecutionId: 'x1',
        cause: { alert: { rule: 'drift' } },
      },
    });
    await register(platform, 'fraud', '1.9.0-beta.2', {
      metrics: { auc: 0.7 },
      lineage: { datasets: [{ digest: 'beef', name: 'prices' }], codeCommit: 'c0de' },
    });
    const { versions } = await platform.registry.searchVersions({ filter: "version = '1.10.0'" });
    await platform.registry.setCard(versions[0]?.id ?? '', { team: 'risk', architecture: 'tree' });
    await platform.registry.requestTransition({
      ...{ model: 'fraud', version: '1.0.0', to: 'ARCHIVED', reason: 'old', confirm: true },
    });
    return platform;
  }

  const newestFirst = 'fraud@1.9.0-beta.2 fraud@1.10.0 fraud@1.0.0 base@0.9.0';
  test.each<[string, VersionSearch, string]>([
    ['all, newest first', {}, newestFirst],
    ['a model', { model: 'base' }, 'base@0.9.0'],
    ['two models', { model: ['base', 'fraud'] }, newestFirst],
    ['a range', { versionRange: '^1' }, 'fraud@1.10.0 fraud@1.0.0'],
    ['a range of prereleases', { versionRange: '>=1.9.0-alpha <1.10' }, 'fraud@1.9.0-beta.2'],
    ['any of two ranges', { versionRange: '0.x || >1.5' }, 'fraud@1.10.0 base@0.9.0'],
    [
      'versions in order',
      { orderBy: ['version'] },
      'base@0.9.0 fraud@1.0.0 fraud@1.9.0-beta.2 fraud@1.10.0',
    ],
    ['a later version', { filter: "version > '1.9.0'" }, 'fraud@1.10.0'],
    [
      'between two versions',
      { filter: "version BETWEEN '1.0.0' AND '1.9.0'" },
      'fraud@1.9.0-beta.2 fraud@1.0.0',
    ],
    [
      'a metric',
      { filter: 'metrics.auc >= 0.9', orderBy: ['metrics.auc'] },
      'fraud@1.0.0 fraud@1.10.0',
    ],
    ['a tag', { filter: "tags.team = 'core'" }, 'base@0.9.0'],
    ['a stage', { filter: "stage = 'ARCHIVED'" }, 'fraud@1.0.0'],
    ['a status and a format', { filter: "status = 'READY' AND format = 'ONNX'" }, 'fraud@1.0.0'],
    ['a card', { filter: "card.team = 'risk' AND card.architecture LIKE 'tr%'" }, 'fraud@1.10.0'],
    ['a cause', { filter: "cause.alert.rule = 'drift'" }, 'fraud@1.10.0'],
    ['a description', { filter: "description ILIKE 'tuned%'" }, 'fraud@1.10.0'],
    ['a number and a size', { filter: 'number = 2 AND size_bytes > 3' }, 'fraud@1.10.0'],
    ['a time', { filter: "created > '2020-01-01' AND model = 'base'" }, 'base@0.9.0'],
    ['a run', { filter: "lineage.run = 'run-1'" }, 'fraud@1.0.0'],
    ['a dataset of the run', { filter: "lineage.dataset = 'f00d'" }, 'fraud@1.0.0'],
    ['a dataset of its own', { filter: "lineage.dataset_name LIKE 'pri%'" }, 'fraud@1.9.0-beta.2'],
    [
      'any of two datasets',
      { filter: "lineage.dataset IN ('f00d', 'beef', 'none')" },
      'fraud@1.9.0-beta.2 fraud@1.0.0',
    ],
    [
      'no such dataset',
      { filter: "NOT lineage.dataset = 'f00d' AND model = 'fraud'" },
      'fraud@1.9.0-beta.2 fraud@1.10.0',
    ],
    [
      'a dataset at all',
      { filter: 'lineage.dataset IS NOT NULL' },
      'fraud@1.9.0-beta.2 fraud@1.0.0',
    ],
    ['a commit', { filter: "lineage.commit = 'c0ffee'" }, 'base@0.9.0'],
    [
      'the beginning of a commit',
      { filter: "lineage.commit LIKE 'c0%'" },
      'fraud@1.9.0-beta.2 base@0.9.0',
    ],
    [
      'an image and a lock file',
      { filter: "lineage.image = 'trainer:7' AND lineage.lock = 'a1'" },
      'base@0.9.0',
    ],
    ['an execution', { filter: "lineage.execution IN ('x1', 'x2')" }, 'fraud@1.10.0'],
    ['features', { filter: "lineage.features LIKE 'clicks@%'" }, 'fraud@1.10.0'],
    ['features at all', { filter: 'lineage.features IS NOT NULL' }, 'fraud@1.10.0'],
    [
      'no parent',
      { filter: "lineage.parent IS NULL AND stage = 'DEVELOPMENT'" },
      'fraud@1.9.0-beta.2 base@0.9.0',
    ],
    ['nothing', { filter: "lineage.commit = 'none' OR lineage.features = 'none'" }, ''],
  ])('%s', async (_, search, expected) => {
    expect(await found(await fleet(), search)).toBe(expected);
  });

  test('a parent, and an alias', async () => {
    const { platform } = shared.fresh();
    const parent = await register(platform, 'm', '1.0.0');
    await register(platform, 'm', '1.1.0', { lineage: { parentVersionIds: [parent] } });
    expect(await found(platform, { filter: `lineage.parent = '${parent}'` })).toBe('m@1.1.0');
    expect(await found(platform, { filter: "alias = 'champion'" })).toBe('');
    await platform.registry.setAlias('m', 'champion', '1.1.0');
    expect(await found(platform, { filter: "alias = 'champion'" })).toBe('m@1.1.0');
    expect(await found(platform, { filter: 'aliases.champion = TRUE' })).toBe('m@1.1.0');
    expect(await found(platform, { filter: "alias IN ('none', 'champion')" })).toBe('m@1.1.0');
    await platform.registry.removeAlias('m', 'champion');
    expect(await found(platform, { filter: "NOT alias IN ('a', 'b')" })).toBe('m@1.1.0 m@1.0.0');
  });

  test('what is deleted is left out, unless it is asked for', async () => {
    const { platform } = shared.fresh();
    await register(platform, 'm', '1.0.0');
    await register(platform, 'm', '1.1.0');
    await register(platform, 'gone', '1.0.0');
    await platform.registry.deleteVersion('m', '1.0.0', { reason: 'wrong' });
    await platform.registry.deleteModel('gone', { reason: 'wrong' });
    expect(await found(platform, {})).toBe('m@1.1.0');
    expect(await found(platform, { includeDeleted: true })).toBe('gone@1.0.0 m@1.1.0 m@1.0.0');
    expect(await found(platform, { includeDeleted: true, model: 'gone' })).toBe('gone@1.0.0');
    const ofGone = platform.registry.searchVersions({ model: 'gone' });
    await expect(ofGone).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const names = async (search: object): Promise<readonly string[]> =>
      (await platform.registry.searchModels(search)).models.map(({ name }) => name);
    expect(await names({})).toEqual(['m']);
    expect(await names({ name: 'gnoe', includeDeleted: true })).toEqual(['gone']);
  });

  test('pages hold while versions are registered, also where lineage is asked for', async () => {
    const { platform } = shared.fresh();
    const lineage = { codeCommit: 'c1', datasets: [{ digest: 'd', name: 'n' }] };
    for (let i = 1; i <= 5; i += 1) await register(platform, 'm', `1.0.${i}`, { lineage });
    for (const filter of [
      "lineage.commit = 'c1'",
      "lineage.dataset = 'd'",
      "stage = 'DEVELOPMENT'",
    ]) {
      const seen: string[] = [];
      let cursor: string | undefined;
      let patch = 0;
      const search: VersionSearch = {
        filter,
        limit: 2,
        versionRange: '1.0.x',
        orderBy: ['version'],
      };
      do {
        const from = cursor === undefined ? {} : { cursor };
        const page = await platform.registry.searchVersions({ ...search, ...from });
        seen.push(...page.versions.map(({ model, version }) => `${model}@${version}`));
        cursor = page.cursor;
        patch += 1;
        await register(platform, `other ${filter}`, `1.0.${patch}`, { lineage });
      } while (cursor !== undefined);
      expect(new Set(seen).size).toBe(seen.length);
      const ofModel = seen.filter((name) => name.startsWith('m@'));
      expect(ofModel).toEqual([1, 2, 3, 4, 5].map((n) => `m@1.0.${n}`));
      const all = await Array.fromAsync(platform.registry.eachVersion({ ...search, model: 'm' }));
      expect(all.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5]);
    }
  });

  test.each<[VersionSearch, number]>([
    [{ filter: 'nonsense = 1' }, 0],
    [{ filter: "version > 'latest'" }, 10],
    [{ filter: 'version >= 2' }, 11],
    [{ filter: "alias > 'a'" }, 6],
    [{ filter: "alias LIKE 'a%'" }, 6],
    [{ filter: "stage = 'A' AND lineage.colour = 'red'" }, 24],
    [{ filter: 'stage = ' }, 8],
    [{ orderBy: ['alias'] }, 0],
    [{ orderBy: ['number UP'] }, 7],
  ])('%j is a syntax error where it stands', async (search, position) => {
    const { platform } = shared.fresh();
    await expect(platform.registry.searchVersions(search)).rejects.toMatchObject({
      code: 'SYNTAX',
      details: { position },
    });
  });

  test.each<[object, string]>([
    [{ versionRange: 'latest' }, 'INVALID'],
    [{ model: 'none' }, 'NOT_FOUND'],
    [{ models: ['a'] }, 'INVALID'],
    [{ limit: 0 }, 'INVALID'],
    [{ limit: 1001 }, 'INVALID'],
    [{ cursor: 'nonsense' }, 'INVALID'],
    [{ orderBy: ['lineage.commit'] }, 'INVALID'],
    [{ filter: 7 }, 'INVALID'],
    [{ signal: AbortSignal.abort() }, 'ABORTED'],
  ])('%j is refused', async (search, code) => {
    const { platform } = shared.fresh();
    await expect(platform.registry.searchVersions(search)).rejects.toMatchObject({ code });
  });
});

test('who may read one model finds nothing of others, nor compares with them', async () => {
  const lead = { id: 'user:lead', roles: [] };
  const { platform } = await openTestPlatform({ access: true, principal: lead });
  const mine = await register(platform, 'mine', '1.0.0');
  const other = await register(platform, 'other', '1.0.0');
  const { access } = platform.operations;
  await access.grant({ principal: 'user:ana', role: 'viewer', resource: 'model:mine' });
  const { registry } = platform.as({ principal: { id: 'user:ana', roles: [] } });
  const { versions } = await registry.searchVersions();
  expect(versions.map(({ id }) => id)).toEqual([mine]);
  expect((await registry.searchModels()).models.map(({ name }) => name)).toEqual(['mine']);
  expect((await registry.searchModels({ name: 'other' })).models).toEqual([]);
  const forbidden = { code: 'FORBIDDEN' };
  await expect(registry.compare([mine, other])).rejects.toMatchObject(forbidden);
  await expect(registry.compare(['mine@1', 'other@latest'])).rejects.toMatchObject(forbidden);
  await expect(registry.countVersions()).rejects.toMatchObject(forbidden);
  await expect(Array.fromAsync(registry.eachVersion())).rejects.toMatchObject(forbidden);
  await expect(registry.lineage(other)).rejects.toMatchObject(forbidden);
  await expect(registry.impact({ versionId: other })).rejects.toMatchObject(forbidden);
});
