import { describe, expect, test } from 'vitest';
import { brokenArtifactStores } from '../../test/broken-artifact-stores.ts';
import { fastDirectory, openFileArtifactHarness } from '../../test/file-artifact-harness.ts';
import { artifactStoreSuite } from './artifact-store-suite.ts';
import { runSuite } from './suite.ts';

const names = artifactStoreSuite.cases.map((one) => one.name);

/** Takes as long as all the others together, so only the store that breaks it is asked. */
const costly = 'put: memory does not grow with the content';

function suiteFor(broken: string): typeof artifactStoreSuite {
  const asked = (name: string): boolean => name !== costly || name === broken;
  return { ...artifactStoreSuite, cases: artifactStoreSuite.cases.filter((c) => asked(c.name)) };
}

describe('the suite of ArtifactStore', () => {
  test('has a broken store for each of its cases', () => {
    expect(Object.keys(brokenArtifactStores).sort()).toEqual([...names].sort());
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain(costly);
  });

  test.each(names)('a store that breaks “%s” fails there only', async (name) => {
    const disguise = brokenArtifactStores[name];
    const results = await runSuite(
      suiteFor(name),
      () => openFileArtifactHarness(disguise, fastDirectory),
      {
        timeoutMs: 5_000,
      },
    );
    const failed = results.filter((result) => !result.passed);
    const said = failed.map((result) => `${result.name}: ${result.error}`).join('\n');
    expect(
      failed.map((result) => result.name),
      said,
    ).toEqual([name]);
  });
});
