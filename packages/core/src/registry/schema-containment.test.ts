import { Ajv } from 'ajv';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Json, JsonObject } from '../json.ts';
import { schemaContains } from './schema-containment.ts';

const object = (properties: JsonObject, ...required: string[]): JsonObject => ({
  type: 'object',
  properties,
  required,
});

describe('what is shown', () => {
  test.each<readonly [string, JsonObject, JsonObject]>([
    ['the same', { type: 'array', contains: {} }, { contains: {}, type: 'array' }],
    [
      'other words',
      { type: 'string', title: 'a' },
      { type: 'string', title: 'b', examples: ['x'] },
    ],
    ['anything', {}, { type: 'string' }],
    ['integers among numbers', { type: 'number' }, { type: 'integer' }],
    ['one type of two', { type: ['string', 'null'] }, { type: 'string' }],
    [
      'tighter bounds',
      { type: 'number', minimum: 0, maximum: 9 },
      { type: 'number', exclusiveMinimum: 0, maximum: 8 },
    ],
    ['multiples', { multipleOf: 2 }, { type: 'number', multipleOf: 4 }],
    ['whole numbers', { type: 'number', multipleOf: 1 }, { type: 'integer' }],
    ['fewer values', { enum: ['a', 'b'] }, { enum: ['b'] }],
    ['values of a type', { type: 'integer', minimum: 1 }, { enum: [1, 2] }],
    ['short texts', { type: 'string', maxLength: 3 }, { enum: ['ab', '🙂🙂🙂'] }],
    [
      'a property more',
      object({ a: { type: 'string' } }, 'a'),
      object({ a: { type: 'string' }, b: {} }, 'a', 'b'),
    ],
    ['an optional property that is new', object({ a: {} }), object({})],
    [
      'closed objects',
      { type: 'object', properties: { a: {} }, additionalProperties: { type: 'number' } },
      {
        type: 'object',
        properties: { a: {}, b: { type: 'integer' } },
        additionalProperties: false,
      },
    ],
    [
      'items',
      { type: 'array', items: { type: 'number' } },
      { type: 'array', items: { type: 'integer' }, minItems: 2 },
    ],
    ['a branch', { anyOf: [{ type: 'string' }, { type: 'number' }] }, { type: 'integer' }],
    [
      'all branches',
      { type: ['string', 'number'] },
      { anyOf: [{ type: 'string' }, { type: 'integer' }] },
    ],
    ['what holds together', { type: 'string' }, { allOf: [{ type: 'string' }, { minLength: 3 }] }],
    ['what says nothing of the type', { pattern: '^a', minimum: 3 }, { type: 'boolean' }],
    [
      'references',
      {
        type: 'array',
        items: { $ref: '#/$defs/row' },
        $defs: { row: object({ a: { type: 'number' } }) },
      },
      {
        type: 'array',
        items: { $ref: '#/definitions/line' },
        definitions: { line: object({ a: { type: 'integer' } }) },
      },
    ],
  ])('%s', (_, wide, narrow) => {
    expect(schemaContains(wide, narrow)).toBe(true);
  });
});

describe('what is not', () => {
  test.each<readonly [string, JsonObject, JsonObject]>([
    ['numbers among integers', { type: 'integer' }, { type: 'number' }],
    ['anything', { type: 'string' }, {}],
    ['a value more', { enum: ['a'] }, { enum: ['a', 'b'] }],
    ['wider bounds', { minimum: 1 }, { type: 'number', minimum: 0 }],
    ['the bound itself', { exclusiveMinimum: 1 }, { type: 'number', minimum: 1 }],
    ['a property less', object({}, 'a'), object({ a: {} })],
    [
      'a property of another type',
      object({ a: { type: 'string' } }),
      object({ a: { type: 'number' } }),
    ],
    ['a property that may be anything', object({ a: { type: 'string' } }), object({})],
    ['open objects', { additionalProperties: false }, object({})],
    [
      'patterns of names',
      { type: 'object', properties: { a1: { type: 'string' } } },
      {
        type: 'object',
        patternProperties: { '^a': { type: 'number' } },
        additionalProperties: false,
      },
    ],
    ['another pattern', { pattern: '^a' }, { type: 'string', pattern: '^ab' }],
    ['exclusive branches', { oneOf: [{ type: 'number' }, { minimum: 0 }] }, { type: 'number' }],
    ['one branch too many', { type: 'string' }, { anyOf: [{ type: 'string' }, { type: 'null' }] }],
    [
      'equal references to other definitions',
      { type: 'array', items: { $ref: '#/$defs/a' }, $defs: { a: { type: 'string' } } },
      { type: 'array', items: { $ref: '#/$defs/a' }, $defs: { a: { type: 'number' } } },
    ],
    [
      'equal references to the roots',
      { type: 'object', properties: { a: { $ref: '#' } }, additionalProperties: false },
      { type: 'object', properties: { a: { $ref: '#' }, b: {} }, additionalProperties: false },
    ],
    ['null, by a word of OpenAPI', { type: 'string' }, { type: 'string', nullable: true }],
    [
      'endless references',
      { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } },
      { type: 'string' },
    ],
  ])('%s', (_, wide, narrow) => {
    expect(schemaContains(wide, narrow)).toBe(false);
  });
});

