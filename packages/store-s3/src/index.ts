export { S3ArtifactStore } from './s3-artifact-store.ts';
export { s3Backend } from './s3-backend.ts';
export type { S3Options, ServerSideEncryption } from './s3-options.ts';
