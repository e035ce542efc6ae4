import type { RecordLine } from '../archive/record-lines.ts';
import { trackingKinds } from '../contracts/kinds/tracking-kinds.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText, isPlainObject, storableText } from '../json.ts';
import { checkRestore } from '../sql/restore-input.ts';
import { normaliseArtifactPath } from './artifact-path.ts';
import { datasetId } from './dataset.ts';
import { assertExperimentName } from './experiment.ts';

/** What the archive and the file around it say, which its records must fit. */
export interface ImportedPlace {
  /** The member, for messages. */
  readonly path: string;
  /** Those that it may have. */
  readonly kinds: readonly string[];
  readonly experimentId?: string;
  /** The run whose parts are being read. */
  readonly runId?: string;
  /** The size of a content that the archive holds. */
  contentBytes?(sha256: string): number | undefined;
  hasDataset?(id: string): boolean;
}

type Check = (line: RecordLine, place: ImportedPlace) => void;

const checks: Readonly<Record<string, Check>> = {
  experiment: checkExperiment,
  run: checkRun,
  param_entry: checkParamEntry,
  artifact: checkArtifact,
  edge: checkEdge,
  dataset: checkDataset,
  metric_name: checkMetricName,
};

/**
 * Refuses, as INVALID and by name, a record that no export of tracking has: one that services would
 * never have written could do harm when they read it.
 */
export function checkImported(line: RecordLine, place: ImportedPlace): void {
  const { kind, id } = line.record;
  try {
    const check = place.kinds.includes(kind) ? checks[kind] : undefined;
    if (check === undefined) throw refused('is of a kind that it cannot have');
    const declared = trackingKinds.find(({ name }) => name === kind);
    if (declared !== undefined) checkRestore(declared, { op: 'restore', ...line });
    check(line, place);
  } catch (error) {
    if (!isKeelsonError(error, 'INVALID')) throw error;
    const what = `${storableText(kind, 50)} ${storableText(id, 100)}`;
    throw new KeelsonError('INVALID', `${place.path}, ${what}: ${error.message}`, {
      cause: error,
      details: { member: place.path, kind, id },
    });
  }
}

function checkExperiment({ record }: RecordLine): void {
  const { name, liveName, lifecycle } = record.columns;
  assertExperimentName(name as string);
  oneOf('lifecycle', lifecycle, ['active', 'archived', 'deleted']);
  const expected = lifecycle === 'deleted' ? undefined : name;
  if (liveName !== expected) throw refused('has another name than its own');
  texts('tags', record.facets['tags']);
}

function checkRun({ record, more }: RecordLine, { experimentId }: ImportedPlace): void {
  const { columns, facets } = record;
  if (columns['experimentId'] !== experimentId) throw refused('belongs to another experiment');
  oneOf('status', columns['status'], ['COMPLETED', 'FAILED', 'KILLED']);
  oneOf('lifecycle', columns['lifecycle'], ['active', 'deleted']);
  oneOf('sourceType', columns['sourceType'], ['NOTEBOOK', 'SCRIPT', 'PIPELINE', 'SERVICE']);
  texts('tags', facets['tags']);
  if (more === undefined) throw refused('says nothing of its points');
}

function checkParamEntry({ record }: RecordLine, { runId }: ImportedPlace): void {
  if (record.columns['runId'] !== runId) throw refused('belongs to another run');
  if (!isPlainObject(record.body['params'])) throw refused('has no params');
}

function checkArtifact({ record }: RecordLine, place: ImportedPlace): void {
  const { runId, path, livePath, sha256, sizeBytes, type, mimeType } = record.columns;
  if (runId !== place.runId) throw refused('belongs to another run');
  if (normaliseArtifactPath(path as string) !== path)
    throw refused('has a path of another spelling');
  if (livePath !== undefined && livePath !== path) throw refused('lives under another path');
  const there = place.contentBytes?.(String(sha256));
  if (there === undefined || there !== sizeBytes) throw refused('has content that is not there');
  oneOf('type', type, ['MODEL', 'DATASET', 'PLOT', 'CONFIG', 'LOG', 'OTHER']);
  assertText(mimeType, 'its media type', 255);
  texts('metadata', record.facets['metadata']);
}

function checkEdge({ record }: RecordLine, place: ImportedPlace): void {
  const { from, to, role } = record.columns;
  if (to !== place.runId) throw refused('leads to another run');
  if (place.hasDataset?.(String(from)) !== true)
    throw refused('comes from a dataset that is not there');
  oneOf('role', role, ['train', 'validation', 'test']);
}

function checkDataset({ record }: RecordLine): void {
  const { name, digest } = record.columns;
  if (record.id !== datasetId(String(name), String(digest))) {
    throw refused('has another id than its name and digest give');
  }
}

function checkMetricName({ record }: RecordLine): void {
  const { spelling, canonical, direction } = record.columns;
  assertText(spelling, 'its spelling', 255);
  assertText(canonical, 'its name', 255);
  if (direction !== undefined) oneOf('direction', direction, ['higher', 'lower']);
}

function oneOf(name: string, value: unknown, known: readonly string[]): void {
  if (!known.includes(value as string)) throw refused(`has ${name} ${JSON.stringify(value)}`);
}

function texts(facet: string, map: unknown): void {
  const fits = isPlainObject(map) && Object.values(map).every((value) => typeof value === 'string');
  if (!fits) throw refused(`has ${facet} that are no texts`);
}

function refused(why: string): KeelsonError {
  return new KeelsonError('INVALID', `it ${why}, as nothing in an export does.`);
}
