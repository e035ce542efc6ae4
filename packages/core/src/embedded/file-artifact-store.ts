import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { assertDigest } from '../content/digest.ts';
import { fromFileError } from '../content/file-fault.ts';
import { OngoingWork } from '../content/ongoing-work.ts';
import { workspaceDirectory } from '../content/workspace-directory.ts';
import type { ArtifactSpace, ArtifactStore } from '../contracts/artifact-store.ts';
import { KeelsonError } from '../errors.ts';
import { type ArtifactLayout, artifactLayout, contentPath } from './artifact-layout.ts';
import { restoreRemovals } from './content-removal.ts';
import { DurableDirectories } from './durable-file.ts';
import { FileArtifactSpace } from './file-artifact-space.ts';
import { collectIncoming, collectOrphans } from './incoming-files.ts';

/**
 * Content-addressed bytes in the files of one directory, which several processes may use at once.
 *
 * A content lies in `spaces/<workspace>/<2 digits>/<sha256>` as it is, so that other programs can read
 * it; one of more than 1 MiB has its chunk digests beside it (`.chunks`), made anew when they are lost.
 * What is being written lies in `incoming` and is renamed into place once it is on the disk.
 */
export class FileArtifactStore implements ArtifactStore {
  readonly #dir: string;
  readonly #layout: ArtifactLayout;
  readonly #directories: DurableDirectories;
  readonly #work = new OngoingWork('The artifact store has been closed.');

  private constructor(dir: string) {
    this.#dir = dir;
    this.#layout = artifactLayout(dir);
    this.#directories = new DurableDirectories(dirname(dir));
  }

  /** Opens the directory, creating it if need be; UNAVAILABLE, EXHAUSTED or INVALID when that fails. */
  static async open(options: { readonly dir: string }): Promise<FileArtifactStore> {
    const store = new FileArtifactStore(resolve(options.dir));
    try {
      await mkdir(dirname(store.#dir), { recursive: true });
      await store.#directories.make(store.#layout.incoming);
      await store.#directories.make(store.#layout.removing);
      await store.#directories.make(store.#layout.spaces);
    } catch (error) {
      throw fromFileError(error, 'opening the artifact directory', store.#dir);
    }
    return store;
  }

  space(workspace: string): ArtifactSpace {
    return new FileArtifactSpace({
      layout: this.#layout,
      directories: this.#directories,
      space: join(this.#layout.spaces, workspaceDirectory(workspace)),
      work: this.#work,
    });
  }

  async collectLeftovers(olderThanMs: number): Promise<number> {
    if (!(olderThanMs >= 0)) {
      throw new KeelsonError('INVALID', `olderThanMs must be 0 or more, not ${olderThanMs}.`);
    }
    return await this.#work.run(undefined, async () => {
      try {
        await restoreRemovals(this.#layout);
        const incoming = await collectIncoming(this.#layout.incoming, olderThanMs);
        return incoming + (await collectOrphans(this.#layout.spaces, olderThanMs));
      } catch (error) {
        throw fromFileError(error, 'collecting the leftovers of uploads', this.#dir);
      }
    });
  }

  uri(workspace: string, sha256: string): string {
    const space = join(this.#layout.spaces, workspaceDirectory(workspace));
    return pathToFileURL(contentPath(space, assertDigest(sha256))).href;
  }

  /** Ends uploads and streams that are still going on with CLOSED, and waits until they have let go. */
  async close(): Promise<void> {
    await this.#work.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
