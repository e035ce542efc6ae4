import { putCases } from './artifacts/put-cases.ts';
import { readCases } from './artifacts/read-cases.ts';
import type { ArtifactStoreHarness } from './artifacts/scene.ts';
import { spaceCases } from './artifacts/space-cases.ts';
import type { Suite } from './suite.ts';

export type { ArtifactStoreHarness } from './artifacts/scene.ts';

/** The promises of ArtifactStore (contracts/artifact-store.ts), one a case. */
export const artifactStoreSuite: Suite<ArtifactStoreHarness> = {
  contract: 'ArtifactStore',
  cases: [...putCases, ...readCases, ...spaceCases],
};
