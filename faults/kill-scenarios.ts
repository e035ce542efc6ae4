import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEffects } from '../packages/core/src/testing/faults/effects-log.ts';
import { checkInvariants } from '../packages/core/src/testing/faults/invariants.ts';
import { type KillLoopReport, killLoop } from '../packages/core/src/testing/faults/kill-loop.ts';
import { TcpProxy } from '../packages/core/src/testing/faults/tcp-proxy.ts';
import {
  type Handled,
  workInvariants,
  workIsDone,
  workKinds,
} from '../packages/core/src/testing/faults/work-scenario.ts';
import { ordersAreDone, ordersInvariants } from '../packages/core/test/order-process.ts';
import { orderKinds } from '../packages/core/test/order-saga.ts';
import {
  allHaveEffects,
  emitThings,
  fillTallies,
  type HandedOver,
  subscriptionInvariants,
  subscriptionScenarioKinds,
} from '../packages/core/test/subscription-scenario.ts';
import type { FaultContext, FaultReport, FaultScenario } from './scenario.ts';

/** Scenarios whose processes are killed and stopped at random. */
export const killScenarios: readonly FaultScenario[] = [
  {
    name: 'work-kills',
    sentence:
      'Three processes do tasks and hand events over; one is killed or stopped every 60 to 150 ms.',
    run: (context) => work(context, amounts(context, { tasks: 6_000, kills: 200, stalls: 20 })),
  },
  {
    name: 'work-cuts',
    sentence: 'The same over a wire that is cut every 60 to 150 ms (PostgreSQL).',
    async run(context) {
      const { url } = context.store;
      if (url === undefined) return { faults: {}, invariants: 0 };
      await using proxy = await TcpProxy.open(url);
      let cuts = 0;
      const amount = amounts(context, { tasks: 1_500, kills: 10, stalls: 0 });
      const report = await work(context, amount, proxy.url, () => {
        proxy.cut();
        cuts += 1;
      });
      return { ...report, faults: { ...report.faults, cut: cuts } };
    },
  },
  {
    name: 'saga-kills',
    sentence:
      'Three processes drive orders, every other one back; one is killed or stopped every 60 to 150 ms.',
    run: (context) => orders(context, amounts(context, { tasks: 600, kills: 60, stalls: 10 })),
  },
  {
    name: 'event-kills',
    sentence:
      'Three processes handle three subscriptions to events of 100 subjects; one is killed or stopped every 60 to 150 ms.',
    run: (context) => events(context, amounts(context, { tasks: 10_000, kills: 200, stalls: 20 })),
  },
];

/** How much is done, and to whom. */
interface Amounts {
  readonly tasks: number;
  readonly kills: number;
  readonly stalls: number;
}

function amounts({ extent }: FaultContext, long: Amounts): Amounts {
  if (extent === 'long') return long;
  return { tasks: Math.ceil(long.tasks / 40), kills: 4, stalls: Math.min(long.stalls, 1) };
}

async function work(
  { store, seed, tell }: FaultContext,
  { tasks, kills, stalls }: Amounts,
  via?: string,
  between: () => void = () => undefined,
): Promise<FaultReport> {
  const dir = mkdtempSync(join(tmpdir(), 'keelson-effects-'));
  const effects = join(dir, 'effects');
  try {
    await using place = await store.place(workKinds, via);
    const left = { store: place.store, tasks, handled: () => readEffects<Handled>(effects) };
    const report = await killLoop({
      program: store.child('work-on'),
      argument: { ...place.argument, effects, tasks, leaseMs: 500 },
      ...{ processes: 3, kills, stalls, stallMs: 1_200, seed },
      done: async () => {
        tell('work is done under kills');
        between();
        return await workIsDone(left);
      },
    });
    return await checked(report, () => checkInvariants(left, workInvariants, `seed ${seed}`));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function orders(
  { store, seed, tell }: FaultContext,
  { tasks, kills, stalls }: Amounts,
): Promise<FaultReport> {
  await using place = await store.place(orderKinds);
  const left = { store: place.store, orders: tasks };
  const report = await killLoop({
    program: store.child('order-many'),
    argument: { ...place.argument, orders: tasks, leaseMs: 500 },
    ...{ processes: 3, kills, stalls, stallMs: 1_200, seed },
    done: async () => {
      tell('orders are driven under kills');
      return await ordersAreDone(left);
    },
  });
  return await checked(report, () => checkInvariants(left, ordersInvariants, `seed ${seed}`));
}

async function events(
  { store, seed, tell }: FaultContext,
  { tasks, kills, stalls }: Amounts,
): Promise<FaultReport> {
  const dir = mkdtempSync(join(tmpdir(), 'keelson-effects-'));
  const effects = join(dir, 'effects');
  const extent = { events: tasks, subjects: 100, subscriptions: ['one', 'two', 'three'] };
  // So that there is something to do until the last kill.
  const each = Math.ceil(tasks / (kills + stalls));
  let emitted = 0;
  try {
    await using place = await store.place(subscriptionScenarioKinds);
    const left = { store: place.store, extent, handed: () => readEffects<HandedOver>(effects) };
    await fillTallies(place.store, extent);
    const report = await killLoop({
      program: store.child('subscribe-on'),
      argument: { ...place.argument, effects, extent, leaseMs: 500 },
      ...{ processes: 3, kills, stalls, stallMs: 1_200, seed, timeoutMs: 1_800_000 },
      done: async () => {
        tell(`${emitted} events of ${tasks} are emitted`);
        emitted = await emitThings(place.store, extent, emitted, each);
        return emitted === tasks && (await allHaveEffects(left));
      },
    });
    return await checked(report, () =>
      checkInvariants(left, subscriptionInvariants, `seed ${seed}`),
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Kills that hit nothing would prove nothing. */
async function checked(
  { kills, stalls, starts }: KillLoopReport,
  check: () => Promise<number>,
): Promise<FaultReport> {
  const invariants = await check();
  if (kills === 0) throw new Error('No kill hit a process at its work.');
  return { faults: { kill: kills, stall: stalls, 'processes started': starts }, invariants };
}
