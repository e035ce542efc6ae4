export { PgDatabase } from './connection/pg-database.ts';
export { PgMetadataStore, type PgMetadataStoreOptions } from './metadata/pg-metadata-store.ts';
