/** A process of many orders on the embedded store; see `orderProcess`. */
import { SqliteMetadataStore } from '../../src/embedded/sqlite-metadata-store.ts';
import { type OrderArgument, orderProcess } from '../order-process.ts';
import { orderKinds } from '../order-saga.ts';

orderProcess<OrderArgument & { readonly path: string }>(({ path }) =>
  SqliteMetadataStore.open({ path, kinds: orderKinds, clock: { now: () => Date.now() } }),
);
