/** Serves the deployment `swapped` in a process of its own, says at which port, and ends when it is left alone. */
import { type Logger, openPlatform } from '../packages/core/src/index.ts';
import { serve } from '../packages/serve/src/index.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';

/** What this program is told. */
export interface SwapsArgument {
  readonly dir: string;
  readonly url?: string;
  readonly schema?: string;
}

const { dir, url, schema = 'swaps' } = JSON.parse(process.argv[2] ?? '{}') as SwapsArgument;
const silent = (): void => undefined;
// Replicas that are killed are told of as warnings.
const logger: Logger = { debug: silent, info: silent, warn: silent, error: console.error };
const backend = url === undefined ? undefined : pgBackend({ url, schema });
const platform = await openPlatform({
  ...{ dir, logger },
  ...(backend === undefined ? {} : { metadata: backend, series: backend }),
});
const server = await serve(platform, { deployments: ['swapped'], logger });
process.send?.({ port: server.port });
process.once('disconnect', async () => {
  await server.close({ timeoutMs: 5_000 });
  await platform.close();
});
