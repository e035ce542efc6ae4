import { KeelsonError } from '@keelson/core';
import type { PgPoolClient } from './pg-pool.ts';

/** A row of whole numbers and, last, bytes. */
export interface BlobRow {
  readonly numbers: readonly number[];
  /** Of a buffer of its own, at an address that float64 views need. */
  readonly data: Uint8Array;
}

/** What a statement that `pg` does not make itself is sent on. */
interface Connection {
  query(text: string): void;
}

const signature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** Signature, flags, and the length of an extension that there is not. */
const headerBytes = 19;

/**
 * Whether the client takes statements that it does not make itself, as `pg` does and `pg-cursor` needs: not
 * one on libpq, nor one that sends statements before others are answered.
 */
export function canCopy(client: PgPoolClient): boolean {
  const { connection, pipeline } = client as {
    readonly connection?: Partial<Connection>;
    readonly pipeline?: boolean;
  };
  return typeof connection?.query === 'function' && pipeline !== true;
}

/** Runs a SELECT of bigint columns and, last, a bytea, and reads it in PostgreSQL's own format. */
export async function copyBlobs(client: PgPoolClient, select: string): Promise<readonly BlobRow[]> {
  const copy = new BlobCopy(select);
  // `pg` calls `submit` when it is the copy's turn, then a handler for each message of the server.
  (client as unknown as { query(submittable: BlobCopy): unknown }).query(copy);
  return await copy.rows;
}

/**
 * COPY … TO STDOUT (FORMAT binary) as `pg` runs it. An answer of `pg` itself is text: bytes would be spelled
 * out by the server, which takes six times as long, and read back.
 */
class BlobCopy {
  readonly rows: Promise<readonly BlobRow[]>;
  /** `pg` puts here what ends its own timeout, where it has one. */
  callback: ((error: Error | null) => void) | undefined;
  readonly #select: string;
  readonly #found: BlobRow[] = [];
  readonly #settle: PromiseWithResolvers<readonly BlobRow[]>;
  #started = false;
  #fault: Error | undefined;

  constructor(select: string) {
    this.#select = select;
    this.#settle = Promise.withResolvers();
    this.rows = this.#settle.promise;
  }

  submit(connection: Connection): void {
    connection.query(`COPY (${this.#select}) TO STDOUT (FORMAT binary)`);
  }

  /** A message of the server is a whole row; before the first comes the header, after the last −1. */
  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    try {
      this.#read(chunk);
    } catch (error) {
      // Thrown here, it would be thrown at nobody.
      this.#fault ??= error as Error;
    }
  }

  handleReadyForQuery(): void {
    this.callback?.(null);
    if (this.#fault === undefined) this.#settle.resolve(this.#found);
    else this.#settle.reject(this.#fault);
  }

  handleError(error: Error): void {
    this.callback?.(error);
    this.#settle.reject(error);
  }

  handleCommandComplete(): void {
    // The server is done; what it says next is that it takes another statement.
  }

  #read(chunk: Buffer): void {
    let at = 0;
    if (!this.#started) {
      if (!chunk.subarray(0, signature.length).equals(signature)) throw unreadable();
      this.#started = true;
      at = headerBytes;
    }
    if (at === chunk.length) return;
    const columns = chunk.readInt16BE(at);
    if (columns < 0) return;
    at += 2;
    const numbers: number[] = [];
    for (let column = 1; column < columns; column += 1) {
      if (chunk.readInt32BE(at) !== 8) throw unreadable();
      numbers.push(Number(chunk.readBigInt64BE(at + 4)));
      at += 12;
    }
    const length = chunk.readInt32BE(at);
    at += 4;
    if (length < 0 || at + length !== chunk.length) throw unreadable();
    // `pg` uses its buffer again.
    this.#found.push({ numbers, data: new Uint8Array(chunk.subarray(at, at + length)) });
  }
}

function unreadable(): KeelsonError {
  return new KeelsonError(
    'INTERNAL',
    'PostgreSQL sent rows in a layout that @keelson/store-pg does not know; report it with the version of the server.',
  );
}
