import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AlertSeverity } from '../rule.ts';
import type { Alert } from './alert.ts';
import type { AlertRoute } from './alert-settings.ts';
import { type GroupState, type Member, newGroup, planGroup, type Send } from './group-plan.ts';

const [second, minute] = [1000, 60_000];
const route: AlertRoute = {
  name: 'r',
  receivers: ['slack'],
  notifyWithinMs: 30 * second,
  updateEveryMs: 5 * minute,
  remindEveryMs: 60 * minute,
};

interface Of {
  readonly severity?: AlertSeverity;
  readonly state?: 'FIRING' | 'RESOLVED';
  readonly acknowledged?: boolean;
  readonly muted?: readonly string[];
}

function member(id: string, of: Of = {}): Member {
  const { severity = 'WARNING', state = 'FIRING', acknowledged = false, muted = [] } = of;
  const alert = { id, severity, state, ...(acknowledged ? { acknowledged: {} } : {}) };
  return { alert: alert as unknown as Alert, muted };
}

/** Plans at each time with the members that it has then; answers what was sent, with the time in seconds. */
function told(
  given: AlertRoute,
  ...times: readonly (readonly [seconds: number, ...members: readonly Member[]])[]
): readonly string[] {
  let state: GroupState = newGroup;
  const sent: string[] = [];
  for (const [at, ...members] of times) {
    const plan = planGroup(given, state, members, at * second);
    sent.push(...plan.sends.map(({ reason }) => `${at} ${reason}`));
    // Whoever plans once more for the same time, since it did not know that it was told, tells nothing twice.
    expect(planGroup(given, plan.state, members, at * second).sends).toEqual([]);
    state = JSON.parse(JSON.stringify(plan.state));
  }
  return sent;
}

const over = (id: string): Member => member(id, { state: 'RESOLVED' });

describe('a group of alerts', () => {
  test('waits for what belongs to it, tells news at intervals, and its end at once', () => {
    const [a, b, c] = [member('a'), member('b'), member('c')];
    expect(
      told(
        route,
        [0, a],
        [29, a, b],
        [30, a, b],
        [60, a, b, c],
        [329, a, b, c],
        [330, a, b, c],
        [400, over('a'), over('b'), over('c')],
        [430, over('a'), over('b'), over('c')],
      ),
    ).toEqual(['30 FIRING', '330 CHANGED', '430 RESOLVED']);
  });

  test('what is graver does not wait for the interval', () => {
    const grave = member('a', { severity: 'CRITICAL' });
    expect(told(route, [0, member('a')], [30, member('a')], [45, grave], [75, grave])).toEqual([
      '30 FIRING',
      '75 CHANGED',
    ]);
  });

  test('what begins and ends before anybody was told is told to nobody', () => {
    expect(told(route, [0, member('a')], [15], [30], [45])).toEqual([]);
  });

  test('goes on: people are reminded, from the time at which they were told and not of each flicker', () => {
    const a = member('a');
    expect(told(route, [0, a], [30, a], [3629, a], [3630, a], [7229, a], [7230, a])).toEqual([
      '30 FIRING',
      '3630 REMINDER',
      '7230 REMINDER',
    ]);
  });

  test('what is kept from people is not over; when it is not kept any more they are told again, and of its end in any case', () => {
    const kept = member('a', { muted: ['silence 1'] });
    expect(told(route, [0, kept], [60, kept], [120, over('a')])).toEqual([]);
    expect(told(route, [0, kept], [60, member('a')], [90, member('a')])).toEqual(['90 FIRING']);
    expect(
      told(
        route,
        [0, member('a')],
        [30, member('a')],
        [60, kept],
        [4000, kept],
        [5000, member('a')],
        [5030, member('a')],
      ),
    ).toEqual(['30 FIRING', '5030 CHANGED']);
    expect(
      told(
        route,
        [0, member('a')],
        [30, member('a')],
        [60, kept],
        [100, over('a')],
        [130, over('a')],
      ),
    ).toEqual(['30 FIRING', '130 RESOLVED']);
  });

  test('somebody looks at it: that is told once, and neither reminders nor steps go out until it is unattended again', () => {
    const seen = member('a', { acknowledged: true });
    const chain: AlertRoute = {
      ...route,
      escalation: [{ afterMs: 5 * minute, receivers: ['pager'] }],
    };
    const early = told(chain, [0, member('a')], [10, seen], [60, seen]);
    expect(early).toEqual([]);
    expect(
      told(
        chain,
        [0, member('a')],
        [30, member('a')],
        [130, seen],
        [9000, seen],
        [10_000, member('a')],
        [10_199, member('a')],
        [10_200, member('a')],
      ),
    ).toEqual(['30 FIRING', '130 ACKNOWLEDGED', '10000 REMINDER', '10200 ESCALATION']);
  });

  test('nobody answers: the chain as it was then is gone through, in its hours, again as often as it says', () => {
    const chain: AlertRoute = {
      ...route,
      remindEveryMs: 1e9,
      repeatEscalation: 1,
      escalation: [
        { afterMs: minute, receivers: ['lead'] },
        { afterMs: minute, receivers: ['many'], ifMoreThan: 1 },
        { afterMs: minute, receivers: ['head'], from: 'CRITICAL' },
        { afterMs: minute, receivers: ['pager'] },
      ],
    };
    const a = member('a');
    const times = Array.from({ length: 40 }, (_, i) => [i * 30, a] as const);
    expect(told(chain, ...times)).toEqual([
      '30 FIRING',
      '90 ESCALATION',
      '270 ESCALATION',
      '330 ESCALATION',
      '510 ESCALATION',
    ]);
    // A chain that is changed meanwhile is not this group's.
    let state = planGroup(chain, planGroup(chain, newGroup, [a], 0).state, [a], 30 * second).state;
    state = planGroup(
      { ...chain, escalation: [{ receivers: ['none'] }] },
      state,
      [a],
      90 * second,
    ).state;
    expect(state.escalatedTo).toEqual(['lead']);
    const office = { days: ['MON'], from: '09:00', to: '18:00' } as const;
    const inHours: AlertRoute = {
      ...route,
      escalation: [{ afterMs: minute, receivers: ['x'], within: office }],
    };
    const monday = Date.parse('2026-03-02T08:00:00Z') / 1000;
    expect(
      told(
        { ...inHours, remindEveryMs: 1e9 },
        [monday, a],
        [monday + 30, a],
        [monday + 90, a],
        [monday + 3570, a],
        [monday + 3600, a],
      ),
    ).toEqual([`${monday + 30} FIRING`, `${monday + 3600} ESCALATION`]);
  });

  test('says when the next message goes out, and why none does now', () => {
    const first = planGroup(route, newGroup, [member('a')], 0);
    expect(first).toMatchObject({
      nextAt: 30 * second,
      because: ['more may come that belongs to it'],
    });
    const known = planGroup(
      route,
      planGroup(route, first.state, [member('a')], 30 * second).state,
      [member('a')],
      minute,
    );
    expect(known).toMatchObject({
      nextAt: 30 * second + 60 * minute,
      because: ['people know of it'],
    });
    const kept = planGroup(route, newGroup, [member('a', { muted: ['silence 1'] })], 0);
    expect(kept).toMatchObject({ because: ['silence 1'], sends: [] });
    expect(kept.nextAt).toBeUndefined();
  });
});

