/**
 * The tables of the metadata store that do not depend on kinds.
 *
 * `facet` is clustered by key, then record: searching by a key reads its values side by side. A value
 * lies in one of the two indexes: in `facet_num` when it carries a number, in `facet_str` when it
 * carries text only.
 */
export const metadataTables: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS kind (
    name TEXT PRIMARY KEY, declaration TEXT NOT NULL
  ) STRICT, WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS facet (
    kid INTEGER NOT NULL, rid INTEGER NOT NULL,
    num REAL, str TEXT, long TEXT, nan INTEGER,
    PRIMARY KEY (kid, rid)
  ) STRICT, WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS facet_num ON facet (kid, num, rid) WHERE num IS NOT NULL',
  `CREATE INDEX IF NOT EXISTS facet_str ON facet (kid, str, rid)
    WHERE num IS NULL AND nan IS NULL AND str IS NOT NULL`,
  // A rowid table: clustered by (kind, rid, rev) each commit would cost three times as much more.
  `CREATE TABLE IF NOT EXISTS history (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, rid INTEGER NOT NULL, rev INTEGER NOT NULL, at INTEGER NOT NULL,
    principal TEXT NOT NULL, reason TEXT, correlation TEXT,
    columns TEXT NOT NULL, body TEXT NOT NULL, removed INTEGER NOT NULL
  ) STRICT`,
  'CREATE INDEX IF NOT EXISTS history_record ON history (rid, kind, seq)',
  `CREATE TRIGGER IF NOT EXISTS history_immutable BEFORE UPDATE ON history
    BEGIN SELECT RAISE(ABORT, 'IMMUTABLE: history never changes'); END`,
  `CREATE TABLE IF NOT EXISTS event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    ws TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, subject TEXT NOT NULL,
    subject_seq INTEGER NOT NULL, source TEXT NOT NULL, at INTEGER NOT NULL,
    schema_version INTEGER NOT NULL, correlation TEXT NOT NULL, causation TEXT,
    principal TEXT NOT NULL, payload TEXT NOT NULL
  ) STRICT`,
  // The last number of a subject whose newest event was removed.
  `CREATE TABLE IF NOT EXISTS event_end (
    ws TEXT NOT NULL, subject TEXT NOT NULL, subject_seq INTEGER NOT NULL,
    PRIMARY KEY (ws, subject)
  ) STRICT, WITHOUT ROWID`,
  'CREATE UNIQUE INDEX IF NOT EXISTS event_id ON event (ws, id)',
  'CREATE UNIQUE INDEX IF NOT EXISTS event_subject ON event (ws, subject, subject_seq)',
  'CREATE INDEX IF NOT EXISTS event_correlation ON event (correlation)',
  `CREATE TRIGGER IF NOT EXISTS event_immutable BEFORE UPDATE ON event
    BEGIN SELECT RAISE(ABORT, 'IMMUTABLE: events never change'); END`,
  // AUTOINCREMENT: a fence is never given twice, whatever is released or removed in between.
  `CREATE TABLE IF NOT EXISTS claim (
    fence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, rid INTEGER NOT NULL, ws TEXT NOT NULL, id TEXT NOT NULL,
    owner TEXT NOT NULL, expires_at INTEGER NOT NULL,
    UNIQUE (kind, rid)
  ) STRICT`,
];
