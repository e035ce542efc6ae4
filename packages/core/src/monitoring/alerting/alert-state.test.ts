import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AlertSeverity } from '../rule.ts';
import {
  type AlertEffect,
  type AlertInput,
  type AlertState,
  type AlertTiming,
  isOverSince,
  stepAlert,
} from './alert-state.ts';
import { rankOf, severities } from './levels.ts';

const minute = 60_000;
const atOnce: AlertTiming = { forMs: 0, keepFiringForMs: 0 };
const acknowledged = (at: number, untilAt = at + 60 * minute): AlertInput => ({
  type: 'acknowledge',
  by: { by: 'user:ana', at, untilAt },
});

function judged(minutes: number, reached?: AlertSeverity, kept = reached): AlertInput {
  const levels = {
    ...(reached === undefined ? {} : { reached }),
    ...(kept === undefined ? {} : { kept }),
  };
  return { type: 'judged', at: minutes * minute, ...levels };
}

const blind = (minutes: number, because: 'NO_DATA' | 'ERROR' = 'NO_DATA'): AlertInput => ({
  ...{ type: 'blind', at: minutes * minute, because },
});

/** The effects of each input, and the state after the last. */
function run(timing: AlertTiming, ...inputs: readonly AlertInput[]) {
  let state: AlertState | undefined;
  const effects: (readonly AlertEffect[])[] = [];
  for (const input of inputs) {
    const step = stepAlert(timing, state, input);
    state = step.state;
    effects.push(step.effects);
  }
  return { state, effects };
}

describe('an alert', () => {
  test('fires when it has held for as long as it must, and is forgotten where it did not', () => {
    const timing = { ...atOnce, forMs: 2 * minute };
    const { state, effects } = run(timing, judged(0, 'WARNING'), judged(1, 'WARNING'));
    expect(state?.phase).toBe('PENDING');
    expect(effects.flat()).toEqual([]);
    const fired = run(timing, judged(0, 'WARNING'), judged(1, 'WARNING'), judged(2, 'WARNING'));
    expect(fired.effects).toEqual([[], [], ['TRIGGERED']]);
    expect(run(timing, judged(0, 'WARNING'), judged(1)).state).toBeUndefined();
  });

  test('time in which there were no data does not count towards it', () => {
    const timing = { ...atOnce, forMs: 2 * minute };
    const gap = [judged(0, 'WARNING'), blind(1), judged(9, 'WARNING')];
    expect(run(timing, ...gap).state?.phase).toBe('PENDING');
    expect(run(timing, ...gap, judged(10, 'WARNING')).effects.at(-1)).toEqual(['TRIGGERED']);
  });

  test('in k of n windows', () => {
    const timing = { ...atOnce, windows: { atLeast: 2, of: 3 } };
    const apart = [judged(0, 'WARNING'), judged(1), judged(2), judged(3, 'WARNING')];
    expect(run(timing, ...apart).effects.flat()).toEqual([]);
    const near = [judged(0, 'WARNING'), judged(1), judged(2, 'WARNING')];
    expect(run(timing, ...near).effects.at(-1)).toEqual(['TRIGGERED']);
    expect(run(timing, ...near, judged(3)).effects.at(-1)).toEqual(['RESOLVED']);
  });

  test('rises in place, falls only where its end was reached, and keeps firing for as long as it shall', () => {
    const timing = { ...atOnce, keepFiringForMs: 2 * minute };
    const risen = [judged(0, 'WARNING'), judged(1, 'CRITICAL')];
    expect(run(timing, ...risen).effects.at(-1)).toEqual(['SEVERITY_CHANGED']);
    const kept = run(
      timing,
      ...risen,
      judged(2, 'WARNING', 'CRITICAL'),
      judged(9, undefined, 'CRITICAL'),
    );
    expect(kept.state?.severity).toBe('CRITICAL');
    const fallen = run(
      timing,
      ...risen,
      judged(2, 'WARNING'),
      judged(3, 'WARNING'),
      judged(4, 'WARNING'),
    );
    expect(fallen.effects.slice(2)).toEqual([[], [], ['SEVERITY_CHANGED']]);
    expect(fallen.state).toMatchObject({ phase: 'FIRING', severity: 'WARNING' });
    const again = [judged(2), judged(3, 'CRITICAL'), judged(4), judged(5), judged(6)];
    expect(run(timing, ...risen, ...again).effects.slice(2)).toEqual([
      [],
      [],
      [],
      [],
      ['RESOLVED'],
    ]);
  });

  test('without data, or with a rule that fails, it goes on, and says so once', () => {
    const { state, effects } = run(
      atOnce,
      ...[judged(0, 'WARNING'), blind(1), blind(2), blind(3, 'ERROR'), judged(4, 'WARNING')],
    );
    expect(effects.slice(1)).toEqual([['SUSPENDED'], [], ['SUSPENDED'], ['RESUMED']]);
    expect(state).toMatchObject({ phase: 'FIRING' });
    expect(state?.blind).toBeUndefined();
    expect(run(atOnce, judged(0, 'WARNING'), blind(1), judged(2)).effects.at(-1)).toEqual([
      'RESOLVED',
    ]);
  });

  test('an acknowledgement ends with its time, by word, or where the alert becomes graver; over is over', () => {
    const fired = judged(0, 'WARNING');
    const until = { type: 'time', at: 61 * minute } as const;
    expect(run(atOnce, fired, acknowledged(minute), until).effects.at(-1)).toEqual([
      'ACKNOWLEDGEMENT_EXPIRED',
    ]);
    expect(
      run(atOnce, fired, acknowledged(minute), { ...until, at: 60 * minute }).effects.at(-1),
    ).toEqual([]);
    expect(
      run(atOnce, fired, acknowledged(minute), { type: 'withdraw', at: 2 }).state?.acknowledged,
    ).toBeUndefined();
    expect(run(atOnce, fired, acknowledged(minute), judged(2, 'EMERGENCY')).effects.at(-1)).toEqual(
      ['SEVERITY_CHANGED', 'ACKNOWLEDGEMENT_OUTGROWN'],
    );
    const over = run(atOnce, fired, judged(1), acknowledged(2 * minute), judged(3, 'CRITICAL'));
    expect(over.effects.slice(2)).toEqual([[], []]);
    expect(over.state?.phase).toBe('RESOLVED');
  });
});

