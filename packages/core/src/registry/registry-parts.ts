import type { DownloadCache } from '../contracts/download-cache.ts';
import type { OwnCheck } from './checks.ts';
import type { StageEffect } from './stage-effects.ts';

/** What the process brings to its registries, whichever workspace they are of. */
export interface RegistryCode {
  readonly checks: Map<string, OwnCheck>;
  readonly effects: Map<string, StageEffect>;
}

/** What the registry is told by the rooms above it. */
export interface RegistryParts {
  readonly code: RegistryCode;
  /** Copies of contents on this machine. */
  readonly downloads: DownloadCache;
  /** Where a version is used now, in words such as `deployment fraud-api`; none is free to go. */
  uses(versionId: string): Promise<readonly string[]>;
}
