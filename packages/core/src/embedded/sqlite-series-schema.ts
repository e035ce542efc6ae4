/**
 * The tables of the series store, in the file of the metadata store. `summary` is keyed by the key's
 * `dict.kid` and the run's `entity.rid`; see `sql/series-*.ts` for what the blobs hold.
 */
export const seriesTables: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS writer(
    wid INTEGER PRIMARY KEY, writer TEXT NOT NULL UNIQUE
  ) STRICT`,
  // Points have stream 0. upto: all numbers up to it are stored; ahead: those stored beyond a gap.
  `CREATE TABLE IF NOT EXISTS writer_sequence(
    wid INTEGER NOT NULL, stream INTEGER NOT NULL, upto INTEGER NOT NULL, ahead TEXT NOT NULL,
    PRIMARY KEY(wid, stream)
  ) STRICT, WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS segment(
    no INTEGER PRIMARY KEY AUTOINCREMENT, wid INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL
  ) STRICT`,
  // A rowid table, so that headers are read without the blobs lying between them.
  `CREATE TABLE IF NOT EXISTS chunk(
    id INTEGER PRIMARY KEY AUTOINCREMENT, kid INTEGER NOT NULL, rid INTEGER NOT NULL,
    level INTEGER NOT NULL, n INTEGER NOT NULL, nan_count INTEGER NOT NULL,
    step_min INTEGER NOT NULL, step_max INTEGER NOT NULL,
    vmin REAL, vmin_step INTEGER, vmax REAL, vmax_step INTEGER, data BLOB NOT NULL
  ) STRICT`,
  'CREATE INDEX IF NOT EXISTS chunk_series ON chunk(kid, rid, level)',
  `CREATE TABLE IF NOT EXISTS summary(
    kid INTEGER NOT NULL, rid INTEGER NOT NULL,
    count INTEGER NOT NULL, nan_count INTEGER NOT NULL, tiers INTEGER NOT NULL, flags INTEGER NOT NULL,
    last REAL, last_step INTEGER NOT NULL, last_at REAL NOT NULL, last_wid INTEGER NOT NULL,
    first REAL, first_step INTEGER NOT NULL, first_at REAL NOT NULL, first_wid INTEGER NOT NULL,
    min REAL, min_step INTEGER, max REAL, max_step INTEGER,
    sum REAL, lost REAL NOT NULL, mean REAL,
    PRIMARY KEY(kid, rid)
  ) STRICT, WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS summary_last ON summary(kid, last, rid) WHERE last IS NOT NULL',
  'CREATE INDEX IF NOT EXISTS summary_rid ON summary(rid)',
  `CREATE TABLE IF NOT EXISTS row_stream(
    stream INTEGER PRIMARY KEY, longest REAL NOT NULL
  ) STRICT`,
  `CREATE TABLE IF NOT EXISTS row_batch(
    no INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, n INTEGER NOT NULL,
    at_min REAL NOT NULL, at_max REAL NOT NULL, data BLOB NOT NULL
  ) STRICT`,
  'CREATE INDEX IF NOT EXISTS row_batch_time ON row_batch(stream, at_min, at_max)',
  `CREATE TABLE IF NOT EXISTS rollup(
    no INTEGER PRIMARY KEY, stream INTEGER NOT NULL, name TEXT NOT NULL, window_ms INTEGER NOT NULL,
    at REAL NOT NULL, writer TEXT NOT NULL, data TEXT NOT NULL,
    UNIQUE(stream, name, window_ms, at, writer)
  ) STRICT`,
  `CREATE TABLE IF NOT EXISTS heartbeat(
    ws TEXT NOT NULL, run TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY(ws, run)
  ) STRICT, WITHOUT ROWID`,
];

/** Whether points were appended that the summaries do not know yet: fold before searching by them. */
export const pendingSql = 'SELECT 1 AS pending FROM segment LIMIT 1';
