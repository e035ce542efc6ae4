import type { Change, MetadataStore } from '@keelson/core';
import { uuidV7 } from '@keelson/core';
import { type SeededRandom, seededRandom } from '@keelson/core/statistics';
import { versionKey } from '../packages/core/src/language/version-order.ts';
import { datasetId } from '../packages/core/src/tracking/dataset.ts';

/** Versions of one line: its base dataset leads to 499 runs, and they to as many versions. */
const familySize = 499;
const perCommit = 50;

/** Where questions begin. */
export interface RegistryData {
  readonly versions: number;
  readonly datasets: number;
  /** The digest of a dataset that every version of a family descends from. */
  readonly baseDigest: string;
  /** The last version of that family, with hundreds of ancestors. */
  readonly lastVersionId: string;
}

interface VersionData {
  readonly id: string;
  readonly runId: string;
  readonly family: number;
  readonly index: number;
  readonly parents: readonly string[];
}

/**
 * Stores versions as a registry of some age has them: families of 499, each version made by a run from the
 * family's base dataset and two of three times one of its own, fine-tuned from two of those before it; one
 * of ten was in production. Beside them models that have a name and no versions.
 */
export async function storeRegistry(
  store: MetadataStore,
  counts: { readonly versions: number; readonly models: number },
  tell: (share: number) => void,
): Promise<RegistryData> {
  const random = seededRandom('registry');
  const families = Math.ceil(counts.versions / familySize);
  let datasets = 0;
  let last: string[] = [];
  for (let family = 0; family < families; family += 1) {
    tell(family / families);
    const size = Math.min(familySize, counts.versions - family * familySize);
    const ids: string[] = [];
    await commit(store, [modelOf(modelId(family), `${nameOf(random)}-${family}`, size)]);
    await commit(store, [datasetOf('base', baseDigest(family))]);
    datasets += 1;
    for (let from = 0; from < size; from += perCommit) {
      const changes: Change[] = [];
      for (let index = from; index < Math.min(size, from + perCommit); index += 1) {
        const id = uuidV7();
        const version = { id, runId: uuidV7(), family, index, parents: parentsOf(ids, random) };
        ids.push(id);
        changes.push(...versionChanges(version));
        if (index % 3 !== 0) datasets += 1;
      }
      await commit(store, changes);
    }
    await promote(store, ids, family);
    if (family === families - 1 && size < familySize && last.length > 0) break;
    last = ids;
  }
  for (let from = 0; from < counts.models; from += 400) {
    const some = Math.min(400, counts.models - from);
    const names = Array.from({ length: some }, (_, i) => `${nameOf(random)}-x${from + i}`);
    await commit(
      store,
      names.map((name) => modelOf(uuidV7(), name, 0)),
    );
  }
  const family = families > 1 ? families - 2 : 0;
  return {
    versions: counts.versions,
    datasets,
    baseDigest: baseDigest(family),
    lastVersionId: last.at(-1) ?? '',
  };
}

const words = [
  ...['fraud', 'churn', 'credit', 'weather', 'demand', 'price', 'click', 'image', 'speech', 'text'],
  ...['ranking', 'detection', 'forecast', 'segment', 'scoring', 'router', 'filter', 'embedding'],
];

function nameOf(random: SeededRandom): string {
  return Array.from({ length: 2 }, () => words[random.below(words.length)]).join('-');
}

/** Two of those before it, near and far. */
function parentsOf(before: readonly string[], random: SeededRandom): readonly string[] {
  if (before.length === 0) return [];
  const back = (reach: number): string =>
    before[before.length - 1 - random.below(Math.min(reach, before.length))] as string;
  return [...new Set([back(8), back(40)])];
}

function modelId(family: number): string {
  return `00000000-0000-7000-8000-${String(family).padStart(12, '0')}`;
}

function baseDigest(family: number): string {
  return `base-${family}-`.padEnd(64, 'x');
}

