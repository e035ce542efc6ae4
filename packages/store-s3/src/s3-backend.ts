import type { ArtifactBackend } from '@keelson/core';
import { S3ArtifactStore } from './s3-artifact-store.ts';
import type { S3Options } from './s3-options.ts';

/** Artifacts on S3-compatible storage, for `openPlatform({ artifacts })`. Makes no connection. */
export function s3Backend(options: S3Options): ArtifactBackend {
  return { openArtifacts: () => S3ArtifactStore.open(options) };
}
