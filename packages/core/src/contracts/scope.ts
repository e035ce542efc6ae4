import type { ArtifactSpace } from './artifact-store.ts';
import type { MetadataStore } from './metadata-store.ts';
import type { Authorizer, Clock, Ids, KeyProvider, Logger, Principal } from './ports.ts';
import type { QuotaKeeper } from './quota.ts';
import type { SeriesStore } from './series-store.ts';

/**
 * What every service is bound to: the stores, one workspace and one principal. A service cannot reach
 * another workspace, because it has no other name to pass.
 */
export interface Scope {
  readonly workspace: string;
  readonly principal: Principal;
  readonly metadata: MetadataStore;
  readonly series: SeriesStore;
  readonly artifacts: ArtifactSpace;
  /** Names content of this workspace for people and other programs. */
  artifactUri(sha256: string): string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly authorizer: Authorizer;
  /** What signs model versions; left out where nobody does. */
  readonly keys?: KeyProvider;
  /** The public keys whose signatures of model versions count. */
  readonly trustedKeys?: readonly string[];
  /** Left out where nothing is limited. */
  readonly quotas?: QuotaKeeper;
}
