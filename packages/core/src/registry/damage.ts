import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { emitOfModel } from './emit-of-model.ts';
import { type FileProgress, type GatherOptions, gatherOptions } from './gather-files.ts';
import type { ModelFile, ModelVersion } from './model-version.ts';
import { readNamedVersion } from './named-version.ts';

/** A file of a version that is not what was registered. */
export interface FileProblem {
  readonly path: string;
  readonly sha256: string;
  /** CORRUPT: other bytes. NOT_FOUND: none. */
  readonly code: 'CORRUPT' | 'NOT_FOUND';
  readonly problem: string;
}

/** What looking at all files of a version found. */
export interface VersionVerification {
  /** As it is now: FAILED while there is a problem. */
  readonly version: ModelVersion;
  readonly problems: readonly FileProblem[];
}

/** Whether versions are what was registered. */
export interface Verifications {
  /**
   * Reads every file of a version, by its id or as `model@1.2.0`. One that is damaged is flagged: its status is
   * FAILED, `failure` says which file, and it can be neither downloaded, promoted nor deployed. One that was
   * flagged and is whole again (its content was put again, or came back from a backup) is READY.
   */
  verify(version: string, options?: GatherOptions): Promise<VersionVerification>;
}

type Writing = Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'ids' | 'clock'>;

/** Verifications, bound to a scope. */
export function createVerifications(scope: Scope): Verifications {
  return {
    async verify(name, options = {}) {
      checkOptions(gatherOptions, options, 'verify');
      const version = await readNamedVersion(scope, name);
      assertHasContent(version);
      const problems = await problemsOf(scope, version, options);
      if (problems.length === 0) await clearDamage(scope, version.id);
      else await flagDamage(scope, version.id, problems);
      return { version: await readNamedVersion(scope, version.id), problems };
    },
  };
}

/** Reads a version that a check found damaged, and flags it if it is. */
export async function flagIfDamaged(scope: Scope, version: ModelVersion): Promise<void> {
  const problems = await problemsOf(scope, version, {});
  if (problems.length > 0) await flagDamage(scope, version.id, problems);
}

async function problemsOf(
  scope: Scope,
  version: ModelVersion,
  options: GatherOptions,
): Promise<readonly FileProblem[]> {
  const problems: FileProblem[] = [];
  let progress: FileProgress = { files: 0, bytes: 0 };
  for (const file of version.files) {
    const problem = await problemOf(scope, file, options.signal);
    if (problem !== undefined) problems.push(problem);
    progress = { files: progress.files + 1, bytes: progress.bytes + file.sizeBytes };
    options.onProgress?.(progress);
  }
  return problems;
}

/** What is wrong with the content of a file, all of it read; undefined when nothing is. */
export async function problemOf(
  scope: Pick<Scope, 'artifacts'>,
  { path, sha256, sizeBytes }: ModelFile,
  signal?: AbortSignal,
): Promise<FileProblem | undefined> {
  try {
    const found = await scope.artifacts.verify(sha256, signal);
    if (found.sizeBytes === sizeBytes) return undefined;
    const problem = `it has ${found.sizeBytes} bytes, not ${sizeBytes}`;
    return { path, sha256, code: 'CORRUPT', problem };
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT', 'NOT_FOUND')) throw error;
    const code = isKeelsonError(error, 'CORRUPT') ? 'CORRUPT' : 'NOT_FOUND';
    return { path, sha256, code, problem: error.message };
  }
}

const maxFailure = 1000;

/** Flags a version, and says so; one that is flagged with this already stays as it is. */
export async function flagDamage(
  scope: Writing,
  versionId: string,
  problems: readonly FileProblem[],
): Promise<void> {
  const failure = problems
    .map(({ path, problem }) => `${path}: ${problem}`)
    .join('; ')
    .slice(0, maxFailure);
  const files = problems.map(({ path }) => path);
  await decideOn(scope, versionId, (record) => {
    if (record.columns['failure'] === failure) return [];
    const change = statusChange(record, { status: 'FAILED', failure });
    if (record.columns['status'] === 'FAILED') return [change];
    const { name, ...of } = nameOf(record);
    const payload = { ...of, files, reason: failure };
    return [change, emitOfModel(scope, 'model.damaged', name, payload)];
  });
}

/** Takes the flag away from a version whose content was found whole. */
async function clearDamage(scope: Writing, versionId: string): Promise<void> {
  await decideOn(scope, versionId, (record) => healingOf(scope, record));
}

/** What takes the flag away; nothing where there is none. */
export function healingOf(scope: Writing, record: StoredRecord): readonly Change[] {
  if (record.columns['status'] !== 'FAILED') return [];
  const { name, ...of } = nameOf(record);
  return [
    statusChange(record, { status: 'READY', failure: undefined }),
    emitOfModel(scope, 'model.healed', name, of),
  ];
}

/** Refuses, as CORRUPT with the remedy, to take a damaged version any further. */
export function assertWhole(version: ModelVersion): void {
  if (version.status === 'READY') return;
  throw new KeelsonError(
    'CORRUPT',
    `Version ${version.version} of ${version.model} is damaged (${version.failure ?? 'its content does not match'}). Put its content back (register the same files again, or restore a backup), then registry.verify('${version.id}').`,
    { details: { versionId: version.id, failure: version.failure } },
  );
}

/** Refuses, as NOT_FOUND, a version that has given its content up. */
export function assertHasContent(version: ModelVersion): void {
  if (version.purgedAt === undefined) return;
  throw new KeelsonError(
    'NOT_FOUND',
    `Version ${version.version} of ${version.model} was deleted, and its content is gone; register it under a new version.`,
    { details: { versionId: version.id } },
  );
}

function decideOn(
  scope: Writing,
  id: string,
  changesOf: (record: StoredRecord) => readonly Change[],
): Promise<void> {
  return decideAndCommit(scope, async (): Promise<Decision<void>> => {
    const record = await scope.metadata.find(scope.workspace, 'model_version', id);
    return { changes: record === undefined ? [] : changesOf(record), result: undefined };
  });
}

function statusChange(
  { id, revision }: StoredRecord,
  columns: { readonly status: string; readonly failure: string | undefined },
): Change {
  return { op: 'replace', kind: 'model_version', id, expect: revision, columns };
}

interface Named {
  readonly name: string;
  readonly versionId: string;
  readonly version: string;
}

function nameOf({ id, columns }: StoredRecord): Named {
  return {
    name: columns['modelName'] as string,
    versionId: id,
    version: columns['version'] as string,
  };
}
