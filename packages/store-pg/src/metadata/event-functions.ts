/**
 * How events come into an order that readers can follow without skipping one that commits late.
 *
 * An event carries the number of its transaction (`tx`); the order is that of (tx, seq). A transaction
 * that emits first takes the lock of the table \`event\`, then those of its subjects in the order of their
 * numbers, and only then writes anything, that is, gets its number: so numbers ascend within a subject.
 * A reader goes no further than `event_bound`: below it no transaction that emits is still running.
 */
export const eventFunctions: readonly string[] = [
  // What is added to the server's transaction numbers, which begin anew where a dump is restored.
  `CREATE FUNCTION tx_offset() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 0::bigint'`,
  // Of the transactions that run, those do not count that certainly emit nothing: they hold their own
  // number's lock and not the lock of the table, which an emitting one takes before it has a number.
  // Others (of other databases too) would hold up all readers for as long as they last. A number that
  // was given out after the locks were looked at counts as one that emits.
  //
  // The place answered is that of the newest event below the bound. Cursors are places of events, never
  // the bound itself: a number that no event has would not be known where a dump is put back.
  `CREATE FUNCTION event_bound(OUT bound bigint, OUT ahead bigint, OUT tx bigint, OUT seq bigint)
    LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT AS $fn$
    DECLARE
      given bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
      silent bigint[];
      running pg_snapshot;
    BEGIN
      ahead := given + tx_offset();
      IF pg_snapshot_xmin(pg_current_snapshot()) <> pg_snapshot_xmax(pg_current_snapshot()) THEN
        WITH locks AS MATERIALIZED (SELECT * FROM pg_locks WHERE granted),
        emitting AS (
          SELECT virtualtransaction FROM locks
          WHERE locktype = 'relation' AND relation = 'event'::regclass
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND mode = 'RowExclusiveLock'
        )
        SELECT array_agg(transactionid::text::bigint) INTO silent FROM locks
        WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock'
          AND virtualtransaction NOT IN (SELECT virtualtransaction FROM emitting);
      END IF;
      running := pg_current_snapshot();
      SELECT coalesce(min(x), pg_snapshot_xmax(running)::text::bigint) + tx_offset() INTO bound
      FROM (SELECT xip::text::bigint AS x FROM pg_snapshot_xip(running) AS xip) AS each
      WHERE x >= given OR (x & 4294967295) <> ALL (coalesce(silent, '{}'));
      SELECT e.tx, e.seq INTO tx, seq FROM event e
      WHERE e.tx < bound ORDER BY e.tx DESC, e.seq DESC LIMIT 1;
    END $fn$`,
  `CREATE FUNCTION lock_subjects(subjects integer[]) RETURNS void LANGUAGE plpgsql AS $fn$
    DECLARE
      class integer := hashtext('keelson subjects ' || current_schema());
      subject integer;
    BEGIN
      LOCK TABLE event IN ROW EXCLUSIVE MODE;
      FOREACH subject IN ARRAY subjects LOOP
        PERFORM pg_advisory_xact_lock(class, subject);
      END LOOP;
    END $fn$`,
  `CREATE FUNCTION emit_event(p_ws text, p_tx bigint, p jsonb) RETURNS void
    LANGUAGE plpgsql AS $fn$
    DECLARE
      v_key uuid := (p ->> 'key')::uuid;
    BEGIN
      INSERT INTO event (tx, ws, id, type, subject, subject_key, subject_seq, source, at,
        schema_version, correlation, causation, principal, payload)
      VALUES (p_tx, p_ws, p ->> 'id', p ->> 'type', p ->> 'subject', v_key,
        coalesce((SELECT max(e.subject_seq) FROM event e WHERE e.subject_key = v_key),
          (SELECT e.subject_seq FROM event_end e WHERE e.subject_key = v_key), 0) + 1,
        p ->> 'source', (p ->> 'at')::bigint, (p ->> 'version')::bigint, p ->> 'correlation',
        p ->> 'causation', p ->> 'by', p -> 'payload')
      ON CONFLICT (ws, id) DO NOTHING;
      IF NOT FOUND THEN
        PERFORM refuse('emitted', jsonb_build_object('id', p ->> 'id', 'type', p ->> 'type'));
      END IF;
    END $fn$`,
];
