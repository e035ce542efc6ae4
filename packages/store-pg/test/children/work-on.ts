/** A process of the work scenario on PostgreSQL; see `workProcess`. */
import { type WorkArgument, workKinds, workProcess } from '@keelson/core/testing';
import { pgBackend } from '../../src/index.ts';
import { silentLogger } from '../silent-logger.ts';

workProcess<WorkArgument & { readonly url: string; readonly schema: string }>(({ url, schema }) =>
  pgBackend({ url, schema, maxConnections: 3 }).openMetadata({
    kinds: workKinds,
    logger: silentLogger,
  }),
);