describe('held against ajv', () => {
  const number = fc.constantFrom(-1, 0, 1, 1.5, 2, 3);
  const scalar = fc.oneof(
    number,
    fc.constantFrom('', 'a', 'ab', 'abc'),
    fc.constantFrom(true, null),
  );
  const { value } = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', maxDepth: 3 },
      scalar,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), { maxKeys: 3 }),
    ),
  }));
  const part = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 1 });
  const { schema } = fc.letrec<{ schema: JsonObject | boolean }>((tie) => ({
    schema: fc.oneof(
      { depthSize: 'small', maxDepth: 3 },
      fc.constantFrom<boolean | JsonObject>(true, false, {}),
      fc
        .record({
          type: part(
            fc.oneof(
              fc.constantFrom('integer', 'number', 'string', 'object', 'array', 'null'),
              fc.constant(['string', 'number']),
            ),
          ),
          minimum: part(number),
          exclusiveMaximum: part(number),
          multipleOf: part(fc.constantFrom(1, 2, 0.5)),
          maxLength: part(fc.nat(3)),
          minLength: part(fc.nat(3)),
          enum: part(fc.uniqueArray(scalar, { minLength: 1, maxLength: 3 })),
          minItems: part(fc.nat(2)),
          items: part(tie('schema')),
          required: part(fc.uniqueArray(fc.constantFrom('a', 'b'), { maxLength: 2 })),
          properties: part(fc.dictionary(fc.constantFrom('a', 'b'), tie('schema'), { maxKeys: 2 })),
          patternProperties: part(
            fc.dictionary(fc.constantFrom('^a', 'c'), tie('schema'), { maxKeys: 1 }),
          ),
          additionalProperties: part(tie('schema')),
          anyOf: part(fc.array(tie('schema'), { minLength: 1, maxLength: 2 })),
          oneOf: part(fc.array(tie('schema'), { minLength: 1, maxLength: 2 })),
          allOf: part(fc.array(tie('schema'), { minLength: 1, maxLength: 2 })),
          not: part(tie('schema')),
        })
        .map((whole) => JSON.parse(JSON.stringify(whole)) as JsonObject),
    ),
  }));
  const root = schema.filter((each) => typeof each === 'object') as fc.Arbitrary<JsonObject>;
  /** The same schema with one keyword less or more, which is close enough to be contained now and then. */
  const pair = fc.oneof(
    fc.tuple(root, root),
    fc.tuple(root, fc.nat()).map(([narrow, drop]) => {
      const keys = Object.keys(narrow);
      const { [keys[drop % Math.max(1, keys.length)] ?? '']: _, ...wide } = narrow;
      return [wide, narrow] as [JsonObject, JsonObject];
    }),
    fc.tuple(root, root).map(([a, b]) => [a, { ...a, ...b }] as [JsonObject, JsonObject]),
  );

  test('no value that fits the narrow one fails the wide one', () => {
    let shown = 0;
    fc.assert(
      fc.property(
        pair,
        fc.array(value, { minLength: 30, maxLength: 30 }),
        ([wide, narrow], values) => {
          if (!schemaContains(wide, narrow)) return;
          shown += 1;
          const ajv = new Ajv({ strict: false, validateSchema: false });
          const [fitsWide, fitsNarrow] = [ajv.compile(wide), ajv.compile(narrow)];
          for (const each of values) {
            if (fitsNarrow(each)) expect([each, fitsWide(each)]).toEqual([each, true]);
          }
        },
      ),
      { numRuns: 3_000 },
    );
    expect(shown).toBeGreaterThan(500);
  });
});
