import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Services } from '../../src/open-platform.ts';

/** Everything that a registry and its audit can be asked of models: equal for two that hold the same. */
export async function wholeRegistry(
  { registry, operations }: Pick<Services, 'registry' | 'operations'>,
  names: readonly string[],
): Promise<unknown> {
  const models = [];
  for (const name of names) {
    const versions = [];
    const model = await registry.findModel(name);
    for (const version of model === undefined ? [] : await registry.listVersions(name)) {
      versions.push({
        version,
        transitions: await registry.listTransitions(version.id),
        lineage: await registry.lineage(version.id),
        forward: await registry.lineage(version.id, { direction: 'forward' }),
        files: version.status === 'READY' ? await filesOf(registry, version.id) : [],
      });
    }
    const entries = [];
    for await (const entry of operations.audit.entries({ subject: `model:${name}` })) {
      entries.push(entry);
    }
    models.push({ model, versions, entries });
  }
  return { models, listed: await registry.listModels() };
}

/** Digest of each file of a version, as it is downloaded. */
async function filesOf(
  registry: Services['registry'],
  versionId: string,
): Promise<readonly (readonly [string, string])[]> {
  const directory = await mkdtemp(join(tmpdir(), 'keelson-test-'));
  try {
    await registry.download(versionId, join(directory, 'files'));
    return await digestsOf(join(directory, 'files'));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Path and digest of each file below a directory. */
export async function digestsOf(
  directory: string,
): Promise<readonly (readonly [path: string, sha256: string])[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((e) => join(e.parentPath, e.name));
  const read = files.toSorted().map(async (file): Promise<[string, string]> => {
    const sha256 = createHash('sha256').update(await readFile(file));
    return [file.slice(directory.length + 1), sha256.digest('hex')];
  });
  return Promise.all(read);
}
