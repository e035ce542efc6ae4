import { ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { type ObjectRole, roleOf } from './s3-keys.ts';
import type { S3Requests } from './s3-requests.ts';

/** One object of a content, as a listing shows it. */
export interface ListedObject {
  readonly sizeBytes: number;
  /** By the service's clock, often in whole seconds. */
  readonly storedAt: number;
}

/** What there is of one content. */
export interface ContentState {
  readonly sha256: string;
  readonly objects: Readonly<Partial<Record<ObjectRole, ListedObject>>>;
}

/** When the content was last put or kept. */
export function storedAt(state: ContentState): number {
  const { plain, sealed, chunks, kept } = state.objects;
  return Math.max(...[plain, sealed, chunks, kept].map((object) => object?.storedAt ?? 0));
}

/** Everything there is of one content, in one request. */
export async function stateOf(
  requests: S3Requests,
  space: string,
  sha256: string,
  signal: AbortSignal,
): Promise<ContentState> {
  for await (const state of listStates(requests, space, { prefix: sha256 }, signal)) return state;
  return { sha256, objects: {} };
}

/** The contents of a space by digest ascending, those too of which only something beside is there. */
export async function* listStates(
  requests: S3Requests,
  space: string,
  options: { readonly after?: string; readonly prefix?: string },
  signal: AbortSignal,
): AsyncGenerator<ContentState, void, undefined> {
  const { after, prefix = '' } = options;
  let sha256: string | undefined;
  let objects: Partial<Record<ObjectRole, ListedObject>> = {};
  // Behind everything that begins with the digest itself.
  const from = after === undefined ? {} : { after: `${space}${after}~` };
  for await (const object of listObjects(requests, `${space}${prefix}`, from, signal)) {
    const found = roleOf(object.key);
    if (found === undefined) continue;
    if (sha256 !== undefined && sha256 !== found.sha256) {
      yield { sha256, objects };
      objects = {};
    }
    sha256 = found.sha256;
    objects[found.role] = { sizeBytes: object.sizeBytes, storedAt: object.storedAt };
  }
  if (sha256 !== undefined) yield { sha256, objects };
}

/** All objects whose key begins with `prefix`, by key. */
export async function* listObjects(
  requests: S3Requests,
  prefix: string,
  from: { readonly after?: string },
  signal: AbortSignal,
): AsyncGenerator<ListedObject & { readonly key: string }, void, undefined> {
  let token: string | undefined;
  do {
    const page: ListObjectsV2CommandOutput = await requests.send<ListObjectsV2CommandOutput>(
      () =>
        new ListObjectsV2Command({
          Bucket: requests.bucket,
          Prefix: prefix,
          StartAfter: from.after,
          ContinuationToken: token,
        }),
      { doing: 'listing contents', key: prefix, signal },
    );
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      if (Key === undefined) continue;
      yield { key: Key, sizeBytes: Size ?? 0, storedAt: LastModified?.getTime() ?? 0 };
    }
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}
