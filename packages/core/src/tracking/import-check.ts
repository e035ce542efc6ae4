import type { ArchiveReader } from '../archive/archive-reader.ts';
import type { RecordLine } from '../archive/record-lines.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { columnIs } from '../operations/every-record.ts';
import { alreadyHere, otherContent, sameContent } from '../operations/restoring-records.ts';
import {
  contentDigest,
  datasetsPath,
  isExperimentRecords,
  metricNamesPath,
  pointsBeside,
} from './export-layout.ts';
import { missingNames, readShared, type SharedLines } from './import-names.ts';
import { hasPoints, otherPoints } from './import-points.ts';
import { type ImportedRun, readExperiment } from './imported-experiment.ts';

/** An archive that was read from end to end, but for its contents, and fits what is here. */
export interface CheckedImport {
  /** The members with the records of experiments. */
  readonly experiments: readonly string[];
  readonly shared: SharedLines;
  /** SHA-256 of each content that artifacts name. */
  readonly contents: ReadonlySet<string>;
  contentBytes(sha256: string): number | undefined;
  hasDataset(id: string): boolean;
}

const batch = 500;

/**
 * Reads all records and points of an archive before anything is written: CORRUPT for a damaged member,
 * INVALID for what no export has, CONFLICT for what is here with other content, each by name.
 */
export async function checkImport(
  scope: Scope,
  archive: ArchiveReader,
  signal: AbortSignal,
): Promise<CheckedImport> {
  const experiments = membersOf(archive);
  const shared = await readShared(archive, signal);
  const datasets = new Set(shared.datasets.map(({ record }) => record.id));
  const place = {
    contentBytes: (sha256: string) => contentBytes(archive, sha256),
    hasDataset: (id: string) => datasets.has(id),
  };
  await missingNames(scope, shared.metricNames);
  const contents = new Set<string>();
  for (const path of experiments) {
    const looking = new Looking(scope);
    for await (const item of readExperiment(archive, path, place, signal)) {
      if (item.what === 'experiment') await assertNameFree(scope, item.line);
      if (item.what === 'run') {
        for await (const block of item.blocks()) void block;
        looking.run(item);
      }
      const { kind, columns } = item.line.record;
      if (kind === 'artifact') contents.add(String(columns['sha256']));
      await looking.look(item.line);
    }
    await looking.end();
  }
  assertContentsNamed(archive, contents);
  return { experiments, shared, contents, ...place };
}

/** Members that no export has are refused; those with records of experiments are answered. */
function membersOf(archive: ArchiveReader): readonly string[] {
  const paths = archive.manifest.members.map(({ path }) => path);
  const experiments = paths.filter(isExperimentRecords);
  const known = new Set([datasetsPath, metricNamesPath, ...experiments]);
  for (const path of experiments) known.add(pointsBeside(path));
  for (const { path, sha256 } of archive.manifest.members) {
    if (known.has(path) || contentDigest(path) === sha256) continue;
    throw unknownMember(archive, path);
  }
  return experiments;
}

function contentBytes(archive: ArchiveReader, sha256: string): number | undefined {
  if (!/^[0-9a-f]{64}$/.test(sha256)) return undefined;
  return archive.find(`content/${sha256.slice(0, 2)}/${sha256}`)?.sizeBytes;
}

function assertContentsNamed(archive: ArchiveReader, contents: ReadonlySet<string>): void {
  for (const { path } of archive.manifest.members) {
    const digest = contentDigest(path);
    if (digest !== undefined && !contents.has(digest)) throw unknownMember(archive, path);
  }
}

function unknownMember(archive: ArchiveReader, path: string): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `${archive.where} holds ${path}, which is no part of an export of experiments. Nothing of it was taken.`,
    { details: { archive: archive.where, member: path } },
  );
}

/** An experiment that is here under another id keeps its name. */
async function assertNameFree(scope: Scope, { record }: RecordLine): Promise<void> {
  const name = record.columns['liveName'];
  if (name === undefined) return;
  const where = columnIs('liveName', name);
  const { records } = await scope.metadata.query(scope.workspace, 'experiment', {
    where,
    limit: 1,
  });
  const [taker] = records;
  if (taker === undefined || taker.id === record.id) return;
  throw new KeelsonError(
    'CONFLICT',
    `There is another experiment ${JSON.stringify(name)} here (${taker.id}); rename it with updateExperiment, or import into another workspace. Nothing was imported.`,
    {
      details: { kind: 'experiment', id: record.id, unique: 'experiment name', takenBy: taker.id },
    },
  );
}

/** Compares records with those that are here, some hundreds at a time. */
class Looking {
  readonly #scope: Scope;
  #lines: RecordLine[] = [];
  readonly #runs = new Map<string, ImportedRun>();

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  run(run: ImportedRun): void {
    this.#runs.set(run.line.record.id, run);
  }

  async look(line: RecordLine): Promise<void> {
    this.#lines.push(line);
    if (this.#lines.length >= batch) await this.end();
  }

  async end(): Promise<void> {
    for (const [kind, lines] of Map.groupBy(this.#lines, ({ record }) => record.kind)) {
      const records = lines.map(({ record }) => record);
      const here = await alreadyHere(this.#scope, records);
      for (const record of records) {
        const found = here.get(record.id);
        if (found !== undefined && !sameContent(found, record)) throw otherContent(found, record);
      }
      if (kind === 'run') await this.#points([...here.keys()]);
    }
    this.#lines = [];
    this.#runs.clear();
  }

  async #points(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const { series, workspace } = this.#scope;
    const summaries = await series.summariesOf(workspace, ids);
    for (const id of ids) {
      const points = this.#runs.get(id)?.points;
      if (points === undefined || hasPoints(summaries.get(id), points)) continue;
      throw otherPoints(id, summaries.get(id), points);
    }
  }
}
