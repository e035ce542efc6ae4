/** Where the members of an archive lie, by path; nothing is promised yet of what they hold. */
export interface ArchiveFiles {
  readonly sizes: ReadonlyMap<string, number>;
  /** The bytes of a member; each piece is the caller's until the next is asked for. */
  read(path: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** How much is read at once. */
export const readBytes: number = 1024 * 1024;
