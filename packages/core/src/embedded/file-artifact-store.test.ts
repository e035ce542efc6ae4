import { describe, test } from 'vitest';
import { openFileArtifactHarness } from '../../test/file-artifact-harness.ts';
import { artifactStoreSuite } from '../testing/artifact-store-suite.ts';
import { runCase } from '../testing/suite.ts';

describe('keeps the promises of ArtifactStore', () => {
  for (const one of artifactStoreSuite.cases) {
    test(one.name, () => runCase(one, () => openFileArtifactHarness()));
  }
});
