import type { Migration } from '../schema/migrations.ts';

/** A partition goes as a whole where all who have rows in it let go of it at once. */
export const streamPartitions: Migration = {
  version: 3,
  statements: [
    `CREATE FUNCTION row_partition_holds_others_than(p_id oid, p_streams integer[]) RETURNS boolean
      LANGUAGE plpgsql SET search_path FROM CURRENT AS $fn$
      DECLARE
        v_others boolean;
        v_after integer := NULL;
        v_stream integer;
      BEGIN
        IF NOT EXISTS (SELECT FROM row_partition WHERE id = p_id) THEN RETURN true; END IF;
        -- From stream to stream by the index, however many rows each has.
        LOOP
          EXECUTE format('SELECT min(stream) FROM %s WHERE stream > coalesce($1, -2147483648)',
            p_id::regclass) INTO v_stream USING v_after;
          IF v_stream IS NULL THEN RETURN false; END IF;
          IF NOT v_stream = ANY (p_streams) THEN RETURN true; END IF;
          v_after := v_stream;
        END LOOP;
      END $fn$`,
    `CREATE FUNCTION drop_row_partition_of(p_id oid, p_streams integer[]) RETURNS bigint
      LANGUAGE plpgsql SET search_path FROM CURRENT AS $fn$
      DECLARE
        v_rows bigint;
      BEGIN
        PERFORM lock_row_partitions();
        IF row_partition_holds_others_than(p_id, p_streams) THEN RETURN NULL; END IF;
        -- DROP takes this lock too. Whoever was appending is done then, and seen.
        LOCK TABLE ONLY row_batch IN ACCESS EXCLUSIVE MODE;
        IF row_partition_holds_others_than(p_id, p_streams) THEN RETURN NULL; END IF;
        EXECUTE format('SELECT coalesce(sum(n), 0) FROM %s', p_id::regclass) INTO v_rows;
        EXECUTE format('DROP TABLE %s', p_id::regclass);
        RETURN v_rows;
      END $fn$`,
  ],
};
