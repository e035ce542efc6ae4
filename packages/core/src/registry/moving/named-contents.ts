import type { MovedRecord } from '../../archive/record-lines.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { isPlainObject, type JsonObject } from '../../json.ts';
import type { ModelFile } from '../model-version.ts';
import { modelContents } from '../references.ts';

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

/** Contents that suites and reports name: whatever is called `sha256` in them. */
function looseDigests({ kind, columns, body }: MovedRecord): readonly string[] {
  if (kind !== 'validation_suite' && kind !== 'validation_report') return [];
  const found = new Set<string>();
  const look = (value: unknown): void => {
    if (Array.isArray(value)) for (const each of value) look(each);
    else if (isPlainObject(value)) {
      for (const [key, each] of Object.entries(value)) {
        if (key === 'sha256' && isDigest(each)) found.add(each);
        else look(each);
      }
    }
  };
  look({ sha256: columns['sha256'], body });
  return [...found].sort();
}

function isDigest(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}
