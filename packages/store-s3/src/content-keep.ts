import { stateOf } from './content-state.ts';
import { refresh } from './putting.ts';
import { isStored, survivor } from './removal.ts';
import type { S3Medium } from './s3-medium.ts';

/** Makes a content as new as if it were put again; answers whether it is there to stay. */
export async function keepContent(
  medium: S3Medium,
  space: string,
  sha256: string,
  signal: AbortSignal,
): Promise<boolean> {
  if (!isStored(await stateOf(medium.requests, space, sha256, signal))) return false;
  await refresh({ medium, space, signal }, sha256);
  return (await survivor(medium, space, sha256, signal)) !== undefined;
}
