export { uploaderState, uploadName } from '../upload-name.ts';
export { type ByteReader, openByteReader } from './byte-reader.ts';
export {
  type ChunkManifest,
  chunkBytes,
  chunkCount,
  chunkDigest,
  decodeManifest,
  encodeManifest,
} from './chunk-manifest.ts';
export { assertDigest, isDigest } from './digest.ts';
export { OngoingWork } from './ongoing-work.ts';
export { throttled } from './progress.ts';
export { type VerifiedStreamParts, verifiedStream } from './verified-stream.ts';
export { workspaceDirectory } from './workspace-directory.ts';
