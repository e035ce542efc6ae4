import type { SchemaPart } from './migrations.ts';

/**
 * Tables that records and series share. Rows of both are never deleted: a number once allotted means the
 * same thing for ever, in every process's cache.
 *
 * - `entity` numbers what has an id within a workspace; `rec_<kind>.rid` and `summary.rid` are its rid,
 *   so that searching runs joins the summaries of their metrics.
 * - `dict` numbers (workspace, kind, facet, key); `facet.kid` and `summary.kid` are its kid. Metric keys
 *   have the kind `series` and the facet `metrics`.
 *
 * `now_ms` is the store's clock.
 */
export const sharedSchema: SchemaPart = {
  part: 'shared',
  migrations: [
    {
      version: 1,
      statements: [
        `CREATE TABLE entity (
          rid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          ws text COLLATE "C" NOT NULL,
          id text COLLATE "C" NOT NULL,
          UNIQUE (ws, id)
        )`,
        `CREATE TABLE dict (
          kid integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          ws text COLLATE "C" NOT NULL,
          kind text COLLATE "C" NOT NULL,
          facet text COLLATE "C" NOT NULL,
          key text COLLATE "C" NOT NULL
        )`,
        // Called immutable, which it is while the encoding of a database never changes.
        `CREATE FUNCTION digest_of(value text) RETURNS bytea
          LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
          $$ SELECT sha256(convert_to(value, 'UTF8')) $$`,
        // A key may be longer than an index takes (2,704 bytes).
        'CREATE UNIQUE INDEX dict_key ON dict (ws, kind, facet, digest_of(key))',
        `CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE AS
          'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint'`,
      ],
    },
  ],
};