const ids = ['a', 'b', 'c'] as const;
const being = fc.record({
  isFiring: fc.boolean(),
  isKept: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  isSeen: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  severity: fc.constantFrom<AlertSeverity>('WARNING', 'CRITICAL', 'EMERGENCY'),
});

test('whatever happens, and wherever it is killed: nobody is told twice that something began, all that goes on is told, and its end', () => {
  const history = fc.array(
    fc.record({
      a: being,
      b: being,
      c: being,
      waits: fc.integer({ min: 1, max: 700 }),
      dies: fc.boolean(),
    }),
    { maxLength: 25 },
  );
  fc.assert(
    fc.property(history, (moments) => {
      let state: GroupState = newGroup;
      let now = 0;
      let believed = false;
      const lives = new Map<string, number>();
      const sentOf = (members: readonly Member[]): readonly Send[] => {
        const plan = planGroup(route, state, members, now * second);
        state = JSON.parse(JSON.stringify(plan.state));
        return plan.sends;
      };
      const hear = (sends: readonly Send[]): void => {
        for (const { state: said, reason } of sends) {
          // A beginning is told to those who know of nothing, an end to those who know of something.
          expect(believed).toBe(reason !== 'FIRING');
          believed = said !== 'RESOLVED';
        }
      };
      const at = (moment: Pick<(typeof moments)[number], 'a' | 'b' | 'c'>): readonly Member[] =>
        ids.flatMap((id) => {
          const { isFiring, isKept, isSeen, severity } = moment[id];
          const life = lives.get(id) ?? 0;
          const before = Object.hasOwn(state.told, `${id}${life}`) ? [over(`${id}${life}`)] : [];
          // An end is for good: what fires next is another alert.
          if (!isFiring) {
            lives.set(id, life + (before.length > 0 || life % 2 === 1 ? 1 : 0));
            return before;
          }
          return [
            member(`${id}${life}`, {
              severity,
              acknowledged: isSeen,
              muted: isKept ? ['silence'] : [],
            }),
          ];
        });
      for (const moment of moments) {
        now += moment.waits;
        const members = [
          ...at(moment),
          ...Object.keys(state.told)
            .filter((id) => !ids.some((each) => id === `${each}${lives.get(each) ?? 0}`))
            .map(over),
        ];
        if (moment.dies) {
          // Computed, and killed before the commit: nothing is told, nothing remembered.
          planGroup(route, state, members, now * second);
          continue;
        }
        hear(sentOf(members));
      }
      // It is quiet for long: whoever was told of anything hears of its end.
      for (let i = 0; i < 4; i += 1) {
        now += 400;
        hear(sentOf(Object.keys(state.told).map(over)));
      }
      expect(believed).toBe(false);
      expect(state.told).toEqual({});
      // And one that goes on for as long as the interval is told, whatever was before.
      const lasting = member('z', { severity: 'WARNING' });
      const heard = [0, 31, 331].flatMap((wait) => {
        now += wait;
        return sentOf([lasting]).map(({ reason }) => reason);
      });
      expect(heard).toEqual(['FIRING']);
    }),
    { numRuns: 400 },
  );
});
