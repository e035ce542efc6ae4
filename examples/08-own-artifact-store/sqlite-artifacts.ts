import { createHash, hash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import {
  type ArtifactBackend,
  type ArtifactSpace,
  type ArtifactStore,
  type ByteRange,
  type ByteSource,
  type ContentInfo,
  KeelsonError,
  type PutOptions,
} from '@keelson/core';
import {
  assertDigest,
  chunkBytes,
  OngoingWork,
  openByteReader,
  throttled,
  uploaderState,
  uploadName,
  verifiedStream,
  workspaceDirectory,
} from '@keelson/core/content';

/** What `openPlatform({ artifacts })` is handed: it makes no connection before the platform opens it. */
export function sqliteArtifacts(file: string): ArtifactBackend {
  return { openArtifacts: async () => new SqliteArtifactStore(file) };
}

/**
 * An ArtifactStore in one SQLite file, as small as one can be that keeps every promise of the contract.
 * Chunks of 1 MiB lie under the name of their upload; a content is one row that names an upload, written when
 * the last chunk is there: so nothing of a broken upload is ever seen.
 */
export class SqliteArtifactStore implements ArtifactStore {
  readonly database: DatabaseSync;
  readonly #file: string;
  readonly #work = new OngoingWork('The artifact store has been closed.');
  #closed = false;

  constructor(file: string) {
    this.#file = file;
    this.database = new DatabaseSync(file, { timeout: 10_000 });
    this.database.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS upload (
        name TEXT PRIMARY KEY, started_at INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE IF NOT EXISTS chunk (
        upload TEXT NOT NULL, n INTEGER NOT NULL, digest BLOB NOT NULL, bytes BLOB NOT NULL,
        PRIMARY KEY (upload, n)
      ) STRICT;
      CREATE TABLE IF NOT EXISTS content (
        space TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, upload TEXT NOT NULL,
        stored_at INTEGER NOT NULL, damaged INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (space, sha256)
      ) STRICT;
    `);
  }

  space(workspace: string): ArtifactSpace {
    // The name of a directory: for hostile workspaces a digest. Here it only has to be a text of its own.
    return new SqliteArtifactSpace(this.database, workspaceDirectory(workspace), this.#work);
  }

  collectLeftovers(olderThanMs: number): Promise<number> {
    if (!(olderThanMs >= 0)) {
      throw new KeelsonError('INVALID', `olderThanMs must be 0 or more, not ${olderThanMs}.`);
    }
    return this.#work.run(undefined, async () => {
      const old = this.database
        .prepare('SELECT name FROM upload WHERE started_at <= ?')
        .all(Date.now() - olderThanMs);
      // Whoever is uploading now is left alone, however long it takes.
      const dead = old.filter((row) => uploaderState(String(row['name'])) === 'dead');
      for (const { name } of dead) forget(this.database, String(name));
      return dead.length;
    });
  }

  uri(workspace: string, sha256: string): string {
    return `sqlite:${this.#file}#${workspaceDirectory(workspace)}/${assertDigest(sha256)}`;
  }

  async close(): Promise<void> {
    await this.#work.close();
    if (this.#closed) return;
    this.#closed = true;
    this.database.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A content as its row has it. */
interface Row extends ContentInfo {
  readonly upload: string;
}

class SqliteArtifactSpace implements ArtifactSpace {
  readonly #database: DatabaseSync;
  readonly #space: string;
  readonly #work: OngoingWork;

  constructor(database: DatabaseSync, space: string, work: OngoingWork) {
    this.#database = database;
    this.#space = space;
    this.#work = work;
  }

  put(source: ByteSource, options: PutOptions = {}): Promise<ContentInfo> {
    if (options.sha256 !== undefined) assertDigest(options.sha256, 'The expected digest');
    return this.#work.run(options.signal, async (signal) => {
      const reader = await openByteReader(source, signal);
      const upload = uploadName();
      try {
        this.#database.prepare('INSERT INTO upload VALUES (?, ?)').run(upload, Date.now());
        const tell = throttled(options.onProgress);
        const whole = createHash('sha256');
        const chunk = new Uint8Array(chunkBytes);
        let sizeBytes = 0;
        for (let n = 0; ; n += 1) {
          signal.throwIfAborted();
          const bytes = chunk.subarray(0, await reader.fill(chunk));
          if (bytes.length === 0) break;
          whole.update(bytes);
          sizeBytes += bytes.length;
          this.#database
            .prepare('INSERT INTO chunk VALUES (?, ?, ?, ?)')
            .run(upload, n, hash('sha256', bytes, 'buffer'), bytes);
          tell(sizeBytes);
          if (bytes.length < chunkBytes) break;
        }
        signal.throwIfAborted();
        options.onProgress?.(sizeBytes);
        const sha256 = whole.digest('hex');
        if (options.sha256 !== undefined && options.sha256 !== sha256) {
          throw new KeelsonError(
            'CORRUPT',
            `The bytes have the SHA-256 ${sha256}, not ${options.sha256}; nothing was stored.`,
          );
        }
        this.#show({ sha256, sizeBytes, upload });
        return { sha256, sizeBytes };
      } finally {
        await reader.close();
        // Of an upload that became a content nothing is left to forget but its name.
        forget(this.#database, upload);
      }
    });
  }

  async open(
    sha256: string,
    range: ByteRange = {},
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    assertDigest(sha256);
    const { promise, resolve } = Promise.withResolvers<void>();
    const own = this.#work.begin(signal, promise);
    const close = async (): Promise<void> => {
      own.end();
      resolve();
    };
    try {
      own.signal.throwIfAborted();
      const row = this.#get(sha256);
      const { start = 0, end = row.sizeBytes } = range;
      const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
      if (!whole || start < 0 || start > end || end > row.sizeBytes) {
        throw new KeelsonError(
          'INVALID',
          `Content ${sha256} has ${row.sizeBytes} bytes; ${start} to ${end} is no range of it.`,
        );
      }
      const pieces = this.#read(row, start, end);
      return verifiedStream(pieces, { signal: own.signal, close, fault: (error) => error });
    } catch (error) {
      await close();
      throw error;
    }
  }

  find(sha256: string): Promise<ContentInfo | undefined> {
    assertDigest(sha256);
    return this.#work.run(undefined, async () => {
      const row = this.#row(sha256);
      return row && { sha256, sizeBytes: row.sizeBytes };
    });
  }

  verify(sha256: string, signal?: AbortSignal): Promise<ContentInfo> {
    assertDigest(sha256);
    return this.#work.run(signal, async (own) => {
      const row = this.#get(sha256);
      const whole = createHash('sha256');
      for await (const piece of this.#read(row, 0, row.sizeBytes)) {
        own.throwIfAborted();
        whole.update(piece);
      }
      if (whole.digest('hex') !== sha256) throw this.#damaged(sha256);
      return { sha256, sizeBytes: row.sizeBytes };
    });
  }

  keep(sha256: string): Promise<boolean> {
    assertDigest(sha256);
    return this.#work.run(undefined, async () => {
      const { changes } = this.#database
        .prepare('UPDATE content SET stored_at = ? WHERE space = ? AND sha256 = ?')
        .run(Date.now(), this.#space, sha256);
      return changes > 0;
    });
  }

  remove(sha256: string, options: { readonly storedBefore?: number } = {}): Promise<boolean> {
    assertDigest(sha256);
    const { storedBefore = Number.MAX_SAFE_INTEGER } = options;
    return this.#work.run(undefined, async () => {
      // One statement looks at the time and removes: a put or a keep comes before it or after it.
      const removed = this.#database
        .prepare(
          'DELETE FROM content WHERE space = ? AND sha256 = ? AND stored_at < ? RETURNING upload',
        )
        .get(this.#space, sha256, storedBefore);
      if (removed === undefined) return false;
      forget(this.#database, String(removed['upload']));
      return true;
    });
  }

  async *list(
    options: { readonly after?: string; readonly prefix?: string } = {},
  ): AsyncGenerator<ContentInfo & { readonly storedAt: number }, void, undefined> {
    const { after, prefix = '' } = options;
    if (after !== undefined) assertDigest(after, 'after');
    if (!/^[0-9a-f]{0,64}$/.test(prefix)) {
      throw new KeelsonError('INVALID', 'prefix must be the first hex digits of a digest.');
    }
    for (let last = after ?? ''; ; ) {
      const page = await this.#work.run(undefined, async () =>
        this.#database
          .prepare(
            `SELECT sha256, size, stored_at FROM content
             WHERE space = ? AND sha256 > ? AND sha256 LIKE ? || '%' ORDER BY sha256 LIMIT 500`,
          )
          .all(this.#space, last, prefix),
      );
      for (const row of page) {
        last = String(row['sha256']);
        const [sizeBytes, storedAt] = [Number(row['size']), Number(row['stored_at'])];
        yield { sha256: last, sizeBytes, storedAt };
      }
      if (page.length < 500) return;
    }
  }

  /** Makes an upload a content; bytes that are there already, and not known as damaged, stay. */
  #show({ sha256, sizeBytes, upload }: Row): void {
    const former = this.#row(sha256);
    this.#database
      .prepare(
        `INSERT INTO content (space, sha256, size, upload, stored_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (space, sha256) DO UPDATE SET stored_at = excluded.stored_at,
           upload = iif(damaged, excluded.upload, upload), damaged = 0`,
      )
      .run(this.#space, sha256, sizeBytes, upload, Date.now());
    if (former !== undefined) forget(this.#database, former.upload);
  }

  /** The chunks of a range; each is looked at before it is handed over. */
  async *#read(
    { sha256, upload }: Row,
    start: number,
    end: number,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    // A stream takes no empty pieces.
    if (start === end) return;
    for (let n = Math.floor(start / chunkBytes); n * chunkBytes < end; n += 1) {
      const row = this.#database
        .prepare('SELECT digest, bytes FROM chunk WHERE upload = ? AND n = ?')
        .get(upload, n);
      const bytes = row?.['bytes'] as Uint8Array<ArrayBuffer> | undefined;
      if (bytes === undefined) throw this.#row(sha256) ? this.#damaged(sha256) : notThere(sha256);
      const digest = Buffer.from(row?.['digest'] as Uint8Array);
      if (!hash('sha256', bytes, 'buffer').equals(digest)) throw this.#damaged(sha256);
      const from = Math.max(0, start - n * chunkBytes);
      yield bytes.subarray(from, Math.min(bytes.length, end - n * chunkBytes));
    }
  }

  #row(sha256: string): Row | undefined {
    const row = this.#database
      .prepare('SELECT size, upload FROM content WHERE space = ? AND sha256 = ?')
      .get(this.#space, sha256);
    return row && { sha256, sizeBytes: Number(row['size']), upload: String(row['upload']) };
  }

  #get(sha256: string): Row {
    const row = this.#row(sha256);
    if (row === undefined) throw notThere(sha256);
    return row;
  }

  /** Remembered, so that the next put of these bytes heals them. */
  #damaged(sha256: string): KeelsonError {
    this.#database
      .prepare('UPDATE content SET damaged = 1 WHERE space = ? AND sha256 = ?')
      .run(this.#space, sha256);
    return new KeelsonError(
      'CORRUPT',
      `The stored bytes of content ${sha256} are damaged; store them again, or restore a backup.`,
    );
  }
}

function notThere(sha256: string): KeelsonError {
  return new KeelsonError('NOT_FOUND', `There is no content ${sha256} in this workspace.`);
}

/** Removes an upload, and its chunks unless they are a content's. */
function forget(database: DatabaseSync, upload: string): void {
  database
    .prepare(
      'DELETE FROM chunk WHERE upload = ?1 AND NOT EXISTS (SELECT 1 FROM content WHERE upload = ?1)',
    )
    .run(upload);
  database.prepare('DELETE FROM upload WHERE name = ?').run(upload);
}
