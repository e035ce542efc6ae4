import { sagaKinds } from '../src/contracts/kinds/saga-kinds.ts';
import type { Change, MetadataStore } from '../src/contracts/metadata-store.ts';
import type { KindDeclaration } from '../src/contracts/record.ts';
import { isKeelsonError, KeelsonError } from '../src/errors.ts';
import type { Owners } from '../src/events/subscription.ts';
import { defineSaga, type SagaDefinition } from '../src/operations/saga.ts';
import type { Saga } from '../src/operations/saga-state.ts';
import { createSagas, type Sagas } from '../src/operations/sagas.ts';
import { uuidV7 } from '../src/uuid.ts';

/** A stock that orders take from, and what orders leave behind elsewhere. */
export const orderKinds: readonly KindDeclaration[] = [
  ...sagaKinds,
  { name: 'stock', columns: { left: { type: 'integer' } }, history: 'none' },
  { name: 'trace', columns: { order: { type: 'text' } }, history: 'none' },
];

export const orderWorkspace = 'orders';
export const fullStock = 1_000;

export type OrderInput = { readonly order: string; readonly refused: boolean };

/**
 * An order in three steps: takes from the stock (with the step's completion), charges and ships (commits of
 * their own, that may be made again). A refused one fails at its last step, when all is done but its end.
 */
export function orderSaga(store: MetadataStore): SagaDefinition<OrderInput> {
  const adjust = (by: number): Change => {
    return { op: 'adjust', kind: 'stock', id: 'stock', column: 'left', by };
  };
  const put = async (id: string, order: string, hold: Change): Promise<void> => {
    try {
      await commit(store, hold, { op: 'create', kind: 'trace', id, columns: { order } });
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
  };
  const drop = async (id: string, hold: Change): Promise<void> => {
    if ((await store.find(orderWorkspace, 'trace', id)) === undefined) return;
    try {
      await commit(store, hold, { op: 'remove', kind: 'trace', id, expect: 1 });
    } catch (error) {
      if (!isKeelsonError(error, 'STALE') || error.details['kind'] !== 'trace') throw error;
    }
  };
  return defineSaga<OrderInput>('order', [
    {
      name: 'reserve',
      run: async () => ({ result: 'reserved', changes: [adjust(-1)] }),
      compensate: async ({ results }) =>
        results['reserve'] === undefined ? undefined : { changes: [adjust(1)] },
    },
    {
      name: 'charge',
      async run({ input, hold }) {
        await put(`charge ${input.order}`, input.order, hold);
        return undefined;
      },
      async compensate({ input, hold }) {
        await drop(`charge ${input.order}`, hold);
        return undefined;
      },
    },
    {
      name: 'ship',
      async run({ input, hold }) {
        await put(`parcel ${input.order}`, input.order, hold);
        if (input.refused) throw new KeelsonError('FORBIDDEN', 'Nobody there takes the parcel.');
        return undefined;
      },
      async compensate({ input, hold }) {
        await drop(`parcel ${input.order}`, hold);
        return undefined;
      },
    },
  ]);
}

const unseen: Owners = { self: uuidV7(), dead: () => [] };

/** Sagas over a store, by a process whose death nobody can see unless it is said how. */
export function ordersOn(
  store: MetadataStore,
  parts: { readonly owners?: Owners; readonly leaseMs?: number } = {},
): {
  readonly sagas: Sagas;
  readonly definition: SagaDefinition<OrderInput>;
  order(input: OrderInput): Promise<Saga>;
} {
  const definition = orderSaga(store);
  const quiet = (): void => undefined;
  const scope = {
    workspace: orderWorkspace,
    principal: { id: 'user:test', roles: [] },
    metadata: store,
    clock: { now: () => Date.now() },
    ids: { next: uuidV7 },
    logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  };
  const sagas = createSagas(scope, { owners: unseen, ...parts, definitions: [definition] });
  return {
    sagas,
    definition,
    async order(input) {
      const { id } = await sagas.start(definition, input, { idempotencyKey: input.order });
      return await sagas.wait(id, { timeoutMs: 20_000 });
    },
  };
}

/** The stock, made by whoever comes first. */
export async function fillStock(store: MetadataStore): Promise<void> {
  try {
    await commit(store, { op: 'create', kind: 'stock', id: 'stock', columns: { left: fullStock } });
  } catch (error) {
    if (!isKeelsonError(error, 'CONFLICT')) throw error;
  }
}

async function commit(store: MetadataStore, ...changes: readonly Change[]): Promise<void> {
  await store.commit({ workspace: orderWorkspace, principal: 'user:test', changes });
}
