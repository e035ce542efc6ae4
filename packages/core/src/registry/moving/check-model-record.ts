import type { RecordLine } from '../../archive/record-lines.ts';
import { auditKinds } from '../../contracts/kinds/audit-kinds.ts';
import { registryKinds } from '../../contracts/kinds/registry-kinds.ts';
import { trackingKinds } from '../../contracts/kinds/tracking-kinds.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { assertText, canonicalJson, digestJson, isPlainObject, storableText } from '../../json.ts';
import { versionKey } from '../../language/version-order.ts';
import { checkRestore } from '../../sql/restore-input.ts';
import { normaliseArtifactPath } from '../../tracking/artifact-path.ts';
import { assertCard } from '../cards/card.ts';
import { assertVersion } from '../next-version.ts';
import { assertPolicy } from '../policy-shape.ts';
import type { StagePolicy } from '../stage-policy.ts';
import { assertKeptSuite } from '../validation/check-suite.ts';

/** What the archive says around a record, which the record must fit. */
export interface ModelPlace {
  /** The member, for messages. */
  readonly path: string;
  /** Kinds that it may have. */
  readonly kinds: readonly string[];
  readonly modelId?: string;
  readonly modelName?: string;
}

type Check = (line: RecordLine, place: ModelPlace) => void;

const stages = ['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED'];
const formats = [
  ...['ONNX', 'TENSORFLOW', 'PYTORCH', 'SKLEARN', 'XGBOOST'],
  ...['PICKLE', 'TFJS', 'JS', 'CUSTOM'],
];
const statuses = [...['PENDING', 'DONE', 'FAILED', 'REJECTED', 'WITHDRAWN', 'EXPIRED']];

const checks: Readonly<Record<string, Check>> = {
  model: checkModel,
  model_version: checkVersion,
  stage_transition: checkTransition,
  version_signature: ofModel,
  model_card: checkCard,
  validation_suite: checkSuite,
  validation_report: ofModel,
  edge: checkEdge,
  audit_entry: () => undefined,
  audit_erased: () => undefined,
};

const declared = new Map(
  [...registryKinds, ...trackingKinds, ...auditKinds].map((kind) => [kind.name, kind]),
);

/**
 * Refuses, as INVALID and by name, a record that no export of the registry has: one that services would
 * never have written could do harm when they read it.
 */
export function checkModelRecord(line: RecordLine, place: ModelPlace): void {
  const { kind, id } = line.record;
  try {
    const check = place.kinds.includes(kind) ? checks[kind] : undefined;
    const declaration = declared.get(kind);
    if (check === undefined || declaration === undefined) {
      throw refused('is of a kind that it cannot have');
    }
    checkRestore(declaration, { op: 'restore', ...line });
    if (declaration.history === 'kept') checkHistory(line);
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

/** What is attested is the history: the record must be where it ends. */
function checkHistory({ record, history }: RecordLine): void {
  const last = history?.at(-1);
  if (last === undefined) throw refused('has no history');
  const of = ({ columns, body }: Pick<typeof record, 'columns' | 'body'>): string =>
    canonicalJson({ columns, body });
  if (of(last) !== of(record)) throw refused('is not what its history ends with');
}

function checkModel({ record }: RecordLine): void {
  const { columns, body, facets } = record;
  if (assertText(columns['name'], 'its name', 255).trim() === '') throw refused('has no name');
  const last = columns['lastNumber'];
  if (typeof last !== 'number' || last < 0) throw refused(`has ${String(last)} versions`);
  if (columns['source'] !== undefined) {
    oneOf('source', columns['source'], ['EXPERIMENT', 'IMPORT', 'PIPELINE']);
  }
  if (columns['applyingId'] !== undefined) throw refused('is in the middle of a transition');
  assertPolicy(body['policy'] as unknown as StagePolicy);
  texts('aliases', body['aliases'] ?? {});
  texts('tags', facets['tags'] ?? {});
}

function checkVersion(line: RecordLine, place: ModelPlace): void {
  ofModel(line, place);
  const { columns, body, facets } = line.record;
  if (columns['modelName'] !== place.modelName) throw refused('belongs to another model');
  const version = assertVersion(String(columns['version']));
  const key = columns['versionKey'];
  if (key !== undefined && key !== versionKey(version))
    throw refused('is sorted as another version');
  oneOf('stage', columns['stage'], stages);
  oneOf('status', columns['status'], ['READY', 'FAILED']);
  oneOf('format', columns['format'], formats);
  if (columns['purgedAt'] !== undefined && columns['deletedAt'] === undefined) {
    throw refused('is purged, and not deleted');
  }
  checkFiles(line);
  const lineage = body['lineage'];
  const parents = isPlainObject(lineage) ? lineage['parentVersionIds'] : undefined;
  if (!Array.isArray(parents) || parents.some((one) => typeof one !== 'string')) {
    throw refused('does not say what it came of');
  }
  texts('tags', facets['tags'] ?? {});
  const figures = Object.values(facets['metrics'] ?? {});
  if (figures.some((one) => typeof one !== 'number'))
    throw refused('has metrics that are no numbers');
}

/** The digest of a version is that of its list of files, none of which may lie outside its directory. */
function checkFiles({ record: { columns, body } }: RecordLine): void {
  const files: unknown = body['files'];
  if (!Array.isArray(files) || files.length === 0) throw refused('has no files');
  const paths = new Set<string>();
  let total = 0;
  for (const file of files) {
    const { path, sha256, sizeBytes } = isPlainObject(file) ? file : {};
    if (typeof path !== 'string' || normaliseArtifactPath(path) !== path) {
      throw refused(`has a file named ${storableText(String(path), 100)}`);
    }
    if (paths.has(path)) throw refused(`has the file ${path} twice`);
    paths.add(path);
    if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
      throw refused(`has no digest of ${path}`);
    }
    if (!Number.isSafeInteger(sizeBytes) || Number(sizeBytes) < 0) {
      throw refused(`has no size of ${path}`);
    }
    total += Number(sizeBytes);
  }
  if (digestJson(files) !== columns['sha256'])
    throw refused('has another digest than its files give');
  if (total !== columns['sizeBytes']) throw refused('has another size than its files give');
}

function checkTransition(line: RecordLine, place: ModelPlace): void {
  ofModel(line, place);
  const { fromStage, toStage, status } = line.record.columns;
  oneOf('a stage', fromStage, stages);
  oneOf('a stage', toStage, stages);
  oneOf('status', status, statuses);
}

function checkSuite(line: RecordLine, place: ModelPlace): void {
  ofModel(line, place);
  assertText(line.record.columns['name'], 'its name', 255);
  assertKeptSuite(line.record.body);
}

function checkCard(line: RecordLine, place: ModelPlace): void {
  ofModel(line, place);
  assertCard(line.record.body);
}

function checkEdge({ record }: RecordLine): void {
  const { from, to } = record.columns;
  if (from === to) throw refused('leads to itself');
}

function ofModel({ record }: RecordLine, { modelId }: ModelPlace): void {
  if (record.columns['modelId'] !== modelId) throw refused('belongs to another model');
}

function oneOf(name: string, value: unknown, known: readonly string[]): void {
  if (!known.includes(value as string)) throw refused(`has ${name} ${JSON.stringify(value)}`);
}

function texts(name: string, map: unknown): void {
  const fits = isPlainObject(map) && Object.values(map).every((value) => typeof value === 'string');
  if (!fits) throw refused(`has ${name} that are no texts`);
}

function refused(why: string): KeelsonError {
  return new KeelsonError('INVALID', `it ${why}, as nothing in an export does.`);
}
