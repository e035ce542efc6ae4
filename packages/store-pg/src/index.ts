export type { PgConnectionOptions } from './connection/connection-options.ts';
export type {
  PgNotification,
  PgPool,
  PgPoolClient,
  PgQuery,
  PgResult,
} from './connection/pg-pool.ts';
export { type PgBackend, pgBackend } from './pg-backend.ts';
