import { readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { htmlElements } from '../../../test/html-elements.ts';
import {
  openTestPlatform,
  sharePlatform,
  temporaryDirectory,
} from '../../../test/open-test-platform.ts';
import { type Rule, RuleRuntime, ruleSignature } from '../../../test/rule-runtime.ts';
import type { Services } from '../../open-platform.ts';
import { seededRandom } from '../../statistics/index.ts';
import type { ModelVersion } from '../model-version.ts';
import type { PerformanceFigures } from './performance-test.ts';
import type { GoldenCase, SuiteTest, ValidationSuiteOptions } from './suite.ts';

const shared = sharePlatform();
const good: Rule = { a: 2, b: -1 };

async function register(services: Services, rule: Rule): Promise<ModelVersion> {
  return await services.registry.register({
    model: 'm',
    from: { files: { 'model.json': Buffer.from(JSON.stringify(rule)) } },
    format: 'CUSTOM',
    signature: ruleSignature,
  });
}

function sure({ a = 0, b = 0, bias = 0 }: Rule, row: { a: number; b: number }): number {
  return 1 / (1 + Math.exp(-(bias + a * row.a + b * row.b)));
}

/** Rows whose label is drawn with the probability that the rule gives, in two groups. */
function labelledRows(count: number, rule: Rule = good) {
  const random = seededRandom('validation rows');
  return Array.from({ length: count }, (_, i) => {
    const row = { a: random.normal(), b: random.normal() };
    return {
      ...row,
      group: i % 4 === 0 ? 'small' : 'large',
      age: 10 + (i % 60),
      label: random.chance(sure(rule, row)) ? 'yes' : 'no',
    };
  });
}

const cases: readonly GoldenCase[] = [
  {
    inputs: { a: 1, b: 0 },
    expected: { label: 'yes', probabilities: { yes: sure(good, { a: 1, b: 0 }) } },
  },
  { inputs: { a: -1, b: 0.5 }, expected: { label: 'no' } },
];
const golden: SuiteTest = { test: 'golden', cases };

async function outcomeOf(
  services: Services,
  rule: Rule,
  suite: Omit<ValidationSuiteOptions, 'name'>,
  more: object = {},
) {
  const version = await register(services, rule);
  await services.registry.setValidationSuite('m', { name: 's', ...suite });
  const runtime = new RuleRuntime();
  const report = await services.registry.validate(version.id, 's', { runtime, ...more });
  return { report, version, runtime, tests: report.tests };
}

describe('validate', () => {
  test('runs all kinds of tests, keeps a report, annotates the version and says so', async () => {
    const { platform } = shared.fresh();
    const { registry } = platform;
    const progress: string[] = [];
    const { report, version, runtime } = await outcomeOf(
      platform,
      good,
      {
        data: { holdout: { rows: labelledRows(400) } },
        tests: [
          golden,
          {
            test: 'metrics',
            data: 'holdout',
            label: 'label',
            limits: [
              { metric: 'accuracy', min: 0.7, judge: 'bound' },
              { metric: 'auc', min: 0.8 },
              { metric: 'logLoss', max: 0.6 },
              { metric: 'mine', max: 1 },
            ],
          },
          {
            test: 'segments',
            data: 'holdout',
            label: 'label',
            metric: 'accuracy',
            by: ['group', 'age'],
            edges: { age: [30, 50] },
            maxGap: 0.2,
          },
          {
            test: 'performance',
            name: 'speed',
            data: 'holdout',
            concurrency: 4,
            requests: 40,
            limits: { maxP99Ms: 5_000, minRequestsPerSecond: 1, maxMemoryBytes: 2e9 },
          },
          { test: 'replay', maxDifferentShare: 0 },
        ],
      },
      {
        metrics: { mine: (rows: readonly unknown[]) => rows.length / 1000 },
        sampledRequests: [{ features: { a: 1, b: 1 } }],
        onProgress: ({ test: name, done }: { test: string; done: number }) =>
          progress.push(`${name} ${done}`),
      },
    );
    expect(report.tests.map(({ name, outcome, detail }) => [name, outcome, detail])).toEqual([
      ['golden', 'PASSED', '2 of 2 as expected'],
      ['metrics', 'PASSED', expect.stringMatching(/^accuracy 0\.\d+ \[.*auc.*logLoss.*mine 0\.4/)],
      ['segments', 'PASSED', expect.stringMatching(/^by group the gap.*; by age the gap/)],
      ['speed', 'PASSED', expect.stringContaining('at concurrency 4')],
      ['replay', 'SKIPPED', expect.stringContaining('nothing is in production')],
    ]);
    expect(report.outcome).toBe('PASSED');
    expect(progress).toEqual([
      'download 0',
      'load 0',
      'golden 0',
      'metrics 1',
      'segments 2',
      'speed 3',
      'replay 4',
    ]);
    expect([runtime.loaded, runtime.unloaded, runtime.mostUnderWay]).toEqual([1, 1, 4]);
    expect(readdirSync(tmpdir())).not.toContain(runtime.directories[0]?.split('/').at(-2));

    expect(await registry.getValidation(report.id)).toEqual(report);
    const [summary] = await registry.listValidations(version.id);
    expect(summary).toMatchObject({ id: report.id, outcome: 'PASSED', suiteRevision: 1 });
    expect(summary?.tests[0]).toEqual({
      ...{ name: 'golden', test: 'golden', outcome: 'PASSED', detail: '2 of 2 as expected' },
    });
    expect((await registry.getVersionById(version.id)).validations).toEqual({ s: 'PASSED' });
    const filter = "validations.s = 'PASSED'";
    expect((await registry.searchVersions({ filter })).versions).toHaveLength(1);
    const events = await Array.fromAsync(platform.events.each({ types: ['model.validated'] }));
    expect(events.map(({ payload }) => payload)).toEqual([
      expect.objectContaining({ reportId: report.id, outcome: 'PASSED', failed: [] }),
    ]);
    expect(await registry.cardPage(version.id, 'markdown')).toContain('| s | PASSED |');
  });

  test('a wrong answer fails the golden test, and is told where it is', async () => {
    const { platform } = shared.fresh();
    const { report, tests } = await outcomeOf(platform, { a: 2.1, b: -1 }, { tests: [golden] });
    expect(report.outcome).toBe('FAILED');
    expect(tests[0]?.detail).toMatch(
      /^1 of 2 differ; case 1, probabilities\.yes: 0\.89.* instead of 0\.88/,
    );
    expect(tests[0]?.figures).toMatchObject({ cases: 2, differing: 1, differences: [{ case: 1 }] });
    const loose = { ...golden, outputs: { probabilities: { absolute: 0.05 } } };
    const again = await outcomeOf(platform, { a: 2.1, b: -1 }, { tests: [loose] });
    expect(again.report.outcome).toBe('PASSED');
    expect((await platform.registry.getValidationSuite('m', 's')).revision).toBe(2);
  });

  test('a figure below its limit fails, and one whose interval reaches below, where that is judged', async () => {
    const { platform } = shared.fresh();
    const of = (judge: 'estimate' | 'bound'): SuiteTest => ({
      test: 'metrics',
      name: judge,
      data: 'd',
      label: 'label',
      limits: [{ metric: 'accuracy', min: 0.75, judge }],
    });
    const { tests } = await outcomeOf(platform, good, {
      data: { d: { rows: labelledRows(100) } },
      tests: [of('estimate'), of('bound')],
    });
    expect(tests.map(({ outcome }) => outcome)).toEqual(['PASSED', 'FAILED']);
    expect(tests[1]?.detail).toContain('at least 0.75 for the whole interval');
  });

  test('a segment that is treated worse fails; too few rows are told, and judge nothing', async () => {
    const { platform } = shared.fresh();
    // In group `small` the labels are the other way round.
    const rows = labelledRows(200).map((row) => ({
      ...row,
      ...(row.group === 'small' ? { label: row.label === 'yes' ? 'no' : 'yes' } : {}),
      rare: row.a > 2 ? 'r' : '',
    }));
    const segments = (by: string, minRows: number): SuiteTest => ({
      ...{ test: 'segments', name: by, data: 'd', label: 'label', metric: 'accuracy' },
      ...{ by: [by], maxGap: 0.1, minRows },
    });
    const { tests } = await outcomeOf(platform, good, {
      data: { d: { rows } },
      tests: [segments('group', 30), segments('rare', 30)],
    });
    expect(tests[0]?.detail).toMatch(
      /^by group the gap in accuracy is 0\.\d+ between small and large/,
    );
    expect(tests[1]?.outcome).toBe('FAILED');
    expect(tests[1]?.detail).toContain('nothing can be judged');
    expect(tests[1]?.detail).toContain('1 of 2 segments have too few rows');
  });

  test('slow answers fail the performance test; memory elsewhere cannot be judged from here', async () => {
    const { platform } = shared.fresh();
    const speed = (limits: object): SuiteTest => ({
      ...{ test: 'performance', requests: 6, rounds: 2, warmUpRequests: 1 },
      limits,
    });
    const { tests, version } = await outcomeOf(
      platform,
      { ...good, delayMs: 20 },
      { tests: [speed({ maxP50Ms: 5 }), { ...speed({ maxP50Ms: 5_000 }), name: 'ok' }] },
    );
    expect(tests.map(({ outcome }) => outcome)).toEqual(['FAILED', 'PASSED']);
    expect(tests[0]?.detail).toMatch(/^p50 \d.* ms, allowed 5$/);
    const figures = tests[0]?.figures as PerformanceFigures;
    expect(figures.median.p50Ms).toBeGreaterThan(19);
    expect(figures.histogram.counts.reduce((a, b) => a + b)).toBe(12);
    await platform.registry.setValidationSuite('m', {
      name: 'memory',
      tests: [speed({ maxMemoryBytes: 1e12 })],
    });
    const runtime = new RuleRuntime('remote');
    const report = await platform.registry.validate(version.id, 'memory', { runtime });
    expect(report.tests[0]?.detail).toContain('memory has a limit, and cannot be seen from here');
  });

  test('replay compares with the version in production', async () => {
    const { platform } = shared.fresh();
    const { registry } = platform;
    const first = await register(platform, good);
    const { model, version } = first;
    const { policy } = await registry.getModel(model);
    await registry.setPolicy(model, { ...policy, selfApproval: true });
    await registry.requestTransition({ model, version, to: 'STAGING', reason: 'r' });
    const asked = await registry.requestTransition({
      model,
      version,
      to: 'PRODUCTION',
      reason: 'r',
    });
    await registry.approve(asked.id);
    async function* requests() {
      yield { requestId: 'r1', features: { a: 3, b: 0 } };
      yield { requestId: 'r2', features: { a: 0.1, b: 0.1 } };
      yield { requestId: 'r3', features: { a: -3, b: 0 } };
    }
    const replay: SuiteTest = {
      ...{ test: 'replay', maxDifferentShare: 0.4, outputs: { probabilities: { absolute: 1 } } },
    };
    const candidate = { a: 2, b: -1, bias: -0.2 };
    const { report, runtime } = await outcomeOf(
      platform,
      candidate,
      { tests: [replay] },
      { sampledRequests: requests() },
    );
    expect(runtime.loaded).toBe(2);
    expect(report.tests[0]).toMatchObject({
      outcome: 'PASSED',
      figures: {
        ...{ requests: 3, differing: 1, productionVersion: first.version },
        differences: [{ request: 'r2', place: 'label', production: 'yes', candidate: 'no' }],
        outputs: [
          { output: 'label', differing: 1, meanGap: null },
          { output: 'probabilities', differing: 0, largestGap: expect.any(Number) },
        ],
      },
    });
    const runtime2 = new RuleRuntime();
    const few = { ...replay, minRequests: 10 } as SuiteTest;
    await registry.setValidationSuite('m', { name: 's', tests: [few] });
    const failed = await registry.validate(report.versionId, 's', {
      runtime: runtime2,
      sampledRequests: requests(),
    });
    expect(failed.tests[0]?.detail).toContain('3 requests were handed in; at least 10');
    const itself = { runtime: runtime2, sampledRequests: [] };
    const skipped = await registry.validate(first.id, 's', itself);
    expect(skipped.tests[0]).toMatchObject({ outcome: 'SKIPPED' });
  });
});

test('the page of a report is one without script or outside parts, everything escaped', async () => {
  const { platform } = shared.fresh();
  const hostile = `<script>alert(1)</script>"'&|`;
  const rows = labelledRows(120).map((row, i) => ({ ...row, [hostile]: i % 2 ? hostile : 'x' }));
  const { report } = await outcomeOf(platform, good, {
    data: { d: { rows } },
    tests: [
      {
        ...{ test: 'golden', name: hostile },
        cases: [{ inputs: { a: 1, b: 0 }, expected: { label: hostile } }],
      },
      { test: 'segments', data: 'd', label: 'label', metric: 'accuracy', by: [hostile], maxGap: 0 },
      { test: 'performance', requests: 5, rounds: 1, limits: {} },
    ],
  });
  const page = await platform.registry.validationPage(report.id, 'html');
  expect(page).toContain("default-src 'none'");
  const found = htmlElements(page);
  const names = new Set(found.map(({ name }) => name));
  for (const name of ['script', 'img', 'a', 'iframe', 'link']) expect(names).not.toContain(name);
  for (const { attributes } of found) {
    for (const attribute of attributes) expect(attribute).not.toMatch(/^(on|href|src)/i);
  }
  // Two segments and the histogram are drawn.
  expect(found.filter(({ name }) => name === 'rect').length).toBe(2 + 30);
  expect(page.split('&lt;script&gt;').length).toBeGreaterThan(6);
  const markdown = await platform.registry.validationPage(report.id, 'markdown');
  expect(markdown).not.toContain('<script>');
  expect(markdown.match(/^# /gm)).toHaveLength(1);
});

test('suites, reports and cards move with their model, and are used there as here', async () => {
  const { platform } = shared.fresh();
  const { report, version } = await outcomeOf(platform, good, {
    data: { d: { rows: labelledRows(50) } },
    tests: [
      golden,
      { test: 'segments', data: 'd', label: 'label', metric: 'f1', by: ['group'], maxGap: 1 },
    ],
  });
  await platform.registry.setCard(version.id, { team: 'risk' });
  const from = join(await temporaryDirectory(), 'models.tar');
  await platform.registry.exportModels({ to: from });
  const { platform: other } = await openTestPlatform();
  await other.registry.importModels({ from });
  expect(await other.registry.getValidation(report.id)).toEqual(report);
  expect(await other.registry.getCard(version.id)).toEqual({ team: 'risk' });
  expect(await other.registry.listValidations(version.id)).toEqual(
    await platform.registry.listValidations(version.id),
  );
  const again = await other.registry.validate(version.id, 's', { runtime: new RuleRuntime() });
  expect(again).toMatchObject({ outcome: report.outcome, data: report.data });
  expect((await other.operations.verify({ contents: 'read' })).findings).toEqual([]);
});

describe('a model that misbehaves', () => {
  const tests: readonly SuiteTest[] = [
    golden,
    {
      ...{ test: 'metrics', data: 'd', label: 'label' },
      limits: [{ metric: 'accuracy', min: 0.1 }],
    },
    { test: 'performance', requests: 4, warmUpRequests: 0, limits: {} },
  ];
  const suite = {
    data: { d: { rows: labelledRows(5) } },
    ...{ tests, predictTimeoutMs: 150, loadTimeoutMs: 150 },
  };

  test.each([
    ['hangs', 'the model did not answer rows 1 to 2 within 150 ms'],
    ['throws', 'the model failed on rows 1 to 2: cannot read weights of undefined'],
    ['too few rows', 'rows 1 to 2: output label has 1 rows for the 2 asked'],
    ['another type', 'rows 1 to 2: output label is INT32, and the signature says BYTES'],
    ['no such output', 'rows 1 to 2: the model answered no output probabilities'],
    ['nothing', 'rows 1 to 2: the model answered no list of outputs'],
    ['hangs on load', 'runtime rule did not load the model within 150 ms'],
    ['throws on load', 'the model could not be loaded: weights are missing'],
    ['throws what cannot be kept', 'the model failed on rows 1 to 2: \uFFFD\uFFFD'],
  ] as const)('one that %s has failed tests, which say so', async (fault, said) => {
    const { platform } = shared.fresh();
    const { report, runtime } = await outcomeOf(platform, { ...good, fault }, suite);
    expect(report.outcome).toBe('FAILED');
    expect(report.tests[0]?.detail).toContain(said);
    const isLate = fault.startsWith('hangs') || fault.startsWith('throws');
    if (isLate) expect(report.tests.map(({ outcome }) => outcome)).toEqual(Array(3).fill('FAILED'));
    expect(runtime.unloaded).toBe(runtime.loaded);
    expect(readdirSync(tmpdir())).not.toContain(runtime.directories[0]?.split('/').at(-2));
  });

  test('one that hangs on unload is left behind', async () => {
    const { platform } = shared.fresh();
    const { report, runtime } = await outcomeOf(
      platform,
      { ...good, fault: 'hangs on unload' },
      { tests: [golden], loadTimeoutMs: 150 },
    );
    expect(report.outcome).toBe('PASSED');
    expect(runtime.unloaded).toBe(1);
  });

  test('NaN is no figure to be within limits, and no golden value but NaN', async () => {
    const { platform } = shared.fresh();
    const nan: SuiteTest = {
      ...{ test: 'golden', name: 'nan' },
      cases: [{ inputs: { a: 1, b: 1 }, expected: { probabilities: [Number.NaN, Number.NaN] } }],
    };
    const loss: SuiteTest = {
      ...{ test: 'metrics', data: 'd', label: 'label' },
      limits: [{ metric: 'logLoss', max: 1e9 }],
    };
    const { tests: found } = await outcomeOf(
      platform,
      { fault: 'NaN' },
      { data: suite.data, tests: [nan, golden, loss] },
    );
    expect(found.map(({ outcome }) => outcome)).toEqual(['PASSED', 'FAILED', 'FAILED']);
    expect(found[2]?.detail).toBe('logLoss: NaN is no probability');
  });

  test('one input that fails does not fail the tests that do without it', async () => {
    const { platform } = shared.fresh();
    const positive: SuiteTest = { test: 'golden', name: 'positive', cases: cases.slice(0, 1) };
    const { tests: found } = await outcomeOf(
      platform,
      { ...good, fault: 'fails on negative' },
      { tests: [golden, positive] },
    );
    expect(found.map(({ outcome }) => outcome)).toEqual(['FAILED', 'PASSED']);
    expect(found[0]?.detail).toBe('the model failed on rows 1 to 2: negative input');
  });
});

describe('what cannot be run', () => {
  test('is refused before anything runs, naming all that is missing', async () => {
    const { platform } = shared.fresh();
    const { registry } = platform;
    const version = await register(platform, good);
    await registry.setValidationSuite('m', {
      name: 's',
      data: { fresh: 'given' },
      tests: [
        { test: 'metrics', data: 'fresh', label: 'l', limits: [{ metric: 'profit', min: 0 }] },
        { test: 'replay', maxDifferentShare: 0 },
      ],
    });
    const runtime = new RuleRuntime();
    await expect(registry.validate(version.id, 's', { runtime })).rejects.toMatchObject({
      code: 'INVALID',
      details: {
        problems: [
          'it needs the rows of fresh as options.data.fresh',
          expect.stringContaining('options.metrics.profit'),
          expect.stringContaining('options.sampledRequests'),
        ],
      },
    });
    await expect(registry.validate(version.id, 's', {} as never)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('runtime: must be a ModelRuntime'),
    });
    await expect(registry.validate(version.id, 'x', { runtime })).rejects.toThrow('there are s');
    await registry.setValidationSuite('m', { name: 'g', tests: [golden] });
    const small = { runtime, maxModelBytes: 3 };
    await expect(registry.validate(version.id, 'g', small)).rejects.toMatchObject({
      code: 'EXHAUSTED',
    });
    expect(runtime.directories).toEqual([]);
    expect(await registry.listValidations(version.id)).toEqual([]);
  });

  test('an abort ends it, without a report, though the model hangs', async () => {
    const { platform } = shared.fresh();
    const version = await register(platform, { fault: 'hangs' });
    await platform.registry.setValidationSuite('m', { name: 's', tests: [golden] });
    const gone = new AbortController();
    const runtime = new RuleRuntime();
    const running = platform.registry.validate(version.id, 's', {
      ...{ runtime, signal: gone.signal },
      onProgress: ({ test: name }) => name === 'golden' && setTimeout(() => gone.abort(), 20),
    });
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await platform.registry.listValidations(version.id)).toEqual([]);
    expect(runtime.unloaded).toBe(1);
  });

  test('a version without a signature is refused', async () => {
    const { platform } = shared.fresh();
    const { registry } = platform;
    const bare = await registry.register({
      model: 'm',
      from: { files: { 'model.json': Buffer.from('{}') } },
      format: 'CUSTOM',
    });
    await registry.setValidationSuite('m', { name: 's', tests: [golden] });
    await expect(registry.validate(bare.id, 's', { runtime: new RuleRuntime() })).rejects.toThrow(
      'no signature',
    );
  });
});

describe('suites', () => {
  test('are strict, and name each place', async () => {
    const { platform } = shared.fresh();
    await register(platform, good);
    const problemsOf = async (suite: unknown): Promise<string> => {
      const refused = platform.registry.setValidationSuite('m', suite as never);
      return await refused.then(
        () => 'nothing',
        (error: Error) => error.message,
      );
    };
    const test = { test: 'metrics', data: 'd', label: 'l', limits: [{ metric: 'auc', min: 0 }] };
    const data = { d: { rows: [{ a: 1 }] } };
    expect(
      await problemsOf({ name: 's', tests: [{ ...test, limits: [{ metric: 'auc' }] }], data }),
    ).toContain('suite.tests.0.limits.0: needs min or max');
    expect(await problemsOf({ name: 's', tests: [test] })).toContain(
      'suite.tests.0.data: d is none',
    );
    expect(await problemsOf({ name: 's', tests: [{ ...test, lable: 1 }], data })).toContain(
      'lable',
    );
    expect(
      await problemsOf({ name: 's', tests: [test, { ...test, name: 'metrics' }], data }),
    ).toContain('suite.tests.1.name: is there twice');
    expect(await problemsOf({ name: 's', tests: [test], data: { ...data, e: data.d } })).toContain(
      'uses its data e',
    );
    expect(await problemsOf({ name: 's', tests: [test], data: { d: { rows: [5] } } })).toContain(
      'row 1 of data d is no object',
    );
    expect(await problemsOf({ name: 's', tests: [test], data: { d: { rows: [] } } })).toContain(
      'has no rows',
    );
    expect(
      await problemsOf({ name: 's', tests: [{ test: 'golden', cases: [{ inputs: {} }] }] }),
    ).toContain('Test golden: case 1 is no golden case');
    expect(await problemsOf({ name: 's', tests: [] })).toContain('suite.tests');
    const missing = { d: { sha256: '0'.repeat(64) } };
    expect(await problemsOf({ name: 's', tests: [test], data: missing })).toContain('is not there');
    const text = { d: { bytes: Buffer.from('{"a":1}\n{"a":') } };
    expect(await problemsOf({ name: 's', tests: [test], data: text })).toContain(
      'line 2 is no JSON',
    );
    expect(await platform.registry.listValidationSuites('m')).toEqual([]);
  });

  test('are listed, replaced only by what differs, and removed', async () => {
    const { platform } = shared.fresh();
    const { registry } = platform;
    await register(platform, good);
    const first = await registry.setValidationSuite('m', { name: 's', tests: [golden] });
    expect(await registry.setValidationSuite('m', { name: 's', tests: [golden] })).toEqual(first);
    await registry.setValidationSuite('m', { name: 'a', tests: [golden] });
    const suites = await registry.listValidationSuites('m');
    expect(suites.map(({ name, revision }) => [name, revision])).toEqual([
      ['a', 1],
      ['s', 1],
    ]);
    expect(first.data).toMatchObject({ 'cases of golden': { rows: 2, format: 'jsonl' } });
    expect(await registry.removeValidationSuite('m', 's')).toBe(true);
    expect(await registry.removeValidationSuite('m', 's')).toBe(false);
    await expect(registry.getValidationSuite('m', 's')).rejects.toThrow('there are a');
  });

  test('take rows from CSV files, golden ones too', async () => {
    const { platform } = shared.fresh();
    const place = await temporaryDirectory();
    const rows = labelledRows(60).map(({ a, b, label }) => `${a},${b},"${label}"`);
    const holdout = join(place, 'holdout.csv');
    await writeFile(holdout, ['a,b,label', ...rows].join('\r\n'));
    const p = sure(good, { a: 1, b: 0 });
    const known = join(place, 'golden.csv');
    await writeFile(known, `a,b,expected.label,expected.probabilities.yes\n1,0,yes,${p}\n`);
    const { tests, report } = await outcomeOf(platform, good, {
      data: { known: { file: known }, holdout: { file: holdout } },
      tests: [
        { test: 'golden', data: 'known' },
        {
          ...{ test: 'metrics', data: 'holdout', label: 'label' },
          limits: [{ metric: 'f1', min: 0.5 }],
        },
      ],
    });
    expect(tests.map(({ outcome, detail }) => [outcome, detail])).toEqual([
      ['PASSED', '1 of 1 as expected'],
      ['PASSED', expect.stringContaining('(60 rows)')],
    ]);
    expect(report.data['holdout']).toMatchObject({ rows: 60 });
  });
});

describe('a policy that demands a validation', () => {
  async function staged(platform: Services, check: object) {
    const { registry } = platform;
    const version = await register(platform, good);
    const { policy } = await registry.getModel('m');
    const transitions = policy.transitions.map((rule) =>
      rule.to === 'STAGING'
        ? { ...rule, checks: [{ check: 'validated' as const, suite: 's', ...check }] }
        : rule,
    );
    await registry.setPolicy('m', { ...policy, transitions });
    return {
      version,
      ask: async () => {
        const { model, version: number } = version;
        const request = { model, version: number, to: 'STAGING', reason: 'r' } as const;
        const { status, checks } = await registry.requestTransition(request);
        return [status, checks[0]?.detail];
      },
    };
  }

  test('wants the newest report passed, of the suite as it is now', async () => {
    const { platform } = shared.fresh();
    const { registry } = platform;
    const { version, ask } = await staged(platform, {});
    const runtime = new RuleRuntime();
    expect(await ask()).toEqual(['FAILED', 'the model has no such suite']);
    await registry.setValidationSuite('m', { name: 's', tests: [golden] });
    expect(await ask()).toEqual(['FAILED', 'the version was not validated by it']);
    await registry.validate(version.id, 's', { runtime });
    const strict: SuiteTest = {
      ...golden,
      cases: [{ inputs: { a: 1, b: 0 }, expected: { label: 'no' } }],
    };
    await registry.setValidationSuite('m', { name: 's', tests: [strict] });
    expect(await ask()).toEqual(['FAILED', expect.stringContaining('the suite has changed')]);
    await registry.validate(version.id, 's', { runtime });
    expect(await ask()).toEqual(['FAILED', expect.stringContaining('says FAILED')]);
    await registry.removeValidationSuite('m', 's');
    await registry.setValidationSuite('m', { name: 's', tests: [golden] });
    expect(await ask()).toEqual(['FAILED', expect.stringContaining('the suite has changed')]);
    const passed = await registry.validate(version.id, 's', { runtime });
    expect(await ask()).toEqual(['DONE', `report ${passed.id}`]);
  });

  test('refuses a report that is too old', async () => {
    const { platform } = shared.fresh();
    const { version, ask } = await staged(platform, { maxAgeMs: 0.5 });
    await platform.registry.setValidationSuite('m', { name: 's', tests: [golden] });
    const runtime = new RuleRuntime();
    await platform.registry.validate(version.id, 's', { runtime });
    await expect.poll(async () => (await ask())[1]).toContain('ms old, allowed 0.5; validate anew');
  });
});

test('the rows of suites and reports, and reports, are no garbage, and are verified', async () => {
  const ahead = { ms: 0 };
  const { platform } = await openTestPlatform({ clock: { now: () => Date.now() + ahead.ms } });
  const { registry, operations } = platform;
  const metrics: SuiteTest = {
    ...{ test: 'metrics', data: 'd', label: 'label' },
    limits: [{ metric: 'accuracy', min: 0.1 }],
  };
  const { report } = await outcomeOf(
    platform,
    good,
    { data: { d: 'given' }, tests: [golden, metrics] },
    { data: { d: labelledRows(50) } },
  );
  ahead.ms = 40 * 86_400_000;
  expect(await operations.gc({ olderThanMs: 0 })).toMatchObject({ contents: 0 });
  expect(await registry.getValidation(report.id)).toEqual(report);
  const whole = await operations.verify({ contents: 'read' });
  expect(whole.findings).toEqual([]);
  // The version's file, the cases, the rows, the report and its page.
  expect(whole.contents).toBe(5);
  // What only a replaced suite had goes once no report needs it.
  await registry.setValidationSuite('m', {
    name: 'other',
    tests: [{ ...golden, cases: cases.slice(1) }],
  });
  await registry.removeValidationSuite('m', 'other');
  ahead.ms = 80 * 86_400_000;
  expect(await operations.gc({ olderThanMs: 0 })).toMatchObject({ contents: 1 });
});
