import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesFrom, filesOf, modelIn, modelsDirectory } from '../../../test/models/model-files.ts';
import type { JsonObject } from '../../json.ts';
import { readModelFacts } from './read-model-facts.ts';

interface Report {
  readonly features: number;
  readonly names: readonly string[] | null;
  readonly types: readonly string[] | null;
  readonly objective: string;
  readonly trees: number;
  readonly output: readonly number[];
}

const { models, xgboost } = JSON.parse(
  readFileSync(join(modelsDirectory, 'xgboost', 'reported.json'), 'utf8'),
) as { readonly xgboost: string; readonly models: Readonly<Record<string, Report>> };

describe('what XGBoost reports of a model is what its file says', () => {
  test.each(Object.entries(models))('%s', async (file, report) => {
    const facts = await readModelFacts(modelIn('xgboost', file));
    expect(facts).toMatchObject({
      format: 'XGBOOST',
      framework: { name: 'xgboost', version: xgboost },
      details: { features: report.features, objective: report.objective },
    });
    const details: JsonObject = facts?.details ?? {};
    const signature = facts?.signature;
    expect(details['featureNames'] ?? null).toEqual(report.names);
    expect(details['featureTypes'] ?? null).toEqual(report.types);
    // A linear model has no trees; its dump has one text.
    if (details['trees'] !== undefined) expect(details['trees']).toBe(report.trees);
    expect(signature?.inputColumns?.map(({ name }) => name ?? null)).toEqual(
      report.names ?? new Array(report.features).fill(null),
    );
    expect(signature?.outputColumns?.length).toBe(report.output[0] ?? 1);
  });

  test('types of features', async () => {
    const facts = await readModelFacts(modelIn('xgboost', 'named.ubj'));
    expect(facts?.signature?.inputColumns).toEqual([
      { name: 'age', type: 'integer', required: true },
      { name: 'größe in cm', type: 'number', datatype: 'FP32', required: true },
      { name: 'new', type: 'boolean', required: true },
      { name: 'town', type: 'any', required: true },
    ]);
  });
});

const json = (learner: object, version: unknown = [2, 0, 0]): string =>
  JSON.stringify({ learner: { learner_model_param: { num_feature: '2' }, ...learner }, version });

test('trees of 100 MB are passed, not kept', async () => {
  const unit = '{"a":[1.5,"x"]},';
  const head = Buffer.from('{"learner":{"gradient_booster":{"model":{"trees":[');
  const tail = Buffer.from(
    '0]}},"learner_model_param":{"num_feature":"7"},"objective":{"name":"reg:gamma"}},"version":[1,7,6]}',
  );
  const treesBytes = unit.length * 6_250_000;
  const trees = Buffer.alloc(2 ** 20 + unit.length, unit);
  const tailAt = head.length + treesBytes;
  const sizeBytes = tailAt + tail.length;
  const files = filesFrom([{ path: 'm.bin', sizeBytes }], (_, start, end) =>
    Buffer.concat([
      head.subarray(start, end),
      trees.subarray(...partOf(start, end, head.length, tailAt, unit.length)),
      tail.subarray(Math.max(0, start - tailAt), Math.max(0, end - tailAt)),
    ]),
  );
  const facts = await readModelFacts(files);
  expect(facts?.details).toMatchObject({ features: 7, objective: 'reg:gamma' });
  expect(files.largestRead()).toBeLessThanOrEqual(2 ** 20);
});

/** Where what lies between `from` and `to` begins and ends in a text that repeats. */
function partOf(
  start: number,
  end: number,
  from: number,
  to: number,
  period: number,
): [number, number] {
  const first = Math.min(Math.max(start, from), to);
  const offset = (first - from) % period;
  return [offset, offset + Math.max(0, Math.min(end, to) - first)];
}

describe('damaged and hostile models are refused by name', () => {
  const start = '{L\0\0\0\0\0\0\0\x07learner{';
  const key = (name: string) => `i${String.fromCharCode(name.length)}${name}`;

  test.each<readonly [string, string, 'CORRUPT' | 'INVALID', RegExp]>([
    ['cut off', json({}).slice(0, -5), 'CORRUPT', /cut off/],
    ['with more after it', `${json({})}}`, 'CORRUPT', /goes on/],
    ['without features', '{"learner":{}}', 'CORRUPT', /how many features/],
    [
      'with names for others',
      json({ feature_names: ['a'] }),
      'CORRUPT',
      /names or types for 1 features/,
    ],
    ['with -1 features', json({ learner_model_param: { num_feature: '-1' } }), 'CORRUPT', /"-1"/],
    ['deep in what is passed', `{"learner":{"x":${'['.repeat(100_000)}`, 'INVALID', /1000 levels/],
    [
      'deep in what is kept',
      json({ objective: 0 }).replace(
        '"objective":0',
        `"objective":${'['.repeat(900)}${']'.repeat(900)}`,
      ),
      'INVALID',
      /levels/,
    ],
    ['crossed brackets', '{"learner":{"x":[}]}}', 'CORRUPT', /closes/],
    ['NUL', json({ objective: { name: 'a\0b' } }), 'INVALID', /NUL/],
    ['UBJ, cut off', start, 'CORRUPT', /./],
    [
      'UBJ, a text of 2^62 bytes',
      `${start}${key('objective')}SL\x40\0\0\0\0\0\0\0`,
      'CORRUPT',
      /length that is none/,
    ],
    [
      'UBJ, a text of 2^40 bytes',
      `${start}${key('objective')}SL\0\0\x01\0\0\0\0\0`,
      'INVALID',
      /text of/,
    ],
    [
      'UBJ, a list of 2^40 numbers',
      `${start}${key('x')}[$D#L\0\0\x01\0\0\0\0\0`,
      'CORRUPT',
      /should reach/,
    ],
    [
      'UBJ, 2^40 truths that take no room',
      `${start}${key('objective')}[$T#L\0\0\x01\0\0\0\0\0`,
      'INVALID',
      /more than 300000/,
    ],
    [
      'UBJ, 2^40 lists that take no room',
      `${start}${key('x')}[$[#L\0\0\x01\0\0\0\0\0${'#i\0'.repeat(100)}`,
      'CORRUPT',
      /./,
    ],
    ['UBJ, deep', `${start}${key('x')}${'['.repeat(10_000)}`, 'INVALID', /200 levels/],
    ['UBJ, of no type', `${start}${key('x')}?`, 'CORRUPT', /"\?"/],
  ])('%s', async (_, text, code, what) => {
    const refusal = readModelFacts(filesOf({ 'm/model.ubj': Buffer.from(text, 'latin1') }));
    await expect(refusal).rejects.toMatchObject({ code, details: { file: 'm/model.ubj' } });
    await expect(refusal).rejects.toThrow(what);
  });

  test('the old binary format is known, and not read', async () => {
    const facts = await readModelFacts(filesOf({ 'model.bin': 'binf....' }));
    expect(facts).toMatchObject({ format: 'XGBOOST', details: { container: 'BINARY' } });
  });

  test("an objective of one's own leaves the outputs open", async () => {
    const facts = await readModelFacts(
      filesOf({ 'model.json': json({ objective: { name: 'custom' } }) }),
    );
    expect(facts?.signature?.outputColumns).toBeUndefined();
    expect(facts?.notes).toEqual([
      'What the model gives does not follow from its objective, custom.',
    ]);
  });
});
