/**
 * Validates so many rows of CSV against so many of a baseline, in a heap that does not hold them:
 * `validate-many <dir> <rows>`. Prints what came of it as JSON.
 */

import { openPlatform } from '../../src/open-platform.ts';
import {
  type DataValidation,
  dataValidationStep,
} from '../../src/pipelines/data-validation/data-validation-step.ts';
import { definePipeline } from '../../src/pipelines/define-pipeline.ts';
import { seededRandom } from '../../src/statistics/index.ts';

const [dir = '', count = ''] = process.argv.slice(2);
const rows = Number(count);
const platform = await openPlatform({ dir });

async function* table(seed: number): AsyncGenerator<Uint8Array> {
  const random = seededRandom(seed);
  yield Buffer.from('id,price,amount,country,at,note\n');
  for (let i = 0; i < rows; i += 1000) {
    let text = '';
    for (let j = i; j < Math.min(rows, i + 1000); j += 1) {
      const country = 'de fr it es'.split(' ')[random.below(4)];
      text += `id-${seed}-${j},${(100 + 20 * random.normal()).toFixed(3)},${random.below(9)},${country},${1.7e12 + j},"note, ${j % 5000}"\n`;
    }
    yield Buffer.from(text);
  }
}

const schema = {
  type: 'object',
  properties: {
    id: { type: 'string' },
    price: { type: 'number', minimum: -100 },
    amount: { type: 'integer' },
    country: { enum: ['de', 'fr', 'it', 'es'] },
  },
  required: ['id', 'price', 'amount'],
} as const;
const pipeline = definePipeline('many', { version: '1.0.0' }, (p) => {
  const before = p.step('before', {}, ({ outputs }) => outputs.artifact('before.csv', table(1)));
  const now = p.step('now', {}, ({ outputs }) => outputs.artifact('now.csv', table(2)));
  const rules = { columns: { price: { missing: { max: 0.01 }, mean: { min: 99, max: 101 } } } };
  return p.step('validate', { data: now, baseline: before }, dataValidationStep({ schema, rules }));
});
const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
const [, , step] = await platform.pipelines.steps(done.id);
const output = done.output as DataValidation | undefined;
const report = await output?.report.json<{ profile: { columns: { distinct: number }[] } }>();
console.log(
  JSON.stringify({
    failure: done.failure,
    passed: output?.passed,
    rows: output?.rows,
    ids: report?.profile.columns[0]?.distinct,
    ms: (step?.endedAt ?? 0) - (step?.startedAt ?? 0),
    mb: Math.round(process.resourceUsage().maxRSS / 1024),
  }),
);
await platform.close();
