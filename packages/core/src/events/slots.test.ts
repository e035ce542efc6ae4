import { describe, expect, test } from 'vitest';
import { Slots } from './slots.ts';

const never = new AbortController().signal;
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('slots', () => {
  test('as many as there are, then whoever has the lowest position', async () => {
    const slots = new Slots(2);
    const order: number[] = [];
    const releases = new Map<number, () => void>();
    const ask = (position: number): void => {
      void slots.take(position, never).then((release) => {
        order.push(position);
        if (release !== undefined) releases.set(position, release);
      });
    };
    for (const position of [5, 4, 9, 7, 8]) ask(position);
    await settle();
    expect(order).toEqual([5, 4]);
    releases.get(5)?.();
    releases.get(5)?.();
    await settle();
    expect(order).toEqual([5, 4, 7]);
    releases.get(4)?.();
    releases.get(7)?.();
    await settle();
    expect(order).toEqual([5, 4, 7, 8, 9]);
  });

  test('who asks to be alone waits for all, and keeps all others out', async () => {
    const slots = new Slots(3);
    const first = await slots.take(1, never);
    let alone: (() => void) | undefined;
    void slots.take(9, never, { alone: true }).then((release) => {
      alone = release;
    });
    let other: (() => void) | undefined;
    void slots.take(2, never).then((release) => {
      other = release;
    });
    await settle();
    expect([alone, other, slots.free]).toEqual([undefined, undefined, 0]);
    first?.();
    await settle();
    expect(alone).toBeDefined();
    expect([other, slots.free]).toEqual([undefined, 0]);
    alone?.();
    await settle();
    expect(other).toBeDefined();
    expect(slots.free).toBe(2);
  });

  test('who is aborted goes, and lets those behind it in', async () => {
    const slots = new Slots(1);
    const controller = new AbortController();
    const first = await slots.take(1, never);
    const leaving = slots.take(2, controller.signal, { alone: true });
    const behind = slots.take(3, never);
    controller.abort();
    expect(await leaving).toBeUndefined();
    expect(await slots.take(1, controller.signal)).toBeUndefined();
    first?.();
    expect(await behind).toBeDefined();
  });
});
