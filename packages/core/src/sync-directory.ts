import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { assertObject } from './check-options.ts';
import type { Logger } from './contracts/ports.ts';
import { KeelsonError } from './errors.ts';
import { openPlatform } from './open-platform.ts';
import type { SyncProgress, SyncReport } from './remote/sync-to.ts';

/** What is pushed, and where to. */
export interface SyncOptions {
  /** A platform's directory, such as `.keelson`. Others may work in it meanwhile. */
  readonly dir: string;
  /** As that of `openPlatform({ url })`; `KEELSON_URL` when left out. */
  readonly url?: string;
  /** `KEELSON_TOKEN` when left out. */
  readonly token?: string;
  /** The workspace of the directory; `default` when left out. */
  readonly workspace?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SyncProgress) => void;
  readonly logger?: Logger;
  readonly retryMs?: number;
}

/**
 * Pushes the runs of a directory that have ended (params, metrics with their history, tags, artifacts, datasets,
 * status), parents before children, under their ids and times, into the experiments of their names, and the model
 * versions that the server has not. Again, and after having been killed, it sends what is not there yet and doubles
 * nothing. Nothing is deleted on the server. NOT_FOUND for no such directory; for what is wrong with the server as
 * `openPlatform({ url })`.
 */
export async function syncDirectory(options: SyncOptions): Promise<SyncReport> {
  const { dir, workspace, signal, onProgress, logger, retryMs } = assertObject(
    options,
    'syncDirectory',
  );
  const url = options.url ?? process.env['KEELSON_URL'];
  if (url === undefined || url === '') {
    const message = 'syncDirectory needs the address of a server: pass url, or set KEELSON_URL.';
    throw new KeelsonError('INVALID', message);
  }
  const isThere = await stat(dir).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isThere) {
    throw new KeelsonError('NOT_FOUND', `There is no directory ${dir} to push the runs of.`, {
      details: { dir },
    });
  }
  const shared = logger === undefined ? {} : { logger };
  await using from = await openPlatform({
    ...shared,
    dir,
    ...(workspace === undefined ? {} : { workspace }),
  });
  const { openRemote } = await import('./remote/open-remote.ts');
  const { remoteOptions } = await import('./remote/remote-options.ts');
  const { syncTo } = await import('./remote/sync-to.ts');
  const { stateName } = await import('./remote/sync-state.ts');
  const given = remoteOptions({
    ...shared,
    url,
    dir,
    ...(options.token === undefined ? {} : { token: options.token }),
    ...(retryMs === undefined ? {} : { retryMs }),
  });
  if (given === undefined) throw new KeelsonError('INTERNAL', 'An address was given.');
  await using to = await openRemote(given);
  return await syncTo({
    ...{ from, to, signal, onProgress },
    link: to.link,
    stateFile: join(dir, 'sync', `${from.workspace}-${stateName(to.url, to.workspace)}`),
  });
}
