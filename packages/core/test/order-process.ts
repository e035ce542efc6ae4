import { setTimeout as pause } from 'node:timers/promises';
import type { MetadataStore } from '../src/contracts/metadata-store.ts';
import { isKeelsonError } from '../src/errors.ts';
import { sagaFromRecord } from '../src/operations/saga-state.ts';
import { ownerFromText, ownerState, ownerText } from '../src/process-owner.ts';
import type { Invariant } from '../src/testing/faults/invariants.ts';
import { scenarioProcess } from '../src/testing/faults/scenario-process.ts';
import { fillStock, fullStock, type OrderInput, ordersOn, orderWorkspace } from './order-saga.ts';

/** What a process of many orders is passed; what else is there is for `openStore`. */
export interface OrderArgument {
  readonly orders: number;
  readonly leaseMs: number;
}

const inputOf = (n: number): OrderInput => ({ order: `order ${n}`, refused: n % 2 === 1 });

/** Makes a file a process that drives many orders to their ends, every other one back. */
export function orderProcess<A extends OrderArgument>(
  openStore: (argument: A) => Promise<MetadataStore>,
): void {
  scenarioProcess<A>(async ({ argument, signal, working }) => {
    await using store = await openStore(argument);
    const { sagas, definition } = ordersOn(store, {
      owners: {
        self: ownerText(),
        dead: (all) => all.filter((owner) => ownerState(ownerFromText(owner)) === 'dead'),
      },
      leaseMs: argument.leaseMs,
    });
    await fillStock(store);
    working();
    for (let n = 0; n < argument.orders && !signal.aborted; n += 1) {
      const input = inputOf(n);
      await sagas.start(definition, input, { idempotencyKey: input.order });
    }
    await Promise.all(
      sagas.loops.map(async (loop) => {
        while (!signal.aborted) {
          if (!(await stoppable(signal, () => loop.runOnce(signal)))) await pause(5);
        }
      }),
    );
  });
}

/** False where the store was away, or the process is told to come to its end. */
async function stoppable(signal: AbortSignal, act: () => Promise<boolean>): Promise<boolean> {
  try {
    return await act();
  } catch (error) {
    if (signal.aborted || isKeelsonError(error, 'UNAVAILABLE')) return false;
    throw error;
  }
}

/** What many orders leave. */
export interface OrdersLeft {
  readonly store: MetadataStore;
  readonly orders: number;
}

/** Whether all orders have come to an end. */
export async function ordersAreDone({ store, orders }: OrdersLeft): Promise<boolean> {
  const left = { from: 'column', name: 'status' } as const;
  const values = ['COMPLETED', 'COMPENSATED', 'MANUAL_REQUIRED'];
  const { count } = await store.count(
    orderWorkspace,
    'saga',
    { op: 'in', left, values },
    { exact: true },
  );
  return count >= orders;
}

/** What must hold of many orders. */
export const ordersInvariants: readonly Invariant<OrdersLeft>[] = [
  {
    name: 'each order ends as its input says',
    async violations({ store, orders }) {
      const { records } = await store.query(orderWorkspace, 'saga', { limit: 1000 });
      const sagas = records.map(sagaFromRecord);
      const wrong = sagas.filter(({ status, input }) => {
        return status !== ((input as OrderInput).refused ? 'COMPENSATED' : 'COMPLETED');
      });
      return [
        ...wrong.map(({ idempotencyKey, status }) => `${idempotencyKey} is ${status}`),
        ...(sagas.length === orders ? [] : [`there are ${sagas.length} orders of ${orders}`]),
      ];
    },
  },
  {
    name: 'the stock, and what orders have left, are those of the orders that are done',
    async violations({ store, orders }) {
      const done = Math.ceil(orders / 2);
      const stock = await store.find(orderWorkspace, 'stock', 'stock');
      const traces = await store.query(orderWorkspace, 'trace', { limit: 1000 });
      const there = [fullStock - Number(stock?.columns['left']), traces.records.length];
      return there[0] === done && there[1] === 2 * done
        ? []
        : [`${there[0]} are taken and ${there[1]} traces left by ${done} orders`];
    },
  },
  {
    name: 'each end is told exactly once',
    async violations({ store, orders }) {
      const told = new Map<string, number>();
      for (let after: string | undefined; ; ) {
        const from = after === undefined ? {} : { after };
        const page = await store.readEvents({ workspace: orderWorkspace, limit: 1000, ...from });
        if (page.events.length === 0) break;
        for (const { subject } of page.events) told.set(subject, (told.get(subject) ?? 0) + 1);
        after = page.cursor;
      }
      const wrong = [...told].filter(([, times]) => times !== 1);
      return [
        ...wrong.map(([subject, times]) => `${subject} was told ${times} times`),
        ...(told.size === orders ? [] : [`${told.size} ends were told of ${orders}`]),
      ];
    },
  },
];
