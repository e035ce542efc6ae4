import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../../test/child-program.ts';
import { sharePlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import type { JsonObject } from '../../json.ts';
import type { Services } from '../../open-platform.ts';
import { seededRandom } from '../../statistics/index.ts';
import { definePipeline } from '../define-pipeline.ts';
import type { StepArtifact, StepOutputs } from '../step-artifact.ts';
import type { DataValidationOptions } from './data-validation-options.ts';
import { type DataValidation, dataValidationStep } from './data-validation-step.ts';

const shared = sharePlatform();

const schema = {
  type: 'object',
  properties: {
    temp: { type: 'number', minimum: -50, maximum: 60 },
    kind: { enum: ['rain', 'sun'] },
  },
  required: ['temp'],
} as const;

test('rows that fit pass, and conditions may ask for it', async () => {
  const { platform } = shared.fresh();
  const rows = numbered(200, (i) => ({ temp: i % 30, kind: i % 2 === 0 ? 'rain' : 'sun' }));
  const rules = {
    rows: { min: 100 },
    columns: { temp: { missing: { max: 0.01 }, mean: { min: 10, max: 20 } } },
  };
  const pipeline = definePipeline('passing', { version: '1.0.0' }, (p) => {
    const loaded = p.step('load', {}, () => ({ rows }));
    const checked = p.step(
      'validate',
      { data: loaded.pick('rows') },
      dataValidationStep({ schema, rules, onFailure: 'report' }),
    );
    return p.step('go', { checked }, () => 'gone on', { when: 'outputs.validate.passed' });
  });
  const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
  expect(done).toMatchObject({ status: 'COMPLETED', output: 'gone on' });
  const { value } = await platform.pipelines.outputs(done.id, 'validate');
  expect(value).toMatchObject({ passed: true, rows: 200, failedRows: 0, findings: [] });
  const { page, report } = value as DataValidation;
  expect(await page.text()).toMatch(/^<!doctype html>.*PASSED.*<svg/s);
  expect(await report.json()).toMatchObject({
    passed: true,
    profile: {
      rows: 200,
      columns: [
        {
          column: 'kind',
          type: 'category',
          top: [
            { value: 'rain', count: 100 },
            { value: 'sun', count: 100 },
          ],
        },
        { column: 'temp', type: 'number', mean: expect.closeTo(14, 9), distinct: 30 },
      ],
    },
  });
});

test('what does not fit fails as data, once, names the worst, and its report is kept', async () => {
  const { platform } = shared.fresh();
  const { pipelines } = platform;
  const rows = numbered(100, (i) =>
    i < 30 ? { temp: 'warm' } : { temp: i === 50 ? 99 : 5, kind: 'fog' },
  );
  const pipeline = validating(
    rows,
    { schema, rules: { columns: { temp: { mean: { max: 4 } } } } },
    { retries: 3 },
  );
  const failed = await pipelines.wait(await pipelines.start(pipeline));
  expect(failed.status).toBe('FAILED');
  const [, step] = await pipelines.steps(failed.id);
  expect(step).toMatchObject({
    status: 'FAILED',
    attempt: 1,
    failure: { class: 'data', name: 'StepError' },
  });
  expect(step?.failure?.message).toMatch(
    /^The data of step validate, 100 rows, did not pass: kind must be one of "rain", "sun" \(enum\) in 70 of 100 rows \(70 %\); temp must be number \(type\) in 30 of 100 rows \(30 %\); temp must be <= 60 \(maximum\) in 1 of 100 rows \(1\.0 %\); mean of temp: it is 6\.3429, which is above 4\. See its artifact data-report\.html\.$/,
  );
  const names = ['data-report.json', 'data-report.html', 'data-profile.json'];
  expect(step?.artifacts.map(({ name }) => name)).toEqual(names.map((name) => `failed/a1/${name}`));
  const kept = await pipelines.artifacts(failed.id, 'validate');
  const report = (await kept['failed/a1/data-report.json']?.json<JsonObject>()) ?? {};
  expect(report).toMatchObject({ passed: false, failures: { failedRows: 100, unreadableRows: 0 } });
  expect((report['failures'] as JsonObject)['examples']).toHaveLength(20);
  expect((report['failures'] as JsonObject)['examples']).toContainEqual({
    row: 1,
    column: 'temp',
    rule: 'type',
    message: 'must be number',
    value: '"warm"',
  });
  expect(await kept['failed/a1/data-report.html']?.text()).toContain('mean of temp');
  await pipelines.retry(failed.id);
  await pipelines.wait(failed.id);
  expect(Object.keys(await pipelines.artifacts(failed.id, 'validate'))).toEqual(
    names.map((name) => `failed/a2/${name}`),
  );
  await expect(pipelines.artifacts(failed.id, 'nothing')).rejects.toMatchObject({
    code: 'NOT_FOUND',
  });
});

test('with onFailure: report the step answers instead', async () => {
  const { platform } = shared.fresh();
  const answer = await answered(platform, [{ temp: 'x' }], { schema, onFailure: 'report' });
  expect(answer).toMatchObject({ passed: false, rows: 1, failedRows: 1 });
  expect(answer.findings).toEqual([
    { kind: 'schema', detail: 'temp must be number (type) in 1 of 1 rows (100 %)' },
  ]);
});

test('a share of failing rows may be tolerated', async () => {
  const { platform } = shared.fresh();
  const rows = numbered(100, (i) => ({ temp: i === 3 ? 'x' : 1 }));
  const tolerant = { schema, onFailure: 'report' } as const;
  expect(await answered(platform, rows, { ...tolerant, tolerated: 0.01 })).toMatchObject({
    passed: true,
    failedRows: 1,
  });
  expect(await answered(platform, rows, { ...tolerant, tolerated: 0.009 })).toMatchObject({
    passed: false,
  });
});

test('CSV: byte order mark, CRLF, quotes over lines, gaps, broken lines, NaN and infinity', async () => {
  const { platform } = shared.fresh();
  const text = [
    '\uFEFFtemp,kind,note,code',
    '1.5,rain,"a, ""b""\r\nc",007',
    '2,sun,,010',
    '',
    '3,sun',
    'NaN,rain,x,1',
    '-inf,rain,y,2',
    'cold,rain,z,3',
    '4,"sun,"x,y',
    '5,sun,"never closed',
  ].join('\r\n');
  const answer = await answered(platform, csv(text), { schema, onFailure: 'report' });
  const report = await answer.report.json<JsonObject>();
  expect(report['profile']).toMatchObject({
    rows: 8,
    columns: [
      {
        column: 'temp',
        type: 'mixed',
        count: 4,
        missing: 4,
        infinite: 1,
        texts: 1,
        min: 1.5,
        max: 2,
      },
      { column: 'kind', count: 5, distinct: 2 },
      {
        column: 'note',
        count: 4,
        missing: 4,
        top: [{ value: 'a, "b"\nc' }, { value: 'x' }, { value: 'y' }, { value: 'z' }],
      },
      // Leading zeros make it a code, no number.
      { column: 'code', type: 'mixed', texts: 2 },
    ],
  });
  const failures = report['failures'] as unknown as { readonly examples: readonly JsonObject[] };
  expect(failures).toMatchObject({ failedRows: 6, unreadableRows: 3 });
  expect(failures.examples.map(({ row, message }) => [row, message])).toEqual([
    [3, 'it has 2 fields, and the head has 4'],
    [4, 'must be number'],
    [5, 'must be number'],
    [6, 'must be number'],
    [7, 'it has text behind a closing quote'],
    [8, 'it opens a quote that nothing closes'],
  ]);
});

test('JSON lines from strangers: nothing of it breaks anything, all of it is told', async () => {
  const { platform } = shared.fresh();
  const wide = JSON.stringify(Object.fromEntries(numbered(400, (i) => [`c${i}`, i])));
  const lines = [
    '{"__proto__": {"polluted": true}, "constructor": 1, "toString": "x"}',
    '{"temp": 1, "kind": "<script>alert(1)</script>"}',
    '{broken',
    '[1, 2]',
    'null',
    `{"temp": "${'y'.repeat(17 * 2 ** 20)}"}`,
    `{"temp": 2, "kind": "${'z'.repeat(1_000_000)}"}`,
    '{"temp": {"$number": "NaN"}, "nul\\u0000": "a\\u0000b", "lone": "\\ud800"}',
    `{"temp": ${'['.repeat(5000)}${']'.repeat(5000)}}`,
    `{"list": [${numbered(5000, () => '"x"').join(',')}]}`,
    wide,
  ];
  const options = {
    schema: {
      ...schema,
      properties: { ...schema.properties, list: { type: 'array', items: { type: 'number' } } },
    },
    onFailure: 'report',
    examples: 5,
  } as const;
  const answer = await answered(platform, jsonl(lines.join('\n')), options);
  expect(answer).toMatchObject({ passed: false, rows: 11 });
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  const report = await answer.report.json<JsonObject>();
  const { columns, moreColumns } = report['profile'] as unknown as {
    columns: readonly JsonObject[];
    moreColumns: boolean;
  };
  expect([columns.length, moreColumns]).toEqual([256, true]);
  expect(columns.map(({ column }) => column).slice(0, 5)).toEqual([
    '__proto__',
    'constructor',
    'toString',
    'temp',
    'kind',
  ]);
  expect(report['failures']).toMatchObject({ unreadableRows: 4 });
  expect((report['failures'] as JsonObject)['examples']).toHaveLength(5);
  expect(answer.report.sizeBytes).toBeLessThan(400_000);
  const page = await answer.page.text();
  expect(page).not.toContain('<script>');
  expect(page).toContain('zzz… (1000000 characters)');
});

test.each([
  ['no rows', []],
  ['an empty artifact', csv('')],
  ['a head alone', csv('temp,kind\r\n')],
  ['blank lines', jsonl('\n\n  \n')],
])('%s: there is nothing to pass', async (_, data) => {
  const { platform } = shared.fresh();
  const rules = { columns: { temp: { missing: { max: 0 } } } };
  const options = { schema, rules, onFailure: 'report', baseline: [{ temp: 1 }] } as const;
  const answer = await answered(platform, data, options);
  expect(answer.findings).toEqual([{ kind: 'rows', detail: 'there are 0 rows, which is below 1' }]);
  const allowed = { ...options, rules: { rows: { min: 0 } } };
  expect(await answered(platform, data, allowed)).toMatchObject({ passed: true, rows: 0 });
});

test('each rule of a column finds what is out of its bounds', async () => {
  const { platform } = shared.fresh();
  const rows = numbered(1000, (i) => ({
    a: i < 20 ? null : i,
    b: ['x', 'y', 'z'][i % 3],
    c: i === 0 ? Number.POSITIVE_INFINITY : 7,
  }));
  const columns = {
    a: {
      missing: { max: 0.01 },
      min: { min: 100 },
      max: { max: 500 },
      deviation: { max: 1 },
      p50: { max: 2 },
      distinct: { max: 9 },
    },
    b: { values: ['x', 'y'], type: 'number', mean: { min: 0 } },
    c: { infinite: { max: 0 } },
    gone: {},
  } as const;
  const { findings } = await answered(platform, rows, { rules: { columns }, onFailure: 'report' });
  expect(findings.map(({ detail }) => detail)).toEqual([
    'b is of type category, not number',
    'the column gone is not there',
    'b has values that are not allowed: "z" (333)',
    '2.0 % of a are missing, which is above 1.0 %',
    '0.1 % of c are infinite, which is above 0.0 %',
    'distinct of a: it is 980, which is above 9',
    'min of a: it is 20, which is below 100',
    'max of a: it is 999, which is above 500',
    'deviation of a: it is 283.05, which is above 1',
    'p50 of a: it is 509.5, which is above 2',
    'mean of b: there are no numbers',
  ]);
});

test('drift is found where there is some, against rows and against the profile of an earlier validation', async () => {
  const { platform } = shared.fresh();
  const baseline = weather(1, 2000, 0);
  const before = await answered(platform, baseline, {});
  const profile = await before.profile.json<never>();
  for (const given of [{ baseline }, { baseline: profile }]) {
    const same = await answered(platform, weather(2, 2000, 0), { ...given, onFailure: 'report' });
    expect(same).toMatchObject({ passed: true, findings: [] });
    const moved = await answered(platform, weather(3, 2000, 1), { ...given, onFailure: 'report' });
    expect(moved.findings.map(({ detail }) => detail)).toEqual([
      'the column gone of the baseline is not there',
      expect.stringMatching(/^kind has drifted: (HIGH|CRITICAL), jensen-shannon 0\.4\d+ /),
      expect.stringMatching(
        /^temp has drifted: CRITICAL, wasserstein 0\.9\d+ \(0\.31 matters\), p = /,
      ),
      expect.stringMatching(/^2\d % of wind are missing, and 5\.\d % of the baseline$/),
      'the column new is not in the baseline',
    ]);
    expect(await moved.page.text()).toContain('<polyline points=');
  }
  const calm = { baseline, drift: { columns: ['wind'] }, onFailure: 'report' } as const;
  expect((await answered(platform, weather(3, 2000, 1), calm)).findings).toHaveLength(1);
  const deaf = {
    baseline,
    drift: { except: ['wind', 'gone', 'new', 'kind'], severity: 'HIGH' },
  } as const;
  expect((await answered(platform, weather(4, 2000, 0.4), deaf)).passed).toBe(true);
});

test('of many columns without drift none is named: p-values are corrected for their number', async () => {
  const { platform } = shared.fresh();
  const table = (seed: number) => {
    const random = seededRandom(seed);
    return numbered(200, () =>
      Object.fromEntries(numbered(100, (i) => [`c${i}`, random.normal()])),
    );
  };
  const baseline = table(1);
  // Any difference matters, so that chance alone decides.
  const effectThresholds = Object.fromEntries(numbered(100, (i) => [`c${i}`, 0]));
  const options = { baseline, drift: { effectThresholds }, onFailure: 'report' } as const;
  const answer = await answered(platform, table(2), options);
  expect(answer).toMatchObject({ passed: true, findings: [] });
  const report = await answer.report.json<JsonObject>();
  const { dataset } = report['drift'] as unknown as {
    dataset: { features: readonly { result: { pValue: number } }[] };
  };
  expect(dataset.features.filter(({ result }) => result.pValue <= 0.05).length).toBeGreaterThan(0);
});

test('a baseline may be an input, and CSV may be compared with it', async () => {
  const { platform } = shared.fresh();
  const asCsv = (rows: readonly object[]) => {
    const names = Object.keys(rows[0] ?? {});
    const line = (row: object) =>
      names.map((name) => String((row as JsonObject)[name] ?? '')).join(',');
    return csv([names.join(','), ...rows.map(line)].join('\n'));
  };
  const pipeline = definePipeline('compared', { version: '1.0.0' }, (p) => {
    const before = p.step('before', {}, ({ outputs }) => asCsv(weather(1, 1500, 0))(outputs));
    const now = p.step('now', {}, ({ outputs }) => asCsv(weather(2, 1500, 1))(outputs));
    const drift = { except: ['gone', 'new'] };
    return p.step('validate', { data: now, baseline: before }, dataValidationStep({ drift }));
  });
  const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
  expect(done.failure).toMatchObject({ step: 'validate', class: 'data' });
  expect(String(done.failure?.['message'])).toMatch(
    /kind has drifted: CRITICAL.*temp has drifted/s,
  );
});

test('what cannot be done is refused: at the definition where it is known then', async () => {
  const { platform } = shared.fresh();
  expect(() => dataValidationStep({ shema: {} } as never)).toThrow(/Unrecognized key: "shema"/);
  expect(() => dataValidationStep({ schema: { type: 'nothing' } })).toThrow(/no valid JSON Schema/);
  expect(() => dataValidationStep({ rules: { columns: { a: { mean: 3 } } } } as never)).toThrow(
    /rules\.columns\.a\.mean/,
  );
  const why = async (data: unknown, options: DataValidationOptions) => {
    const { pipelines } = platform;
    const ended = await pipelines.wait(await pipelines.start(validating(data, options)));
    return `${ended.failure?.['class']}: ${ended.failure?.['message']}`;
  };
  expect(await why('x', {})).toMatch(/^data: The input "data" must be a list of rows/);
  expect(await why([{ a: 1 }], { drift: {} })).toMatch(/^permanent: .* has no baseline/);
  expect(await why([{ a: 1 }], { baseline: [] })).toMatch(/^data: The baseline has no rows/);
  expect(await why([{ a: 1 }], { baseline: { nothing: 1 } as never })).toMatch(
    /^data: .* no profile/,
  );
  expect(await why(csv('a,a\n1,2'), {})).toMatch(/^data: .* has the column "a" twice/);
  const strange = (outputs: StepOutputs) => outputs.artifact('x.bin', Buffer.from('x'));
  expect(await why(strange, {})).toMatch(
    /^permanent: .*x\.bin, is of type application\/octet-stream; say what it is by the option format/,
  );
});

test('rows are streamed: they pass through a heap that could not hold them', async () => {
  const dir = join(await temporaryDirectory(), '.keelson');
  const env = { ...process.env, NODE_OPTIONS: '--max-old-space-size=96' };
  const child = new ChildProgram(childFile('validate-many'), [dir, '300000'], { env });
  expect([await child.end(), child.errors]).toEqual([{ code: 0, signal: null }, '']);
  const { passed, rows, ids } = JSON.parse(child.lines[0] ?? '') as Record<string, unknown>;
  expect({ passed, rows }).toEqual({ passed: true, rows: 300_000 });
  expect(Math.abs(Number(ids) / 300_000 - 1)).toBeLessThan(0.05);
}, 180_000);

type Making = (outputs: StepOutputs) => Promise<StepArtifact>;

let pipelines = 0;

function validating(
  data: unknown,
  options: DataValidationOptions,
  how: { readonly retries?: number } = {},
) {
  pipelines += 1;
  return definePipeline(`p${pipelines}`, { version: '1.0.0' }, (p) => {
    const loaded = p.step('load', {}, ({ outputs }) =>
      typeof data === 'function' ? (data as Making)(outputs) : (data as never),
    );
    return p.step('validate', { data: loaded }, dataValidationStep(options), how);
  });
}

async function answered({ pipelines }: Services, data: unknown, options: DataValidationOptions) {
  const done = await pipelines.wait(await pipelines.start(validating(data, options)));
  expect(done.failure).toBeUndefined();
  return done.output as DataValidation;
}

function csv(text: string): Making {
  return (outputs) => outputs.artifact('rows.csv', Buffer.from(text));
}

function jsonl(text: string): Making {
  return (outputs) => outputs.artifact('rows.jsonl', Buffer.from(text));
}

function numbered<T>(length: number, make: (i: number) => T): T[] {
  return Array.from({ length }, (_, i) => make(i));
}

/** Days whose temperature lies `shift` deviations higher; with a shift the rest changes too. */
function weather(seed: number, days: number, shift: number): readonly object[] {
  const random = seededRandom(seed);
  return numbered(days, () => ({
    temp: 10 + 8 * (random.normal() + shift),
    kind: random.chance(0.3 + 0.5 * Math.floor(shift)) ? 'rain' : 'sun',
    wind: random.chance(0.05 + 0.2 * Math.floor(shift)) ? null : random.uniform(),
    ...(shift >= 1 ? { new: 1 } : { gone: 1 }),
  }));
}
