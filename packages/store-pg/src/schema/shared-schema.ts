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
    {
      version: 2,
      statements: [
        // Call these in a statement of their own: what they allot is then committed, and may be cached.
        // Sorted, so that two callers do not wait for each other.
        `CREATE FUNCTION kids_of(p_ws text, p_kinds text[], p_facets text[], p_keys text[])
          RETURNS integer[] LANGUAGE plpgsql SET search_path FROM CURRENT AS $fn$
          DECLARE
            v_kids integer[];
          BEGIN
            FOR i IN 1..2 LOOP
              SELECT array_agg(d.kid ORDER BY k.n) INTO v_kids
              FROM unnest(p_kinds, p_facets, p_keys) WITH ORDINALITY AS k (kind, facet, key, n)
              LEFT JOIN dict d ON d.ws = p_ws AND d.kind = k.kind AND d.facet = k.facet
                AND digest_of(d.key) = digest_of(k.key);
              EXIT WHEN array_position(v_kids, NULL) IS NULL;
              INSERT INTO dict (ws, kind, facet, key)
              SELECT DISTINCT p_ws, k.kind, k.facet, k.key COLLATE "C"
              FROM unnest(p_kinds, p_facets, p_keys, v_kids) AS k (kind, facet, key, kid)
              WHERE k.kid IS NULL ORDER BY 2, 3, 4
              ON CONFLICT DO NOTHING;
            END LOOP;
            RETURN v_kids;
          END $fn$`,
        `CREATE FUNCTION rids_of(p_ws text, p_ids text[])
          RETURNS bigint[] LANGUAGE plpgsql SET search_path FROM CURRENT AS $fn$
          DECLARE
            v_rids bigint[];
          BEGIN
            FOR i IN 1..2 LOOP
              SELECT array_agg(e.rid ORDER BY k.n) INTO v_rids
              FROM unnest(p_ids) WITH ORDINALITY AS k (id, n)
              LEFT JOIN entity e ON e.ws = p_ws AND e.id = k.id;
              EXIT WHEN array_position(v_rids, NULL) IS NULL;
              INSERT INTO entity (ws, id)
              SELECT DISTINCT p_ws, k.id COLLATE "C" FROM unnest(p_ids, v_rids) AS k (id, rid)
              WHERE k.rid IS NULL ORDER BY 2
              ON CONFLICT DO NOTHING;
            END LOOP;
            RETURN v_rids;
          END $fn$`,
      ],
    },
  ],
};
