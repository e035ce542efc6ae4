import type { MovedRecord } from '../../archive/record-lines.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import type { ModelFile } from '../model-version.ts';
import { modelContents, registryContents } from '../references.ts';

/** A content that a record names. */
export interface NamedContent {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** What moves of the contents that a record names. */
interface Found {
  readonly contents: readonly NamedContent[];
  readonly damaged: readonly string[];
  /** Which contents come with the record, where the record itself does not say. */
  readonly more?: JsonObject;
}

/**
 * The contents that move with a record: all files of a version that is READY, those that can still be read
 * of one that was found damaged, what suites and reports name. CORRUPT, naming both, for a content that a
 * version has lost.
 */
export async function contentsNamedBy(
  scope: Pick<Scope, 'artifacts'>,
  record: MovedRecord,
  signal: AbortSignal,
): Promise<Found> {
  if (record.kind === 'model_version') {
    const files = filesOf(record);
    if (record.columns['status'] === 'READY') return { contents: files, damaged: [] };
    return stillReadable(scope, files, signal);
  }
  const digests = looseDigests(record);
  if (digests.length === 0) return { contents: [], damaged: [] };
  const contents: NamedContent[] = [];
  for (const sha256 of digests) {
    const info = await scope.artifacts.find(sha256);
    if (info !== undefined) contents.push(info);
  }
  return { contents, damaged: [], more: { contents: contents.map(({ sha256 }) => sha256) } };
}

async function stillReadable(
  { artifacts }: Pick<Scope, 'artifacts'>,
  files: readonly NamedContent[],
  signal: AbortSignal,
): Promise<Found> {
  const contents: NamedContent[] = [];
  const damaged: string[] = [];
  for (const file of files) {
    try {
      await artifacts.verify(file.sha256, signal);
      contents.push(file);
    } catch (error) {
      if (!isKeelsonError(error, 'CORRUPT', 'NOT_FOUND')) throw error;
      damaged.push(file.sha256);
    }
  }
  return { contents, damaged, more: { contents: contents.map(({ sha256 }) => sha256) } };
}

/** The files of a version that has not given its content up. */
function filesOf({ columns, body }: MovedRecord): readonly NamedContent[] {
  const named = new Set(modelContents.digests({ columns, body }));
  const files = (body['files'] ?? []) as unknown as readonly ModelFile[];
  return files.filter(({ sha256 }) => named.has(sha256));
}

/** The contents that an archive must have for a record; the sizes of those that it says. */
export function requiredContents(
  record: MovedRecord,
  more: JsonObject | undefined,
): readonly { readonly sha256: string; readonly sizeBytes?: number }[] {
  const came = more?.['contents'];
  if (record.kind === 'model_version') {
    const files = filesOf(record);
    if (record.columns['status'] === 'READY') return files;
    const there = new Set(digestsIn(came));
    return files.filter(({ sha256 }) => there.has(sha256));
  }
  return came === undefined ? [] : digestsIn(came).map((sha256) => ({ sha256 }));
}

function digestsIn(came: unknown): readonly string[] {
  if (Array.isArray(came) && came.every((one) => typeof one === 'string')) return came;
  throw new KeelsonError('INVALID', 'it does not say which contents come with it.');
}

/** Contents that suites and reports name. */
function looseDigests(record: MovedRecord): readonly string[] {
  const named = registryContents.find(({ kind }) => kind === record.kind);
  return [...new Set(named?.digests(record) ?? [])].sort();
}