/** A record that is replaced by compare-and-set, with what each commit announced: the outbox. */
class Store {
  #state: AlertState | undefined;
  #revision = 0;
  readonly told: AlertEffect[] = [];
  readonly over: AlertState[] = [];

  read(): { readonly state: AlertState | undefined; readonly revision: number } {
    return { state: this.#state, revision: this.#revision };
  }

  commit(
    revision: number,
    state: AlertState | undefined,
    effects: readonly AlertEffect[],
  ): boolean {
    if (revision !== this.#revision) return false;
    this.#revision += 1;
    this.told.push(...effects);
    const isOver = state?.phase === 'RESOLVED';
    if (isOver) this.over.push(state);
    // What is over leaves the open key: the next is another record.
    this.#state = isOver ? undefined : structuredClone(state);
    return true;
  }
}

/** One who evaluates or acknowledges: reads, steps, commits, begins again where somebody was faster, may die anywhere. */
function* actor(
  store: Store,
  timing: AlertTiming,
  inputs: readonly AlertInput[],
): Generator<undefined, void> {
  for (const input of inputs) {
    for (;;) {
      const { state, revision } = store.read();
      yield;
      const at = input.type === 'acknowledge' ? input.by.at : input.at;
      if (state === undefined && isOverSince(store.over.at(-1), at)) break;
      const step = stepAlert(timing, state, input);
      const isSame = JSON.stringify(step.state) === JSON.stringify(state);
      if ((isSame && step.effects.length === 0) || store.commit(revision, step.state, step.effects))
        break;
      yield;
    }
  }
}

const level = fc.constantFrom<AlertSeverity | undefined>(undefined, ...severities);
const looks = fc.array(
  fc.record({
    reached: level,
    kept: level,
    blind: fc.constantFrom(undefined, undefined, undefined, 'NO_DATA', 'ERROR'),
  }),
  { maxLength: 12 },
);
const timings = fc.oneof(
  fc.record({
    forMs: fc.constantFrom(0, minute, 3 * minute),
    keepFiringForMs: fc.constantFrom(0, 2 * minute),
  }),
  fc.record({
    ...{ forMs: fc.constant(0), keepFiringForMs: fc.constantFrom(0, 2 * minute) },
    windows: fc.constantFrom({ atLeast: 1, of: 2 }, { atLeast: 2, of: 3 }),
  }),
);

function inputsOf(
  all: readonly {
    reached: AlertSeverity | undefined;
    kept: AlertSeverity | undefined;
    blind: string | undefined;
  }[],
): AlertInput[] {
  return all.map(({ reached, kept, blind: because }, i) => {
    if (because !== undefined) return blind(i, because as 'ERROR');
    const held = rankOf(kept) > rankOf(reached) ? kept : reached;
    return judged(i, reached, held);
  });
}

describe('whoever evaluates, however often', () => {
  test('two at once, each begun anew after a death, tell what one tells', () => {
    fc.assert(
      fc.property(
        timings,
        looks,
        fc.array(fc.constantFrom('one', 'other', 'kill-one', 'kill-other'), { maxLength: 80 }),
        (timing, seen, schedule) => {
          const inputs = inputsOf(seen);
          const alone = new Store();
          for (const _ of actor(alone, timing, inputs));
          const shared = new Store();
          const actors = {
            one: actor(shared, timing, inputs),
            other: actor(shared, timing, inputs),
          };
          for (const turn of schedule) {
            const who = turn.replace('kill-', '') as 'one' | 'other';
            // Whoever takes over begins with what was seen first: nothing of the dead one's progress is known.
            if (turn.startsWith('kill-')) actors[who] = actor(shared, timing, inputs);
            else actors[who].next();
          }
          for (const _ of actors.one);
          for (const _ of actors.other);
          expect(shared.told).toEqual(alone.told);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('an alert is told once, ends once, and nobody has it acknowledged after its end', () => {
    fc.assert(
      fc.property(timings, looks, fc.array(fc.nat(40), { maxLength: 6 }), (timing, seen, acks) => {
        const store = new Store();
        const evaluating = actor(store, timing, inputsOf(seen));
        const answering = actor(
          store,
          timing,
          acks.map((at) => acknowledged(at * minute)),
        );
        for (let i = 0; i < 200; i += 1) {
          evaluating.next();
          if (acks.includes(i)) answering.next();
        }
        for (const _ of answering);
        let isOpen = false;
        for (const effect of store.told) {
          if (effect === 'TRIGGERED') {
            expect(isOpen).toBe(false);
            isOpen = true;
            continue;
          }
          // Nothing is told of an alert that has not begun or is over.
          expect(isOpen).toBe(true);
          if (effect === 'RESOLVED') isOpen = false;
        }
        for (const state of store.over) expect(state.acknowledged).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });
});
