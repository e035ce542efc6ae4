import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { definePipeline, openPlatform, type Platform } from '@keelson/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CliAnswer, runCli } from '../../test/cli-bed.ts';
import { sparkline } from './looking/sparkline.ts';

let home = '';
let dir = '';
/** The process that uses the directory meanwhile. */
let platform: Platform;
let runIds: readonly string[] = [];
let execution = '';

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'keelson-looking-'));
  dir = join(home, 'platform');
  platform = await openPlatform({ dir });
  const { deployments, pipelines, registry, tracking } = platform;
  const ids: string[] = [];
  for (const [name, auc] of [
    ['first', 0.8],
    ['second', 0.9],
    ['twin', 0.7],
    ['twin', 0.6],
  ] as const) {
    await tracking.withRun(
      { experiment: 'fraud', name, params: { depth: ids.length }, environment: false },
      async (run) => {
        for (let step = 0; step < 40; step += 1) run.logMetric('auc', (auc * step) / 39, { step });
        await run.logText('model/weights.txt', `weights of ${ids.length}`);
        ids.push(run.id);
      },
    );
  }
  runIds = ids;
  const open = ['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED'] as const;
  const transitions = open.flatMap((from) =>
    open
      .filter((to) => to !== from && !(from === 'ARCHIVED' && to === 'PRODUCTION'))
      .map((to) => ({
        from,
        to,
        checks: [],
        approvals: to === 'STAGING' ? 1 : 0,
        approverRoles: [],
      })),
  );
  await registry.createModel({
    ...{ name: 'fraud', policy: { transitions, singleProduction: true, selfApproval: true } },
  });
  for (const runId of ids.slice(0, 2)) {
    const from = { runId, path: 'model' };
    await registry.register({ model: 'fraud', from, format: 'CUSTOM' });
  }
  const [one, two] = await registry.listVersions('fraud');
  await deployments.create({ name: 'api', versionId: one?.id ?? '', environment: 'PRODUCTION' });
  const steps = [
    { weightPercent: 20, durationMs: 600_000 },
    { weightPercent: 50, durationMs: 600_000 },
  ];
  await deployments.deploy('api', { versionId: two?.id ?? '', policy: { steps }, reason: 'new' });
  const pipeline = definePipeline('train', { version: '1.0.0' }, (p) => {
    p.step('fit', {}, () => {
      throw new Error('no data today');
    });
  });
  pipelines.add(pipeline);
  execution = (await pipelines.wait(await pipelines.start(pipeline))).id;
});
afterAll(async () => {
  await platform.close();
  await rm(home, { recursive: true, force: true });
});

async function cli(...argv: readonly string[]): Promise<CliAnswer> {
  return runCli(argv, { dir, cwd: home, terminal: 80, env: { NO_COLOR: '1' } });
}

/** Not wider than the terminal. */
function expectFits(text: string): void {
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
}

