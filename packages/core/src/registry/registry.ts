import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Tracking } from '../tracking/tracking.ts';
import { type Aliases, createAliases } from './aliases.ts';
import { type Automations, createAutomations } from './automation/automations.ts';
import { type Cards, createCards } from './cards/cards.ts';
import { createVersionComparisons, type VersionComparisons } from './compare-versions.ts';
import { createVerifications, type Verifications } from './damage.ts';
import { createDeletion, type Deletion } from './deletion.ts';
import { createDownloads, type Downloads } from './downloads.ts';
import { createLineage, type Lineage } from './lineage.ts';
import { createModelSearches, type ModelSearches } from './model-search.ts';
import type { ModelVersion } from './model-version.ts';
import { createModels, type Models } from './models.ts';
import { createModelMoves, type ModelMoves } from './moving/model-moves.ts';
import type { RegisterOptions } from './register-options.ts';
import { registerVersion } from './registration.ts';
import type { RegistryParts } from './registry-parts.ts';
import { createSignatures, type Signatures } from './signing/signatures.ts';
import { createTimeTravel, type TimeTravel } from './time-travel.ts';
import { createTransitions, type Transitions } from './transitions.ts';
import { createValidations, type Validations } from './validation/validations.ts';
import { createVersionSearches, type VersionSearches } from './version-search.ts';
import { createVersions, type Versions } from './versions.ts';

/** What every trained model is, where it came from, and who let it into production. */
export interface Registry
  extends Models,
    Versions,
    Aliases,
    Deletion,
    Transitions,
    TimeTravel,
    Downloads,
    Verifications,
    Signatures,
    Lineage,
    VersionSearches,
    ModelSearches,
    VersionComparisons,
    Cards,
    Validations,
    Automations,
    ModelMoves {
  /** A new version, its content verified; the same request again answers the same version. */
  register(options: RegisterOptions): Promise<ModelVersion>;
}

/** The registry, bound to a scope. */
export function createRegistry(
  scope: Scope,
  tracking: Tracking,
  parts: RegistryParts,
): { readonly registry: Registry; readonly loops: readonly Loop[] } {
  const downloads = createDownloads(scope, parts.downloads);
  const { expiryLoop, ...transitions } = createTransitions(scope, parts);
  const registry: Registry = {
    ...createModels(scope),
    ...createVersions(scope),
    ...createAliases(scope),
    ...createDeletion(scope, parts),
    ...createTimeTravel(scope),
    ...transitions,
    ...downloads,
    ...createVerifications(scope),
    ...createSignatures(scope),
    ...createLineage(scope),
    ...createVersionSearches(scope),
    ...createModelSearches(scope),
    ...createVersionComparisons(scope, tracking),
    ...createCards(scope),
    ...createModelMoves(scope),
    ...createAutomations(scope, tracking),
    ...createValidations(scope, downloads.download),
    register: (options) => registerVersion(scope, tracking, options),
  };
  return { registry, loops: [expiryLoop] };
}
