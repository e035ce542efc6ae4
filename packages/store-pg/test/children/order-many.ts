/** A process of many orders on PostgreSQL; see `orderProcess`. */
import { type OrderArgument, orderProcess } from '../../../core/test/order-process.ts';
import { orderKinds } from '../../../core/test/order-saga.ts';
import { pgBackend } from '../../src/index.ts';
import { silentLogger } from '../silent-logger.ts';

orderProcess<OrderArgument & { readonly url: string; readonly schema: string }>(({ url, schema }) =>
  pgBackend({ url, schema, maxConnections: 5 }).openMetadata({
    kinds: orderKinds,
    logger: silentLogger,
  }),
);
