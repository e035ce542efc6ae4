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
  /** Where a version is used now, in words such as `deployment fraud-api`; none is free to go. */
  uses(versionId: string): Promise<readonly string[]>;
}

/** A process that brings nothing, and uses nothing. */
export function noParts(): RegistryParts {
  return { code: { checks: new Map(), effects: new Map() }, uses: async () => [] };
}
