import type { Change } from '../../contracts/metadata-store.ts';
import type { Json, JsonObject } from '../../json.ts';
import type { CachePolicy, StepDefinition } from '../definition.ts';
import type { LoadedDefinition } from '../definitions.ts';
import type { ArtifactFacts } from '../step-artifact.ts';
import type { CachedFrom, StepState, StoredOutput } from '../step-execution.ts';

/** What a result is kept under. */
export interface CacheKey {
  /** SHA-256 of the canonical JSON of the parts. */
  readonly key: string;
  /** By name, so that hits and misses can be explained. */
  readonly parts: JsonObject;
}

/** What there is for a key. */
export type CacheLook =
  | {
      readonly found: 'hit';
      readonly output: StoredOutput;
      readonly artifacts: readonly ArtifactFacts[];
      readonly from: CachedFrom;
      readonly explanation: string;
    }
  /** Somebody computes it now. */
  | {
      readonly found: 'busy';
      readonly by: { readonly executionId: string; readonly step: string };
      readonly explanation: string;
    }
  | { readonly found: 'miss'; readonly explanation: string };

/** Finds results that stand for those of a step, and keeps new ones. */
export interface StepCaching {
  /** Or why the step has none. */
  keyOf(
    step: StepDefinition,
    loaded: LoadedDefinition,
    given: { readonly parameters: JsonObject; readonly packedInputs: Json },
  ): Promise<CacheKey | { readonly none: string }>;
  look(key: CacheKey, policy: CachePolicy | undefined, forStep: StepState): Promise<CacheLook>;
  /** For the commit that starts the attempt: CONFLICT or STALE when another was quicker. */
  reserve(key: CacheKey, state: StepState): Promise<readonly Change[]>;
  /** For the commit that completes the step. */
  fill(state: StepState): Promise<readonly Change[]>;
  /** For every other commit that ends the step's running. */
  abandon(state: StepState): Promise<readonly Change[]>;
}
