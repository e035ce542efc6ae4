import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { Clock, Ids, Logger } from '../contracts/ports.ts';
import { type AccessAuthorizer, createAuthorizer } from './access-authorizer.ts';
import { createAccessNotes } from './access-notes.ts';
import { type Authenticate, createAuthenticate } from './authenticate.ts';
import type { TokenOptions } from './bearer-tokens.ts';

/** What all services of one platform share when access is enforced. */
export interface PlatformAccess {
  readonly authorizer: AccessAuthorizer;
  readonly authenticate: Authenticate;
  /** Resolves when refusals that were to be noted are. */
  settle(): Promise<void>;
}

/** Access to a platform. */
export function createPlatformAccess(parts: {
  readonly metadata: MetadataStore;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly home: string;
  readonly owners: readonly string[];
  readonly tokens?: TokenOptions;
  readonly cacheMs?: number;
}): PlatformAccess {
  const notes = createAccessNotes(parts);
  return {
    authorizer: createAuthorizer({ ...parts, notes }),
    authenticate: createAuthenticate(parts),
    settle: () => notes.settle(),
  };
}
