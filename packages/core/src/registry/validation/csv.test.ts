import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCsv } from './csv.ts';

const field = fc.oneof(
  fc.string(),
  fc.constantFrom('', 'a,b', 'say "x"', 'two\nlines', 'two\r\nlines', ' padded ', '"'),
);
const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;

describe('parseCsv', () => {
  test('reads back what was written, quoted or not, with either line end', () => {
    const table = fc
      .integer({ min: 2, max: 5 })
      .chain((width) =>
        fc.array(fc.array(field, { minLength: width, maxLength: width }), { maxLength: 6 }),
      );
    fc.assert(
      fc.property(table, fc.constantFrom('\n', '\r\n'), fc.boolean(), (rows, end, closed) => {
        const width = rows[0]?.length ?? 2;
        const head = Array.from({ length: width }, (_, i) => `c${i}`);
        const needs = (text: string): boolean => /[",\r\n]/.test(text);
        const lines = [head, ...rows].map((row) =>
          row.map((text, i) => (needs(text) || i % 2 === 0 ? quote(text) : text)).join(','),
        );
        const text = lines.join(end) + (closed ? end : '');
        expect(parseCsv(text)).toEqual(
          rows.map((row) => Object.fromEntries(row.map((value, i) => [`c${i}`, value]))),
        );
      }),
    );
  });

  test('has no rows without lines; a mark of the byte order and empty lines are none', () => {
    expect(parseCsv('')).toEqual([]);
    expect(parseCsv('a,b\n')).toEqual([]);
    expect(parseCsv('\uFEFFa,b\n1,2\n\n3,4')).toEqual([
      { a: '1', b: '2' },
      { a: '3', b: '4' },
    ]);
    expect(parseCsv('a\n\nx')).toEqual([{ a: '' }, { a: 'x' }]);
  });

  test.each([
    ['a,b\n1', 'line 2 has 1 fields, and line 1 has 2'],
    ['a,a\n1,2', 'line 1 has the column a twice'],
    ['a,b\n"1,2', 'line 2 opens a quote that nothing closes'],
    ['a,b\n"x\ny"z,2', 'line 2 has text behind a closing quote'],
    ['a,b\n"x\ny",2\n3', 'line 4 has 1 fields'],
  ])('names the line that is wrong: %j', (text, said) => {
    expect(() => parseCsv(text)).toThrow(said);
  });
});
