import { isDigest, workspaceDirectory } from '@keelson/core/content';

/** What an object beside or behind a content is: its name is the digest and this suffix. */
export const suffixes = {
  /** The bytes as they are. */
  plain: '',
  /** The bytes, encrypted chunk by chunk. */
  sealed: '.sealed',
  /** The digests of the chunks of a content of more than one chunk. */
  chunks: '.chunks',
  /** Of no bytes; its time is when the content was last kept, or put again, without its bytes being sent. */
  kept: '.kept',
  /** A read has found the content damaged: the next put stores its bytes anew. */
  damaged: '.damaged',
  /** Somebody is about to remove the content. */
  removing: '.removing',
} as const;

/** One of {@link suffixes}. */
export type ObjectRole = keyof typeof suffixes;

/** The keys of one bucket and prefix. */
export class S3Keys {
  readonly prefix: string;

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  /** What is being uploaded and has no digest yet; never read. */
  get incoming(): string {
    return `${this.prefix}incoming/`;
  }

  /** All contents of all workspaces. */
  get spaces(): string {
    return `${this.prefix}spaces/`;
  }

  /** All contents of a workspace. INVALID for what no workspace is called. */
  space(workspace: string): string {
    return `${this.spaces}${workspaceDirectory(workspace)}/`;
  }
}

/** The key of an object of a content, below the prefix of its workspace. */
export function contentKey(space: string, sha256: string, role: ObjectRole): string {
  return `${space}${sha256}${suffixes[role]}`;
}

/** Which content an object belongs to, and as what; undefined for what is none of ours. */
export function roleOf(
  key: string,
): { readonly sha256: string; readonly role: ObjectRole } | undefined {
  const name = key.slice(key.lastIndexOf('/') + 1);
  const sha256 = name.slice(0, 64);
  const suffix = name.slice(64);
  const role = (Object.keys(suffixes) as ObjectRole[]).find((each) => suffixes[each] === suffix);
  return role !== undefined && isDigest(sha256) ? { sha256, role } : undefined;
}
