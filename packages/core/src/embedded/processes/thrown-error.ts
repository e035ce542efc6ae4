import { inspect } from 'node:util';
import type { JsonObject } from '../../json.ts';

/** What somebody threw, for another thread or process: bounded text. */
export function thrownError(error: unknown): JsonObject {
  if (!(error instanceof Error))
    return { name: typeof error, message: inspect(error).slice(0, 4000) };
  const { code, failure } = error as { readonly code?: unknown; readonly failure?: unknown };
  return {
    name: error.name,
    message: error.message.slice(0, 4000),
    stack: (error.stack ?? '').slice(0, 8000),
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof failure === 'string' ? { failure } : {}),
  };
}