describe('what another process is using is shown', () => {
  test.each([
    [['experiments', 'list'], /^EXPERIMENT +RUNS .*\nfraud +4 /],
    [['experiments', 'show', 'fraud'], /experiment {2}fraud[\s\S]*Newest runs/],
    [
      ['runs', 'list', 'fraud', '--filter', "name = 'second'"],
      /auc\n\w{8} {2}second {2}COMPLETED .*0\.9\n$/,
    ],
    [
      ['runs', 'show', 'second'],
      /depth {2}1[\s\S]*auc +0\.9 +0 +0\.9 +40 {2}▁[▁-█]+█\n[\s\S]*model\/weights\.txt/,
    ],
    [['models', 'list'], /fraud {2}1\.\d\.\d/],
    [['models', 'show', 'fraud'], /VERSION[\s\S]*1\.0\.0 +DEVELOPMENT {2}CUSTOM/],
    [['models', 'show', 'fraud@1'], /version +fraud@1\.0\.0 \(number 1\)[\s\S]*auc +0\.8/],
    [['pipelines', 'list'], /train +1\.0\.0 +1 [\s\S]*train +FAILED +1 of 1/],
    [['pipelines', 'show', 'train'], /status +FAILED[\s\S]*fit +FAILED .*no data today/],
    [['deployments', 'list'], /api +fraud +PRODUCTION .*rollout/],
    [
      ['deployments', 'show', 'api'],
      /fraud@1\.0\.0 +DEVELOPMENT +80 %[\s\S]*20 %[\s\S]*rollout status api/,
    ],
    [['rollout', 'status', 'api'], /status +IN_PROGRESS[\s\S]*1 +20 % {2}now/],
    [['alerts', 'list'], /^Nothing fires/],
    [['search', 'metrics.auc >= 0.8'], /second[\s\S]*first/],
    [['search', "model = 'fraud'", '--in', 'versions', '--limit', '1'], /fraud@1\.\d\.\d/],
    [['search', "name LIKE 'fr%'", '--in', 'models'], /^MODEL[\s\S]*fraud/],
    [['search', "name = 'fraud'", '--in', 'experiments'], /^EXPERIMENT[\s\S]*fraud/],
    [['compare', 'first', 'second'], /auc +0\.8 +0\.9 \*\n[\s\S]*depth +0 +1/],
    [['compare', 'fraud@1', 'fraud@latest'], /auc +0\.8 +0\.9 \*/],
  ])('%j', async (argv, expected) => {
    const { code, stdout, stderr } = await cli(...argv);
    expect({ code, stderr: stderr.replace(/^These are .*\n/, '') }).toEqual({
      code: 0,
      stderr: '',
    });
    expect(stdout).toMatch(expected);
    expectFits(stdout);
    const { stdout: json } = await runCli([...argv, '--json'], { dir });
    expect(typeof JSON.parse(json)).toBe('object');
  });

  test('a list says that there is more', async () => {
    const { stdout, stderr } = await cli('runs', 'list', '--limit', '2');
    expect(stdout.trim().split('\n')).toHaveLength(3);
    expect(stderr).toContain('there are more: --limit');
  });

  test('ids may be shortened at either end; what is several, none, or like another is told', async () => {
    const id = runIds[0] ?? '';
    for (const part of [id.slice(-8), id, 'first']) {
      expect((await cli('runs', 'show', part)).stdout).toContain(id);
    }
    const twin = await cli('runs', 'show', 'twin');
    expect(twin).toMatchObject({ code: 1, stdout: '' });
    expect(twin.stderr).toMatch(/"twin" is more than one run: .*\(twin\).*Give more of the id\./);
    expect((await cli('runs', 'show', 'nobody')).stderr).toContain('keelson runs list');
    expect((await cli('models', 'show', 'frad')).stderr).toContain('Did you mean fraud?');
    for (const [argv, said] of [
      [['experiments', 'show', 'fruad'], 'There is no experiment fruad. Did you mean fraud?'],
      [['runs', 'list', 'elsewhere'], 'keelson experiments list'],
      [['deployments', 'show', 'apo'], 'There is no deployment apo. Did you mean api?'],
      [['rollout', 'abort', 'apo', '--reason', 'x'], 'Did you mean api?'],
      [['pipeline', 'run', 'trian'], 'There is no pipeline trian. Did you mean train?'],
    ] as const) {
      const refused = await cli(...argv);
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining(said)]);
    }
    expect((await cli('search', 'metrics.auc >')).code).toBe(2);
  });
});

