import type { Scope } from '../contracts/scope.ts';
import type { Tracking } from '../tracking/tracking.ts';
import { type Cards, createCards } from './cards/cards.ts';
import { createDownloads, type Downloads } from './downloads.ts';
import { createLineage, type Lineage } from './lineage.ts';
import { createModelSearches, type ModelSearches } from './model-search.ts';
import type { ModelVersion } from './model-version.ts';
import { createModels, type Models } from './models.ts';
import { type RegisterOptions, registerVersion } from './registration.ts';
import { createTransitions, type Transitions } from './transitions.ts';
import { createVersionSearches, type VersionSearches } from './version-search.ts';
import { createVersions, type Versions } from './versions.ts';

/** What every trained model is, where it came from, and who let it into production. */
export interface Registry
  extends Models,
    Versions,
    Transitions,
    Downloads,
    Lineage,
    VersionSearches,
    ModelSearches,
    Cards {
  /** A new version, its content verified; the same request again answers the same version. */
  register(options: RegisterOptions): Promise<ModelVersion>;
}

/** The registry, bound to a scope. */
export function createRegistry(scope: Scope, tracking: Tracking): Registry {
  const models = createModels(scope);
  return {
    ...models,
    ...createVersions(scope),
    ...createTransitions(scope),
    ...createDownloads(scope),
    ...createLineage(scope),
    ...createVersionSearches(scope),
    ...createModelSearches(scope),
    ...createCards(scope),
    register: (options) => registerVersion(scope, tracking, options),
  };
}
