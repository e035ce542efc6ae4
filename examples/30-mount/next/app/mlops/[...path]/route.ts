import { openPlatform } from '@keelson/core';
import { createHandler, type Handler } from '@keelson/server';

/** The platform keeps files and starts threads. */
export const runtime = 'nodejs';
/** Nothing of it is known when the site is built. */
export const dynamic = 'force-dynamic';

// One for the process, also when the development server loads this file again.
const held = globalThis as { keelson?: Promise<Handler> | undefined };

async function open(): Promise<Handler> {
  try {
    const platform = await openPlatform({ dir: process.env['KEELSON_DIR'] ?? '.keelson' });
    return createHandler(platform, {
      basePath: '/mlops',
      // Here stands what the site knows of its users: `await auth()` of next-auth, say.
      auth: ({ headers: { 'x-user': user } }) =>
        typeof user === 'string' ? { id: `user:${user}`, roles: ['admin'] } : null,
    });
  } catch (error) {
    // The next request tries again.
    held.keelson = undefined;
    throw error;
  }
}

async function handle(request: Request): Promise<Response> {
  held.keelson ??= open();
  return (await held.keelson).fetch(request);
}

export {
  handle as DELETE,
  handle as GET,
  handle as HEAD,
  handle as PATCH,
  handle as POST,
  handle as PUT,
};
