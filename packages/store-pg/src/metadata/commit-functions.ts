/** The SQLSTATE of a refusal; its message says which, its detail is JSON: see commit-refusal.ts. */
export const refusalState = 'KEL01';

/**
 * A commit is one call of `commit_changes`: in a function each statement sees what was committed before
 * it, so that a lock that was waited for is followed by a look at what its holder left. (In one
 * data-modifying statement all parts see the state before the wait: numbers are given twice, and a check
 * that nothing reads from is not even run.)
 *
 * Its order: the lock of the events, the subjects, the records that exist, by kind and id; then the
 * changes as they were given. `apply_change` belongs to the kinds: kind-functions.ts.
 */
export const commitFunctions: readonly string[] = [
  `CREATE FUNCTION refuse(what text, details jsonb) RETURNS void LANGUAGE plpgsql AS $fn$
    BEGIN
      RAISE EXCEPTION USING ERRCODE = '${refusalState}', MESSAGE = what,
        DETAIL = (details - ARRAY['columns', 'body', 'facets', 'unset', 'rows', 'gone'])::text;
    END $fn$`,
  // The number of an entity, its row locked: who creates a record of the id, or commits that there is
  // none, does so one after the other.
  `CREATE FUNCTION lock_entity(p_ws text, p_id text) RETURNS bigint LANGUAGE plpgsql AS $fn$
    DECLARE
      v_rid bigint;
    BEGIN
      INSERT INTO entity (ws, id) VALUES (p_ws, p_id) ON CONFLICT (ws, id) DO NOTHING
        RETURNING rid INTO v_rid;
      IF NOT FOUND THEN
        SELECT rid INTO v_rid FROM entity WHERE ws = p_ws AND id = p_id FOR UPDATE;
      END IF;
      RETURN v_rid;
    END $fn$`,
  `CREATE FUNCTION lock_records(p_ws text, p_locks jsonb) RETURNS void LANGUAGE plpgsql AS $fn$
    DECLARE
      lock jsonb;
    BEGIN
      FOR lock IN SELECT value FROM jsonb_array_elements(p_locks) LOOP
        EXECUTE format('SELECT 1 FROM %I WHERE ws = $1 AND id = ANY ($2) ORDER BY id FOR %s',
          lock ->> 'table', CASE WHEN (lock ->> 'share')::boolean THEN 'SHARE' ELSE 'UPDATE' END)
        USING p_ws, ARRAY(SELECT jsonb_array_elements_text(lock -> 'ids'));
      END LOOP;
    END $fn$`,
  `CREATE FUNCTION write_facets(p_rid bigint, p jsonb) RETURNS void LANGUAGE plpgsql AS $fn$
    BEGIN
      IF p ? 'gone' THEN
        DELETE FROM facet WHERE rid = p_rid
          AND kid = ANY (ARRAY(SELECT jsonb_array_elements_text(p -> 'gone')::integer));
      END IF;
      IF p ? 'rows' THEN
        INSERT INTO facet AS f (kid, rid, num, str, long, nan)
        SELECT kid, p_rid, num, str, long, nan
        FROM jsonb_to_recordset(p -> 'rows')
          AS (kid integer, num double precision, str text, long text, nan smallint)
        ORDER BY kid
        ON CONFLICT (kid, rid) DO UPDATE
        SET num = excluded.num, str = excluded.str, long = excluded.long, nan = excluded.nan
        WHERE (f.num, f.str, f.long, f.nan)
          IS DISTINCT FROM (excluded.num, excluded.str, excluded.long, excluded.nan);
      END IF;
    END $fn$`,
  // Facet maps hold keys as encodeJson escapes them.
  `CREATE FUNCTION remove_facets(p_ws text, p_kind text, p_facet text, p_rid bigint, p_map jsonb)
    RETURNS void LANGUAGE sql AS $fn$
    DELETE FROM facet USING dict
    WHERE dict.ws = p_ws AND dict.kind = p_kind AND dict.facet = p_facet
      AND digest_of(dict.key) IN (
        SELECT digest_of(CASE WHEN key ~ '^\\$\\$+number$' THEN substr(key, 2) ELSE key END)
        FROM jsonb_object_keys(p_map) AS key)
      AND facet.kid = dict.kid AND facet.rid = p_rid $fn$`,
  `CREATE FUNCTION sum_of_reals(a double precision, b double precision) RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE AS $fn$
    BEGIN
      RETURN a + b;
    EXCEPTION WHEN numeric_value_out_of_range THEN
      RETURN CASE WHEN a > 0 THEN 'Infinity' ELSE '-Infinity' END;
    END $fn$`,
  `CREATE FUNCTION adjust_column(p_ws text, p jsonb) RETURNS bigint LANGUAGE plpgsql AS $fn$
    DECLARE
      v_real boolean := p ? 'flag';
      v_column text := p ->> 'column';
      v_by double precision := p ->> 'by';
      v_min double precision := p ->> 'min';
      v_max double precision := p ->> 'max';
      v_rid bigint;
      v_rev bigint;
      v_flag smallint;
      v_before double precision;
      v_after double precision;
      v_details jsonb;
      v_tries integer := 0;
    BEGIN
      EXECUTE format('SELECT rid, rev, %I, %s FROM %I WHERE ws = $1 AND id = $2 FOR UPDATE',
        v_column, CASE WHEN v_real THEN format('%I', p ->> 'flag') ELSE 'NULL::smallint' END, p ->> 'table')
      INTO v_rid, v_rev, v_before, v_flag USING p_ws, p ->> 'id';
      IF v_rid IS NULL THEN PERFORM refuse('missing', p); END IF;
      v_before := CASE v_flag WHEN 1 THEN 'NaN' WHEN 2 THEN '-0' ELSE coalesce(v_before, 0) END;
      v_after := sum_of_reals(v_before, v_by);
      v_details := p || jsonb_build_object('value', real_json(v_before, v_flag));
      -- To PostgreSQL, NaN is greater than everything; it is within no bounds.
      IF v_after < v_min OR v_after > v_max
        OR (v_after = 'NaN' AND (v_min IS NOT NULL OR v_max IS NOT NULL)) THEN
        PERFORM refuse('bounds', v_details);
      END IF;
      IF NOT v_real AND abs(v_after) > 9007199254740991 THEN
        PERFORM refuse('unsafe', v_details);
      END IF;
      IF v_real THEN
        v_flag := CASE WHEN v_after = 'NaN' THEN 1 WHEN v_after = 0 AND v_after::text = '-0' THEN 2 END;
        EXECUTE format('UPDATE %I SET %I = $1, %I = $2 WHERE rid = $3',
          p ->> 'table', v_column, p ->> 'flag')
        USING CASE v_flag WHEN 1 THEN NULL WHEN 2 THEN 0 ELSE v_after END, v_flag, v_rid;
      ELSE
        LOOP
          BEGIN
            EXECUTE format('UPDATE %I SET %I = $1 WHERE rid = $2', p ->> 'table', v_column)
            USING v_after::bigint, v_rid;
            EXIT;
          EXCEPTION WHEN unique_violation THEN
            v_tries := v_tries + 1;
            EXECUTE format('SELECT taken_%s($1, $2, $3, $4, $5, false)', p ->> 'kind')
            USING p_ws, v_rid, p ->> 'id', jsonb_build_object(v_column, v_after::bigint), v_tries;
          END;
        END LOOP;
      END IF;
      RETURN v_rev;
    END $fn$`,
  `CREATE FUNCTION assert_held(p_ws text, p_at bigint, p jsonb) RETURNS void
    LANGUAGE plpgsql AS $fn$
    BEGIN
      PERFORM 1 FROM claim WHERE fence = (p ->> 'fence')::bigint AND kind = p ->> 'kind'
        AND ws = p_ws AND id = p ->> 'id' AND owner = p ->> 'owner' AND expires_at > p_at FOR SHARE;
      IF NOT FOUND THEN PERFORM refuse('lost', p); END IF;
    END $fn$`,
  // Replaced when a kind is prepared.
  `CREATE FUNCTION apply_change(
      p_ws text, p_at bigint, p_by text, p_why text, p_correlation text, p jsonb)
    RETURNS bigint LANGUAGE plpgsql AS $fn$
    BEGIN
      RAISE EXCEPTION 'There is no kind %', p ->> 'kind';
    END $fn$`,
  `CREATE FUNCTION commit_changes(
      p_ws text, p_by text, p_why text, p_correlation text,
      p_lock_timeout_ms integer, p_subjects integer[], p_locks jsonb, p_changes jsonb)
    RETURNS jsonb LANGUAGE plpgsql SET search_path FROM CURRENT AS $fn$
    DECLARE
      v_at bigint;
      v_tx bigint;
      v_change jsonb;
      v_revisions bigint[] := '{}';
    BEGIN
      PERFORM set_config('lock_timeout', p_lock_timeout_ms::text, true);
      IF p_subjects IS NOT NULL THEN PERFORM lock_subjects(p_subjects); END IF;
      IF p_locks IS NOT NULL THEN PERFORM lock_records(p_ws, p_locks); END IF;
      v_at := now_ms();
      FOR v_change IN SELECT value FROM jsonb_array_elements(p_changes) LOOP
        CASE v_change ->> 'op'
          WHEN 'emit' THEN
            v_tx := coalesce(v_tx, pg_current_xact_id()::text::bigint + tx_offset());
            PERFORM emit_event(p_ws, v_tx, v_change);
            v_revisions := v_revisions || 0::bigint;
          WHEN 'hold' THEN
            PERFORM assert_held(p_ws, v_at, v_change);
            v_revisions := v_revisions || 0::bigint;
          WHEN 'adjust' THEN
            v_revisions := v_revisions || adjust_column(p_ws, v_change);
          ELSE
            v_revisions := v_revisions
              || apply_change(p_ws, v_at, p_by, p_why, p_correlation, v_change);
        END CASE;
      END LOOP;
      RETURN jsonb_build_object('at', v_at, 'revisions', to_jsonb(v_revisions));
    END $fn$`,
];
