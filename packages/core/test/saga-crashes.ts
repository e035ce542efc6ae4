import type { StoredEvent } from '../src/contracts/event.ts';
import type { MetadataStore } from '../src/contracts/metadata-store.ts';
import type { Json } from '../src/json.ts';
import { sagaFromRecord } from '../src/operations/saga-state.ts';
import type { ProgramOptions } from '../src/testing/faults/child-of-scenario.ts';
import { withCrashPoints } from '../src/testing/faults/crash-points.ts';
import type { CrashScenario } from '../src/testing/faults/every-crash.ts';
import type { Invariant } from '../src/testing/faults/invariants.ts';
import type { MetadataStoreHarness } from '../src/testing/metadata/scene.ts';
import {
  fillStock,
  fullStock,
  type OrderInput,
  orderKinds,
  ordersOn,
  orderWorkspace,
} from './order-saga.ts';

type ClockedHarness = MetadataStoreHarness & Required<Pick<MetadataStoreHarness, 'clock'>>;

interface OrderWorld<H> extends AsyncDisposable {
  readonly harness: H;
  readonly store: MetadataStore;
  readonly input: OrderInput;
}

/** How `exit` is done on a store. */
export interface OrderProcess<H> extends ProgramOptions {
  argument(harness: H, input: OrderInput): Json;
}

/** One order, crashed everywhere: it ends wholly done or wholly undone, as its input says. */
export function sagaCrashes<H extends ClockedHarness>(
  open: () => H,
  options: {
    readonly refused: boolean;
    readonly process?: OrderProcess<H>;
    wrap?(store: MetadataStore): MetadataStore;
  },
): CrashScenario<OrderWorld<H>> {
  const input: OrderInput = { order: 'order 1', refused: options.refused };
  const wrap = options.wrap ?? ((store) => store);
  const recover = async ({ harness }: OrderWorld<H>): Promise<void> => {
    await harness.clock.advance(15_001);
    await using store = await harness.openSecond();
    await fillStock(store);
    await ordersOn(wrap(store)).order(input);
  };
  const { process: program } = options;
  return {
    name: input.refused ? 'an order that must be undone' : 'an order that must be done',
    async open() {
      const harness = open();
      const store = await harness.open(orderKinds);
      return { harness, store, input, [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose]() };
    },
    async attempt({ harness }, points) {
      await using store = await harness.openSecond();
      const crashing = wrap(withCrashPoints(store, points));
      await fillStock(crashing);
      await ordersOn(crashing).order(input);
    },
    ...(program === undefined
      ? {}
      : {
          process: {
            ...program,
            argument: ({ harness }: OrderWorld<H>) => program.argument(harness, input),
          },
        }),
    meanwhile: recover,
    recover,
    invariants: orderInvariants,
    hits: 3,
  };
}

const orderInvariants: readonly Invariant<OrderWorld<unknown>>[] = [
  {
    name: 'the order ends wholly done or wholly undone',
    async violations({ store, input }) {
      const due = input.refused ? [fullStock, 0, 'COMPENSATED'] : [fullStock - 1, 2, 'COMPLETED'];
      const stock = await store.find(orderWorkspace, 'stock', 'stock');
      const traces = await store.query(orderWorkspace, 'trace', { limit: 10 });
      const sagas = await store.query(orderWorkspace, 'saga', { limit: 10 });
      const there = [
        stock?.columns['left'],
        traces.records.length,
        ...sagas.records.map((record) => sagaFromRecord(record).status),
      ];
      return JSON.stringify(there) === JSON.stringify(due)
        ? []
        : [`stock, traces and status are ${there.join(', ')}; they should be ${due.join(', ')}`];
    },
  },
  {
    name: 'its end is told exactly once',
    async violations({ store, input }) {
      const { events } = await store.readEvents({ workspace: orderWorkspace, limit: 100 });
      const told = events.map(({ type }: StoredEvent) => type);
      const due = input.refused ? 'saga.compensated' : 'saga.completed';
      return told.length === 1 && told[0] === due
        ? []
        : [`told was ${told.join(', ')}, not ${due}`];
    },
  },
];
