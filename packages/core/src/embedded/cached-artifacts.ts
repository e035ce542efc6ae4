import { join } from 'node:path';
import type { ArtifactBackend } from '../contracts/backend.ts';
import { KeelsonError } from '../errors.ts';
import { ArtifactCache } from './artifact-cache.ts';
import { CachedArtifactStore } from './cached-artifact-store.ts';
import { FileArtifactStore } from './file-artifact-store.ts';

/** How contents that were read are kept. */
export interface CacheOptions {
  /**
   * Bytes at most, over all workspaces and processes that share the directory; 10 GiB when left out. More
   * lies there only while contents are brought in at the same time.
   */
  readonly maxBytes?: number;
  /** Where; in the platform's own directory when left out. */
  readonly dir?: string;
}

const defaultMaxBytes = 10 * 2 ** 30;

/**
 * Artifacts of another backend with a local cache of what is read: `cachedArtifacts(s3Backend(…))`. Contents
 * that were used last are kept; several processes may share the directory. An entry is verified as it comes in,
 * and each MiB of it again before it is handed over: one that was damaged is removed, and the rest read
 * from the store behind. Where the directory cannot be used (full, read-only, failing), it is passed by: that
 * never fails a read. INVALID for a `maxBytes` that is no whole number above 0, and at the opening for a
 * `dir` that is no directory.
 */
export function cachedArtifacts(
  backend: ArtifactBackend,
  options: CacheOptions = {},
): ArtifactBackend {
  if (typeof options !== 'object' || options === null) {
    throw new KeelsonError('INVALID', 'cachedArtifacts takes a store and { dir, … }.');
  }
  const { maxBytes = defaultMaxBytes } = options;
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
    throw new KeelsonError('INVALID', `maxBytes must be a whole number above 0, not ${maxBytes}.`);
  }
  return {
    async openArtifacts(context) {
      const behind = await backend.openArtifacts(context);
      try {
        const dir = options.dir ?? join(context.cacheDir, 'artifacts');
        const open = () => FileArtifactStore.open({ dir });
        const cache = await ArtifactCache.open({ open, maxBytes, logger: context.logger });
        return new CachedArtifactStore(behind, cache);
      } catch (error) {
        await behind.close();
        throw error;
      }
    },
  };
}
