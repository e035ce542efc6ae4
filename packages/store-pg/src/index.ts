export type { PgConnectionOptions, PgTarget } from './connection/connection-options.ts';
export type { PgHealth } from './connection/pg-health.ts';
export type {
  PgNotification,
  PgPool,
  PgPoolClient,
  PgQuery,
  PgResult,
} from './connection/pg-pool.ts';
export type { PoolFigures } from './connection/pg-server.ts';
export type { ReplicaLag } from './connection/replica.ts';
export { type PgBackend, pgBackend } from './pg-backend.ts';
