import type { ContentInfo } from './artifact-store.ts';

/** How one file is placed. */
export interface PlaceOptions {
  /** The content from that byte on, out of the store that has it. */
  open(start: number): Promise<ReadableStream<Uint8Array>>;
  /** A file of the caller's own, to write to; otherwise one that is read only, and may share its bytes. */
  readonly copy: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Told of the bytes that there are of the file, as they come in. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * Copies of contents on this machine, in front of any artifact store, shared by everybody who downloads here:
 * several processes and platforms may use one directory.
 *
 * A copy is verified as it comes in; before it is handed out again its file is looked at (size, time, inode) and
 * sampled, and verified as a whole where something has changed. One that is damaged is fetched anew. Where the
 * cache cannot be used (a full disk), it is passed by.
 */
export interface DownloadCache {
  /**
   * Makes `target`, which must not exist, hold the content, verified. CORRUPT, and no file, when the store gives
   * other bytes; what `open` rejects with is passed through.
   */
  place(content: ContentInfo, target: string, options: PlaceOptions): Promise<void>;
}
