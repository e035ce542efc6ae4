import type { Migration } from '../schema/migrations.ts';

/**
 * Batches of rows in partitions by the time of their newest row, so that a table whose end is not after
 * the time of a retention holds nothing that must stay. A day each near now; a month where rows come
 * from farther away; one for all before 2000 and one for all from 2100 on: whatever times rows claim,
 * there are some 1,300 tables at most. There is no default partition: it would have to be searched, under
 * a lock, for each new one.
 */
export const rowPartitions: Migration = {
  version: 2,
  statements: [
    'ALTER TABLE row_batch RENAME TO row_batch_before',
    'ALTER INDEX row_batch_time RENAME TO row_batch_before_time',
    'ALTER TABLE row_batch_before ALTER COLUMN no DROP IDENTITY',
    'ALTER TABLE row_batch_before DROP CONSTRAINT row_batch_pkey',
    // No identity: partitions have one of their own before PostgreSQL 17, and must not have from then on.
    'CREATE SEQUENCE row_batch_no',
    `CREATE TABLE row_batch (
      no bigint NOT NULL DEFAULT nextval('row_batch_no'),
      stream integer NOT NULL, n integer NOT NULL,
      at_min float8 NOT NULL, at_max float8 NOT NULL, data bytea NOT NULL,
      PRIMARY KEY (no, at_max)
    ) PARTITION BY RANGE (at_max)`,
    'ALTER TABLE row_batch ALTER COLUMN data SET STORAGE EXTERNAL',
    'ALTER SEQUENCE row_batch_no OWNED BY row_batch.no',
    'CREATE INDEX row_batch_time ON row_batch (stream, at_min, at_max)',
    // Out of the catalogue, so that it is true also when an administrator has detached or dropped one.
    `CREATE VIEW row_partition AS
      SELECT c.oid AS id, replace(b.ends[1], 'MINVALUE', '-Infinity')::float8 AS at_from,
        replace(b.ends[2], 'MAXVALUE', 'Infinity')::float8 AS at_to
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid),
        $$FROM \\('?([^')]*)'?\\) TO \\('?([^')]*)'?\\)$$) AS b (ends)
      WHERE i.inhparent = 'row_batch'::regclass`,
    // One at a time creates or drops; whoever appends or reads does not wait for it.
    `CREATE FUNCTION lock_row_partitions() RETURNS void
      LANGUAGE sql SET search_path FROM CURRENT AS
      $$ SELECT pg_advisory_xact_lock(hashtextextended('keelson rows ' || current_schema(), 0)) $$`,
    `CREATE FUNCTION has_row_partition(p_at float8) RETURNS boolean
      LANGUAGE sql STABLE SET search_path FROM CURRENT AS
      $$ SELECT EXISTS (SELECT FROM row_partition WHERE at_from <= p_at AND p_at < at_to) $$`,
    `CREATE FUNCTION create_row_partition(p_at float8) RETURNS void
      LANGUAGE plpgsql SET search_path FROM CURRENT AS $fn$
      DECLARE
        v_unit text := CASE WHEN abs(p_at - now_ms()) < 31 * 86400000.0 THEN 'day' ELSE 'month' END;
        v_start timestamp;
        v_from float8 := '-Infinity';
        v_to float8 := 'Infinity';
        v_name text;
      BEGIN
        IF has_row_partition(p_at) THEN RETURN; END IF;
        IF p_at < 946684800000 THEN
          v_to := 946684800000;
          v_name := 'row_batch_before_2000';
        ELSIF p_at >= 4102444800000 THEN
          v_from := 4102444800000;
          v_name := 'row_batch_from_2100';
        ELSE
          -- Whole milliseconds: microseconds would be rounded, across the border too.
          v_start := date_trunc(v_unit, to_timestamp(floor(p_at) / 1000) AT TIME ZONE 'UTC');
          v_from := extract(epoch FROM v_start) * 1000;
          v_to := extract(epoch FROM v_start + ('1 ' || v_unit)::interval) * 1000;
        END IF;
        -- Cut by what is there: a month around days that have tables, a day beside a month.
        SELECT greatest(v_from, max(at_to)) INTO v_from FROM row_partition WHERE at_to <= p_at;
        SELECT least(v_to, min(at_from)) INTO v_to FROM row_partition WHERE at_from > p_at;
        v_name := coalesce(v_name, 'row_batch_'
          || to_char(to_timestamp(v_from / 1000) AT TIME ZONE 'UTC', 'YYYYMMDD'));
        WHILE to_regclass(v_name) IS NOT NULL LOOP v_name := v_name || '_'; END LOOP;
        EXECUTE format('CREATE TABLE %I
          (LIKE row_batch INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING INDEXES)', v_name);
        -- CREATE TABLE … PARTITION OF would wait for all who read or append, and they for it.
        EXECUTE format('ALTER TABLE row_batch ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', v_name,
          CASE WHEN v_from = '-Infinity' THEN 'MINVALUE' ELSE quote_literal(v_from) END,
          CASE WHEN v_to = 'Infinity' THEN 'MAXVALUE' ELSE quote_literal(v_to) END);
      END $fn$`,
    // The partition of a time and, where that is about now, the one of the next day.
    `CREATE FUNCTION create_row_partitions(p_at float8) RETURNS void
      LANGUAGE plpgsql SET search_path FROM CURRENT AS $fn$
      DECLARE
        v_next float8 := CASE WHEN abs(p_at - now_ms()) < 86400000 THEN p_at + 86400000 ELSE p_at END;
      BEGIN
        IF has_row_partition(p_at) AND has_row_partition(v_next) THEN RETURN; END IF;
        PERFORM lock_row_partitions();
        PERFORM create_row_partition(p_at);
        PERFORM create_row_partition(v_next);
      END $fn$`,
    `CREATE FUNCTION row_partition_holds_others(p_id oid, p_stream integer) RETURNS boolean
      LANGUAGE plpgsql SET search_path FROM CURRENT AS $fn$
      DECLARE
        v_others boolean;
      BEGIN
        IF NOT EXISTS (SELECT FROM row_partition WHERE id = p_id) THEN RETURN true; END IF;
        EXECUTE format('SELECT EXISTS (SELECT FROM %1$s WHERE stream < $1)
          OR EXISTS (SELECT FROM %1$s WHERE stream > $1)', p_id::regclass)
        INTO v_others USING p_stream;
        RETURN v_others;
      END $fn$`,
    // As before, but times as far from each other as numbers go have no difference that is one.
    `CREATE OR REPLACE FUNCTION append_rows(
        p_wid integer, p_stream integer, p_sequence bigint, p_n integer,
        p_at_min float8, p_at_max float8, p_data bytea
      ) RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $fn$
      DECLARE
        v_taken boolean := take_sequence(p_wid, p_stream, p_sequence);
        v_long float8;
      BEGIN
        IF v_taken AND p_n > 0 THEN
          INSERT INTO row_batch (stream, n, at_min, at_max, data)
          VALUES (p_stream, p_n, p_at_min, p_at_max, p_data);
          v_long := CASE WHEN p_at_max / 2 - p_at_min / 2 > 8e307 THEN 'Infinity'
            ELSE p_at_max - p_at_min END;
          INSERT INTO row_stream AS s VALUES (p_stream, v_long)
          ON CONFLICT (stream) DO UPDATE SET longest = excluded.longest
          WHERE s.longest < excluded.longest;
        END IF;
        RETURN v_taken;
      END $fn$`,
    // How many rows went with the table; NULL where other streams have rows in it, or it is gone.
    `CREATE FUNCTION drop_row_partition(p_id oid, p_stream integer) RETURNS bigint
      LANGUAGE plpgsql SET search_path FROM CURRENT AS $fn$
      DECLARE
        v_rows bigint;
      BEGIN
        PERFORM lock_row_partitions();
        IF row_partition_holds_others(p_id, p_stream) THEN RETURN NULL; END IF;
        -- DROP takes this lock too. Whoever was appending is done then, and seen.
        LOCK TABLE ONLY row_batch IN ACCESS EXCLUSIVE MODE;
        IF row_partition_holds_others(p_id, p_stream) THEN RETURN NULL; END IF;
        EXECUTE format('SELECT coalesce(sum(n), 0) FROM %s', p_id::regclass) INTO v_rows;
        EXECUTE format('DROP TABLE %s', p_id::regclass);
        RETURN v_rows;
      END $fn$`,
    // What was there before becomes the partition of all times until tomorrow, without being copied.
    `DO $fn$
      DECLARE
        v_to float8 := (floor(now_ms() / 86400000) + 1) * 86400000;
        v_at float8;
      BEGIN
        IF EXISTS (SELECT FROM row_batch_before) THEN
          PERFORM setval('row_batch_no', (SELECT max(no) FROM row_batch_before));
          CREATE TABLE row_batch_later AS SELECT * FROM row_batch_before WHERE at_max >= v_to;
          DELETE FROM row_batch_before WHERE at_max >= v_to;
          EXECUTE format('ALTER TABLE row_batch ATTACH PARTITION row_batch_before
            FOR VALUES FROM (MINVALUE) TO (%L)', v_to);
          FOR v_at IN SELECT DISTINCT at_max FROM row_batch_later LOOP
            PERFORM create_row_partition(v_at);
          END LOOP;
          INSERT INTO row_batch SELECT * FROM row_batch_later;
          DROP TABLE row_batch_later;
        ELSE
          DROP TABLE row_batch_before;
        END IF;
        PERFORM create_row_partitions(now_ms());
      END $fn$`,
  ],
};