function modelOf(id: string, name: string, lastNumber: number): Change {
  const columns = { name, lastNumber, createdBy: 'bench' };
  const transitions = Array.from({ length: 6 }, () => ({
    from: 'DEVELOPMENT',
    to: 'STAGING',
    checks: [{ check: 'integrity' }, { check: 'signature' }],
    approvals: 1,
    approverRoles: ['approver'],
  }));
  const body = { description: 'A model of the benchmark.', policy: { transitions } };
  return { op: 'create', kind: 'model', id, columns, body };
}

function datasetOf(name: string, digest: string): Change {
  const columns = { name, digest, rowCount: 1_000 };
  return { op: 'create', kind: 'dataset', id: datasetId(name, digest), columns };
}

function versionChanges({ id, runId, family, index, parents }: VersionData): Change[] {
  const version = `1.${index}.0`;
  const codeCommit = `${family}c${Math.floor(index / 5)}-`.padEnd(40, 'x');
  const own = `own-${family}-${index}-`.padEnd(64, 'x');
  const sha256 = `${family}${index}`.padEnd(64, 'a');
  const edge = (from: string, to: string, role: string): Change => ({
    op: 'create',
    kind: 'edge',
    id: uuidV7(),
    columns: { from, to, role },
  });
  const hasOwn = index % 3 !== 0;
  return [
    ...(hasOwn ? [datasetOf('own', own)] : []),
    {
      op: 'create',
      kind: 'run',
      id: runId,
      columns: {
        experimentId: modelId(family),
        name: `run ${index}`,
        status: 'COMPLETED',
        startedAt: 1,
        sourceType: 'SCRIPT',
        userId: 'bench',
        lifecycle: 'active',
      },
      body: { environment: { command: 'node train.ts '.repeat(20) } },
      facets: { params: { layers: index % 7 } },
    },
    {
      op: 'create',
      kind: 'model_version',
      id,
      columns: {
        modelId: modelId(family),
        modelName: `model-${family}`,
        number: index + 1,
        version,
        versionKey: versionKey(version),
        sha256,
        sizeBytes: 1_000_000,
        format: index % 2 === 0 ? 'ONNX' : 'JS',
        sourceRunId: runId,
        createdBy: 'bench',
        stage: 'DEVELOPMENT',
        status: 'READY',
      },
      body: {
        files: ['model.onnx', 'labels.json', 'config.json'].map((path) => ({
          path,
          sha256,
          sizeBytes: 1,
        })),
        lineage: { sourceRunId: runId, codeCommit, parentVersionIds: [...parents] },
        signature: { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 30] }], outputs: [] },
      },
      facets: {
        tags: { team: `team-${family % 20}` },
        metrics: { auc: ((index * 7919 + family * 104_729) % 10_000) / 10_000 },
      },
    },
    edge(datasetId('base', baseDigest(family)), runId, 'train'),
    ...(hasOwn ? [edge(datasetId('own', own), runId, 'validation')] : []),
    edge(runId, id, 'produced'),
    edge(`commit:${codeCommit}`, id, 'code'),
    ...parents.map((parent) => edge(parent, id, 'parent')),
  ];
}

/** Every tenth goes to production, and leaves it for the next. */
async function promote(
  store: MetadataStore,
  ids: readonly string[],
  family: number,
): Promise<void> {
  const some = ids.filter((_, i) => i % 10 === 0);
  const move = (id: string, expect: number, stage: string): Change => ({
    op: 'replace',
    kind: 'model_version',
    id,
    expect,
    columns: { stage },
  });
  const asked = (versionId: string): Change => ({
    op: 'create',
    kind: 'stage_transition',
    id: uuidV7(),
    columns: {
      modelId: modelId(family),
      versionId,
      fromStage: 'STAGING',
      toStage: 'PRODUCTION',
      requestedBy: 'bench',
      status: 'DONE',
    },
  });
  await commit(
    store,
    some.flatMap((id) => [asked(id), move(id, 1, 'PRODUCTION')]),
  );
  await commit(
    store,
    some.slice(0, -1).map((id) => move(id, 2, 'ARCHIVED')),
  );
}

async function commit(store: MetadataStore, changes: readonly Change[]): Promise<void> {
  if (changes.length === 0) return;
  await store.commit({ workspace: 'default', principal: 'bench', changes });
}
