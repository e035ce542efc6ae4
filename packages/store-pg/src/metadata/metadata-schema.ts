import type { SchemaPart } from '../schema/migrations.ts';
import { commitFunctions } from './commit-functions.ts';
import { eventFunctions } from './event-functions.ts';
import { valueFunctions } from './value-functions.ts';

/** Vacuum soon: an index-only scan of pages that are not known to be visible costs three times as much. */
const vacuumSoon =
  'autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.02';

/**
 * The tables of the metadata store that do not depend on kinds.
 *
 * A facet value lies in one of the two indexes beside \`facet_key\`: in \`facet_num\` when it carries a
 * number, in \`facet_str\` when it carries text only.
 */
const tables: readonly string[] = [
  `CREATE TABLE kind (
    name text COLLATE "C" PRIMARY KEY,
    declaration text COLLATE "C" NOT NULL,
    functions integer NOT NULL
  )`,
  `CREATE TABLE facet (
    kid integer NOT NULL, rid bigint NOT NULL,
    num double precision, str text COLLATE "C", long text COLLATE "C", nan smallint
  ) WITH (${vacuumSoon})`,
  'CREATE UNIQUE INDEX facet_key ON facet (kid, rid) INCLUDE (num)',
  'CREATE INDEX facet_num ON facet (kid, num, rid) WHERE num IS NOT NULL',
  `CREATE INDEX facet_str ON facet (kid, str, rid)
    WHERE num IS NULL AND nan IS NULL AND str IS NOT NULL`,
  `CREATE TABLE history (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    kind text COLLATE "C" NOT NULL, rid bigint NOT NULL, rev bigint NOT NULL, at bigint NOT NULL,
    principal text COLLATE "C" NOT NULL, reason text COLLATE "C", correlation text COLLATE "C",
    columns jsonb NOT NULL, body jsonb NOT NULL, removed boolean NOT NULL
  )`,
  'CREATE INDEX history_record ON history (rid, kind, seq)',
  // Events are in the order of (tx, seq): see event-functions.ts. A subject may be longer than an index
  // takes; its key is the beginning of a digest.
  `CREATE TABLE event (
    tx bigint NOT NULL, seq bigint GENERATED ALWAYS AS IDENTITY,
    ws text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, type text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL, subject_key uuid NOT NULL, subject_seq bigint NOT NULL,
    source text COLLATE "C" NOT NULL, at bigint NOT NULL, schema_version bigint NOT NULL,
    correlation text COLLATE "C" NOT NULL, causation text COLLATE "C",
    principal text COLLATE "C" NOT NULL, payload jsonb NOT NULL,
    PRIMARY KEY (tx, seq)
  )`,
  // The last number of a subject whose newest event was removed.
  'CREATE TABLE event_end (subject_key uuid PRIMARY KEY, subject_seq bigint NOT NULL)',
  'CREATE UNIQUE INDEX event_id ON event (ws, id)',
  'CREATE UNIQUE INDEX event_subject ON event (subject_key, subject_seq)',
  'CREATE INDEX event_correlation ON event (digest_of(correlation))',
  'CREATE SEQUENCE claim_fence',
  `CREATE TABLE claim (
    kind text COLLATE "C" NOT NULL, rid bigint NOT NULL,
    ws text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL, fence bigint NOT NULL, expires_at bigint NOT NULL,
    PRIMARY KEY (kind, rid)
  ) WITH (fillfactor = 70)`,
  'CREATE UNIQUE INDEX claim_by_fence ON claim (fence)',
  `CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $fn$
    BEGIN
      RAISE EXCEPTION 'IMMUTABLE: % never changes', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
    END $fn$`,
  `CREATE TRIGGER history_immutable BEFORE UPDATE ON history
    FOR EACH ROW EXECUTE FUNCTION refuse_change('history')`,
  `CREATE TRIGGER event_immutable BEFORE UPDATE ON event
    FOR EACH ROW EXECUTE FUNCTION refuse_change('an event')`,
];

/** Everything of the metadata store but the tables and functions of the kinds: kind-tables.ts. */
export const metadataSchema: SchemaPart = {
  part: 'metadata',
  migrations: [
    {
      version: 1,
      statements: [...tables, ...valueFunctions, ...eventFunctions, ...commitFunctions],
    },
  ],
};
