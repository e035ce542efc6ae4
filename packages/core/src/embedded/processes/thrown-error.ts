import { inspect } from 'node:util';
import type { Json, JsonObject } from '../../json.ts';

/** What somebody threw, for another thread or process: bounded text, and what is to be kept of its attempt. */
export function thrownError(error: unknown, artifacts?: Json): JsonObject {
  if (!(error instanceof Error))
    return { name: typeof error, message: inspect(error).slice(0, 4000) };
  const { code, failure, packedArtifacts } = error as {
    readonly code?: unknown;
    readonly failure?: unknown;
    /** Of an error that comes out of another thread. */
    readonly packedArtifacts?: Json;
  };
  const kept = artifacts ?? packedArtifacts;
  return {
    name: error.name,
    message: error.message.slice(0, 4000),
    stack: (error.stack ?? '').slice(0, 8000),
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof failure === 'string' ? { failure } : {}),
    ...(kept === undefined ? {} : { artifacts: kept }),
  };
}
