export { PgDatabase } from './connection/pg-database.ts';