describe('what is asked is done', () => {
  test('a version is registered, promoted, approved and rolled back', async () => {
    const registered = await cli(
      'register',
      'fraud',
      'second:model',
      '--version',
      '3.0.0',
      '--alias',
      'best',
      '--format',
      'CUSTOM',
    );
    expect(registered.stdout).toMatch(
      /^fraud@3\.0\.0 \(.*1 files?, .*registered: DEVELOPMENT, best\.\n$/,
    );
    expect((await cli('register', 'fraud', 'nothing')).stderr).toContain(
      'no file or directory here, and no run',
    );
    const asked = await cli('promote', 'fraud@best', 'staging', '--reason', 'good');
    expect(asked.stdout).toMatch(/^fraud@3\.0\.0 waits for approval: keelson approve /);
    expect((await cli('approve', 'fraud@best')).stdout).toContain('DEVELOPMENT → STAGING, DONE');
    expect((await cli('approve', 'fraud@best')).stderr).toContain('Nothing of fraud@3.0.0 waits');
    expect((await cli('promote', 'fraud@1', 'prod', '--reason', 'x')).code).toBe(2);
    for (const version of ['fraud@1', 'fraud@best']) {
      const { stdout } = await cli('promote', version, 'production', '--reason', 'good');
      expect(stdout).toMatch(/is in PRODUCTION\.\n/);
    }
    const back = await cli('rollback', 'fraud', '--reason', 'wrong scale');
    expect(back.stdout).toMatch(
      /^fraud: 1\.0\.0 is in production again, 3\.0\.0 in staging\. Incident /,
    );
  });

  test('a rollout is paused, watched, and turned back', async () => {
    expect((await cli('rollout', 'pause', 'api', '--reason', 'look')).stdout).toContain(
      'PAUSED, step 1',
    );
    let seen = 0;
    const watched = await runCli(['rollout', 'status', 'api', '--watch', '--every', '100ms'], {
      dir,
      during: ({ onWrite }) =>
        onWrite(async (all) => {
          seen += 1;
          if (seen === 1) await cli('rollout', 'resume', 'api', '--reason', 'go on');
          else if (all.includes('IN_PROGRESS') && seen === 2) {
            await cli('rollout', 'abort', 'api', '--reason', 'enough');
          }
        }),
    });
    expect(watched.code).toBe(3);
    expect(watched.stdout).toMatch(/PAUSED, step 1 of .*\n[\s\S]*IN_PROGRESS[\s\S]*ROLLED_BACK/);
    expect((await cli('rollout', 'promote', 'api', '--reason', 'x')).stderr).toContain(
      'No rollout of api',
    );
  });

  test('pipelines run, fail with code 3, are retried and cancelled', async () => {
    const file = join(home, 'good.ts');
    const core = new URL('../../../core/src/index.ts', import.meta.url).href;
    await writeFile(
      file,
      `import { definePipeline } from ${JSON.stringify(core)};
export const good = definePipeline('good', {
  version: '1.0.0',
  parameters: { type: 'object', properties: { depth: { type: 'integer' } }, required: ['depth'] },
}, (p) => { p.step('fit', {}, () => 1); });\n`,
    );
    const good = await cli('pipeline', 'run', 'good.ts', '--param', 'depth=3');
    expect(good.stdout + good.stderr).toMatch(/good: COMPLETED after/);
    expect(good.code).toBe(0);
    expect((await cli('pipeline', 'run', 'good.ts')).code).toBe(2);
    expect((await cli('pipeline', 'retry', execution.slice(-8))).stdout).toMatch(/^train \w{8}: /);
    const cancelled = await cli('pipeline', 'cancel', execution, '--reason', 'no more');
    expect(cancelled.stdout + cancelled.stderr).toMatch(/CANCELLED|FAILED|has failed/i);
    expect((await cli('pipeline', 'logs', 'train', 'nothing')).stderr).toContain('it has fit.');
  });

  test('alerts are silenced for a time, and ids that are none are refused', async () => {
    const argv = ['--match', 'deployment=api', '--for', '2h', '--reason', 'new data'];
    expect((await cli('alerts', 'silence', ...argv)).stdout).toMatch(
      /^Silent until .*\(in 120 min\)/,
    );
    expect(
      (await cli('alerts', 'silence', '--match', 'x', '--for', '2h', '--reason', 'y')).code,
    ).toBe(2);
    expect((await cli('alerts', 'ack', 'nothing')).stderr).toContain('keelson alerts list');
  });
});

describe('drift', () => {
  const rows = (shift: number): readonly { readonly age: number; readonly country: string }[] =>
    Array.from({ length: 600 }, (_, i) => ({
      age: ((i * 37) % 100) + shift,
      country: i % 3 === 0 ? 'at' : 'de',
    }));

  test('is told by the exit code, over files of every format, with a page', async () => {
    const csv = rows(0).map(({ age, country }) => `${age},${country}`);
    await writeFile(join(home, 'before.csv'), `age,country\n${csv.join('\n')}\n`);
    await writeFile(join(home, 'same.json'), JSON.stringify(rows(0)));
    await writeFile(
      join(home, 'now.ndjson'),
      rows(60)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(''),
    );
    const same = await runCli(['drift', 'before.csv', 'same.json'], { cwd: home });
    expect(same).toMatchObject({ code: 0, stderr: '' });
    expect(same.stdout).toMatch(/^No drift: 600 rows before, 600 now\./);
    const drifted = ['drift', 'before.csv', 'now.ndjson'];
    const now = await runCli([...drifted, '--html', 'page.html'], { cwd: home });
    expect(now.code).toBe(3);
    expect(now.stdout).toMatch(/DRIFT, severity \w+:[\s\S]*age +number +drift, \w+/);
    expectFits(now.stdout);
    expect((await runCli([...drifted, '--columns', 'country'], { cwd: home })).code).toBe(0);
    expect(
      (await runCli([...drifted, '--columns', 'age', '--threshold', '50'], { cwd: home })).code,
    ).toBe(0);
    const { code, stdout } = await runCli([...drifted, '--json'], { cwd: home });
    expect([code, JSON.parse(stdout).detected]).toEqual([3, true]);
    const wrong = async (...argv: string[]): Promise<string> =>
      (await runCli(['drift', ...argv], { cwd: home })).stderr;
    expect(await wrong('none.csv', 'before.csv')).toContain('There is no file');
    expect(await wrong('before.csv', 'page.html')).toContain('.parquet');
    expect(await wrong('before.csv', 'same.json', '--columns', 'ag')).toContain(
      'has a column "ag"',
    );
    await writeFile(join(home, 'broken.json'), '[1');
    expect(await wrong('broken.json', 'same.json')).toContain('is no table');
    await writeFile(join(home, 'broken.parquet'), 'PAR?');
    expect(await wrong('broken.parquet', 'same.json')).toContain(
      'no Parquet file that can be read',
    );
  });
});

test('a line of bars spans least to greatest', () => {
  expect(sparkline([0, 1, Number.NaN, 2])).toBe('▁▅ █');
  expect(sparkline([])).toBe('');
  expect(sparkline([5, 5])).toBe('▁▁');
});
