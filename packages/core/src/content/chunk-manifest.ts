import { hash } from 'node:crypto';

/** How many bytes one digest of a manifest stands for; the last chunk may be shorter. */
export const chunkBytes: number = 1024 * 1024;

/** The SHA-256 digests of the chunks of one content, so that a part of it can be verified alone. */
export interface ChunkManifest {
  readonly sha256: string;
  readonly sizeBytes: number;
  /** 32 bytes a chunk, one behind the other. */
  readonly digests: Uint8Array;
}

const magic = 'KEELSON1';
const headBytes = 8 + 8 + 32;
const digestBytes = 32;

/** How many chunks a content of that size has. */
export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / chunkBytes);
}

/** The digest of chunk `index`, 32 bytes. */
export function chunkDigest(manifest: ChunkManifest, index: number): Uint8Array {
  return manifest.digests.subarray(index * digestBytes, (index + 1) * digestBytes);
}

/** Magic, size, digest of the content, digests of the chunks, and the digest of all of that. */
export function encodeManifest(manifest: ChunkManifest): Uint8Array {
  const end = headBytes + manifest.digests.length;
  const out = Buffer.alloc(end + digestBytes);
  out.write(magic, 0, 'latin1');
  out.writeBigUInt64LE(BigInt(manifest.sizeBytes), 8);
  out.write(manifest.sha256, 16, 'hex');
  out.set(manifest.digests, headBytes);
  out.set(hash('sha256', out.subarray(0, end), 'buffer'), end);
  return out;
}

/** The manifest in those bytes; undefined when they are damaged, or of another content. */
export function decodeManifest(bytes: Uint8Array, sha256: string): ChunkManifest | undefined {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = all.length - digestBytes;
  if (end < headBytes || all.toString('latin1', 0, 8) !== magic) return undefined;
  if (!hash('sha256', all.subarray(0, end), 'buffer').equals(all.subarray(end))) return undefined;
  const sizeBytes = Number(all.readBigUInt64LE(8));
  const digests = all.subarray(headBytes, end);
  if (digests.length !== chunkCount(sizeBytes) * digestBytes) return undefined;
  if (all.toString('hex', 16, headBytes) !== sha256) return undefined;
  return { sha256, sizeBytes, digests };
}
