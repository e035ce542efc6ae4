import { describe, expect, test } from 'vitest';
import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import { type HistoryEvent, type HistoryGap, historyText, readHistory } from './history-tree.ts';

const start = Date.UTC(2026, 0, 1);

function made(
  n: number,
  id: string,
  causationId?: string,
  more: Partial<StoredEvent> = {},
): StoredEvent {
  return {
    id,
    type: 'thing.done',
    subject: `thing:${id}`,
    source: 'test',
    at: start + n * 700,
    payload: {},
    schemaVersion: 1,
    correlationId: 'c',
    principal: 'user:ana',
    workspace: 'default',
    subjectSequence: 1,
    cursor: String(n),
    ...(causationId === undefined ? {} : { causationId }),
    ...more,
  };
}

/** A log as a store reads it. */
function reader(log: readonly StoredEvent[]) {
  return async function* read({ correlationId, ids }: EventFilter): AsyncIterable<StoredEvent> {
    for (const event of log) {
      if (correlationId !== undefined && event.correlationId !== correlationId) continue;
      if (ids !== undefined && !ids.includes(event.id)) continue;
      yield event;
    }
  };
}

function shape(nodes: readonly (HistoryEvent | HistoryGap)[]): unknown[] {
  return nodes.map((node) => [
    'missing' in node ? `${node.reason} ${node.missing}` : node.event.id,
    ...(node.effects.length === 0 ? [] : [shape(node.effects)]),
  ]);
}

describe('the history of a correlation', () => {
  test('has causes above effects, each in order', async () => {
    const log = [
      made(0, 'a'),
      made(1, 'b', 'a'),
      made(2, 'c'),
      made(3, 'd', 'b'),
      made(4, 'e', 'a'),
    ];
    const tree = await readHistory(reader(log), 'c');
    expect(shape(tree.roots)).toEqual([['a', [['b', [['d']]], ['e']]], ['c']]);
    expect(tree).toMatchObject({ events: 5, truncated: false });
    expect(historyText(tree).split('\n')).toEqual([
      'c: 5 events',
      '├─ 2026-01-01T00:00:00.000Z thing.done thing:a (user:ana)',
      '│  ├─ +700 ms thing.done thing:b (user:ana)',
      '│  │  └─ +2.1 s thing.done thing:d (user:ana)',
      '│  └─ +2.8 s thing.done thing:e (user:ana)',
      '└─ +1.4 s thing.done thing:c (user:ana)',
    ]);
  });

  test('a cause that is elsewhere or nowhere is a gap that is named, once', async () => {
    const other = made(0, 'other', undefined, { correlationId: 'd' });
    const log = [other, made(1, 'a', 'other'), made(2, 'b', 'gone'), made(3, 'c', 'gone')];
    const tree = await readHistory(reader(log), 'c');
    expect(shape(tree.roots)).toEqual([
      ['foreign other', [['a']]],
      ['absent gone', [['b'], ['c']]],
    ]);
    expect(historyText(tree)).toContain('├─ ? other: thing.done thing:other of d');
    expect(historyText(tree)).toContain('└─ ? gone: there is no such event');
  });

  test('events that name one another as causes are all there, once', async () => {
    const log = [
      made(0, 'x'),
      made(1, 'a', 'c'),
      made(2, 'b', 'a'),
      made(3, 'c', 'b'),
      made(4, 'd', 'c'),
      made(5, 'self', 'self'),
    ];
    const tree = await readHistory(reader(log), 'c');
    expect(shape(tree.roots)).toEqual([
      ['x'],
      ['cycle c', [['a', [['b', [['c', [['d']]]]]]]]],
      ['cycle self', [['self']]],
    ]);
    expect(historyText(tree)).toContain('? self: these events name one another as causes');
  });

  test('a limit keeps what came first and says so; a cut cause is a gap', async () => {
    const log = [made(0, 'a'), made(1, 'b', 'late'), made(2, 'late')];
    const tree = await readHistory(reader(log), 'c', { limit: 2 });
    expect(tree).toMatchObject({ events: 2, truncated: true });
    expect(shape(tree.roots)).toEqual([['a'], ['foreign late', [['b']]]]);
    expect(historyText(tree)).toContain('c: 2 events, and more that are not shown');
    expect(await readHistory(reader(log), 'nobody')).toMatchObject({ roots: [], events: 0 });
  });

  test('a chain of ten thousand is read and printed', async () => {
    const log = Array.from({ length: 10_000 }, (_, n) =>
      made(n, `e${n}`, n === 0 ? undefined : `e${n - 1}`),
    );
    const tree = await readHistory(reader(log), 'c', { limit: 10_000 });
    const lines = historyText(tree).split('\n');
    expect(lines).toHaveLength(10_001);
    expect(Math.max(...lines.map((each) => each.length))).toBeLessThan(250);
  });

  test('names that would steer a terminal are shown', async () => {
    const hostile = made(0, 'a', undefined, { subject: '\u001b[2J\nrun:\u202e1' });
    const text = historyText(await readHistory(reader([hostile]), 'c'));
    expect(text).toContain('\\u001b[2J\\u000arun:\\u202e1');
    expect(text.split('\n')).toHaveLength(2);
  });

  test.each([0, 10_001, 1.5, '5', null])('a limit of %j is refused', async (limit) => {
    await expect(readHistory(reader([]), 'c', { limit } as never)).rejects.toThrow(/limit/);
  });
});
