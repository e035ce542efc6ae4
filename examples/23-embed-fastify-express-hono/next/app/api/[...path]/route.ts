import { openServing, type Serving } from '@keelson/serve';
import { weatherSource } from '../../../../weather-model.ts';

/** Replicas are threads and processes. */
export const runtime = 'nodejs';

// One for the process, also when the development server loads this file again.
const held = globalThis as { keelsonServing?: Promise<Serving> | undefined };

async function open(): Promise<Serving> {
  try {
    const source = await weatherSource();
    return await openServing(source, { deployments: ['weather'], maxBodyBytes: 50_000 });
  } catch (error) {
    // The next request tries again.
    held.keelsonServing = undefined;
    throw error;
  }
}

async function handle(request: Request): Promise<Response> {
  held.keelsonServing ??= open();
  const serving = await held.keelsonServing;
  return serving.fetch(request, { prefix: '/api' });
}

export { handle as GET, handle as HEAD, handle as POST };
