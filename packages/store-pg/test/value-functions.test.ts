import { facetValue } from '@keelson/core/sql';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { PgDatabase } from '../src/connection/pg-database.ts';
import { metadataSchema } from '../src/metadata/metadata-schema.ts';
import { migrate } from '../src/schema/migrations.ts';
import { sharedSchema } from '../src/schema/shared-schema.ts';
import { describeOnPg } from './server/test-database.ts';

const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 1_000_000);
const rounds = 20;
const atOnce = 500;

const double = fc.oneof(
  fc.double({ noNaN: true }),
  fc.double({ noNaN: true, min: -1e22, max: 1e22 }),
  fc.double({ noNaN: true, min: -1e-5, max: 1e-5 }),
  fc.integer(),
  fc.maxSafeInteger(),
  // Where texts of 16 digits lie exactly between two numbers.
  fc.bigInt({ min: 2n ** 52n, max: 2n ** 80n }).map(Number),
  fc.constantFrom(
    1e21,
    1e21 - 2 ** 17,
    1e-6,
    1e-7,
    5e-324,
    2 ** -1022,
    Number.MAX_VALUE,
    -0,
    123e18,
  ),
);
const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), maxLength: 30 });
const exponent = fc.oneof(
  fc.integer({ min: -400, max: 400 }).map(String),
  fc.constantFrom('00007', '+0', '-0', '999999999999', '-999999999999', '308', '-324', '-325'),
);
const decimal = fc
  .tuple(
    fc.constantFrom('', '-', '+'),
    digits,
    fc.constantFrom('', '.'),
    digits,
    fc.option(exponent),
  )
  .map(([sign, a, point, b, e]) => `${sign}${a}${point}${b}${e === null ? '' : `e${e}`}`);
const text = fc.oneof(
  decimal,
  double.map(String),
  double.map((value) => value.toExponential()),
  double.map((value) => value.toFixed(20)),
  fc.string({ maxLength: 8 }).map((value) => value.replaceAll('\u0000', '')),
  fc.constantFrom(
    ...['', ' 1', '1 ', '1\n', '0x1', '1_0', '.', '.5', '5.', '1e', 'e1', 'NaN', 'Infinity'],
    ...['1.7976931348623158e308', '1.7976931348623159e308', '179769313486231580793e289'],
    ...[
      '2.4703282292062327e-324',
      '2.4703282292062328e-324',
      '1e-400',
      `0.${'0'.repeat(390)}1e391`,
    ],
    ...[`1${'0'.repeat(308)}`, `1${'0'.repeat(309)}`, '9'.repeat(400), '9'.repeat(401)],
  ),
);

await describeOnPg(`functions over values (KEELSON_SEED=${seed})`, ({ url, freshSchema }) => {
  const database = new PgDatabase({ url, schema: freshSchema() });
  beforeAll(async () => {
    await migrate(database, [sharedSchema, metadataSchema]);
    return () => database.close();
  });

  /** What a function makes of many values. */
  async function called(
    name: string,
    type: string,
    values: readonly unknown[],
  ): Promise<unknown[]> {
    const rows = await database.snapshot((transaction) =>
      transaction.query(`SELECT ${name}(v) AS made FROM unnest($1::${type}[]) AS v`, [values]),
    );
    return rows.map((row) => row['made']);
  }

  test('number_of_text reads the numbers that JavaScript reads', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const texts = fc.sample(text, { numRuns: atOnce, seed: seed + round });
      const made = await called('number_of_text', 'text', texts);
      const due = texts.map((one) => facetValue(one).num);
      const wrong = texts.filter((_, i) => made[i] !== due[i] && Number(made[i]) !== due[i]);
      expect(wrong).toEqual([]);
    }
  });

  test('text_of_number writes what JavaScript writes', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const numbers = fc.sample(double, { numRuns: atOnce, seed: seed + round });
      expect(await called('text_of_number', 'double precision', numbers)).toEqual(
        numbers.map(String),
      );
    }
  });
});
