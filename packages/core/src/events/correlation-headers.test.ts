import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Correlation } from './correlation.ts';
import { correlationFromHeaders, headersOfCorrelation } from './correlation-headers.ts';

const uuid = '0198c0de-1111-7222-8333-444455556666';
const trace = '0198c0de111172228333444455556666';
const span = 'b7ad6b7169203331';

describe('correlationFromHeaders', () => {
  test('takes x-correlation-id first, then the trace of traceparent', () => {
    const traceparent = `00-${trace}-${span}-01`;
    expect(correlationFromHeaders({ traceparent })).toEqual({ correlationId: uuid });
    expect(correlationFromHeaders({ traceparent, 'x-correlation-id': 'alarm-7' })).toEqual({
      correlationId: 'alarm-7',
    });
    expect(correlationFromHeaders({ 'x-correlation-id': ['alarm-7'] })).toEqual({
      correlationId: 'alarm-7',
    });
    expect(correlationFromHeaders({})).toBeUndefined();
  });

  test('a later version of traceparent may go on; version 00 may not', () => {
    const later = `01-${trace}-${span}-01-what-comes-next`;
    expect(correlationFromHeaders({ traceparent: later })).toEqual({ correlationId: uuid });
    expect(correlationFromHeaders({ traceparent: `01-${trace}-${span}-01` })).toEqual({
      correlationId: uuid,
    });
    expect(correlationFromHeaders({ traceparent: `00-${trace}-${span}-01-x` })).toBeUndefined();
  });

  test.each([
    ['version ff', `ff-${trace}-${span}-01`],
    ['zeros as trace', `00-${'0'.repeat(32)}-${span}-01`],
    ['zeros as span', `00-${trace}-${'0'.repeat(16)}-01`],
    ['capitals', `00-${trace.toUpperCase()}-${span}-01`],
    ['too short', `00-${trace.slice(1)}-${span}-01`],
    ['two in one', `00-${trace}-${span}-01,00-${trace}-${span}-01`],
    ['spaces around', ` 00-${trace}-${span}-01`],
    ['a line more', `00-${trace}-${span}-01\r\nset-cookie: a=b`],
    ['a megabyte', `01-${trace}-${span}-01-${'x'.repeat(1_000_000)}`],
    ['nothing', ''],
  ])('%s in traceparent counts as none', (_, traceparent) => {
    expect(correlationFromHeaders({ traceparent })).toBeUndefined();
  });

  test.each([
    ['a new line', 'a\r\nset-cookie: b'],
    ['a space', 'a b'],
    ['NUL', 'a\u0000b'],
    ['no ASCII', 'alarmé'],
    ['too long', 'x'.repeat(129)],
    ['empty', ''],
  ])('%s in x-correlation-id: the trace is taken, or nothing', (_, id) => {
    expect(correlationFromHeaders({ 'x-correlation-id': id })).toBeUndefined();
    expect(
      correlationFromHeaders({ 'x-correlation-id': id, traceparent: `00-${trace}-${span}-00` }),
    ).toEqual({ correlationId: uuid });
  });

  test('a header that came twice is nobody’s', () => {
    expect(correlationFromHeaders({ 'x-correlation-id': ['a', 'b'] })).toBeUndefined();
    const hostile = { traceparent: 7, 'x-correlation-id': { toString: () => 'a' } };
    expect(correlationFromHeaders(hostile as never)).toBeUndefined();
    expect(() => correlationFromHeaders(null as never)).toThrow(/takes an object/);
  });

  test('whatever comes, the answer is nothing or what can be a header again', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }));
    fc.assert(
      fc.property(text, text, (id, traceparent) => {
        const found = correlationFromHeaders({ 'x-correlation-id': id, traceparent });
        if (found === undefined) return;
        expect(correlationFromHeaders(headersOfCorrelation(found))).toEqual(found);
      }),
    );
  });
});

describe('headersOfCorrelation', () => {
  test('a UUID is the trace id; any other text has one of its own, always the same', () => {
    const headers = headersOfCorrelation({ correlationId: uuid });
    expect(headers['x-correlation-id']).toBe(uuid);
    expect(headers.traceparent).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-00$`));
    const traces = [1, 2].map(
      () => headersOfCorrelation({ correlationId: 'alarm-7' }).traceparent.split('-')[1],
    );
    expect(traces[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(traces[0]).toBe(traces[1]);
  });

  test.each(['', 'a b', 'a\r\nb', 'é', 'x'.repeat(129), 7, undefined])(
    '%j is refused by name',
    (correlationId) => {
      expect(() => headersOfCorrelation({ correlationId } as Correlation)).toThrow(
        /correlation id in a header has 1 to 128 printable/,
      );
    },
  );
});
