import type { ArchiveReader } from '../../archive/archive-reader.ts';
import { type RecordLine, readRecordLines } from '../../archive/record-lines.ts';
import { KeelsonError } from '../../errors.ts';
import { isPlainObject } from '../../json.ts';
import type { MovingChain } from '../../operations/audit/moving-chain.ts';
import { checkModelRecord, type ModelPlace } from './check-model-record.ts';
import { beside, modelPaths } from './models-layout.ts';

/** The first line of a model's file. */
export interface ArrivingModel {
  readonly line: RecordLine;
  readonly id: string;
  readonly name: string;
  readonly chain: MovingChain;
}

/** A version after what hangs on it. */
export interface ArrivingVersion {
  readonly line: RecordLine;
  /** Edges, signatures, card and reports. */
  readonly parts: readonly RecordLine[];
}

/** More than hangs on any version. */
const mostParts = 100_000;

/** The records of one model in an archive, each checked by itself; INVALID, by name, for what no export has. */
export class ModelFiles {
  readonly #archive: ArchiveReader;
  readonly #paths: ReturnType<typeof beside>;
  readonly #signal: AbortSignal;

  constructor(archive: ArchiveReader, path: string, signal: AbortSignal) {
    this.#archive = archive;
    this.#paths = beside(path);
    this.#signal = signal;
  }

  /** The model; its suites are to be read to their end. */
  async model(): Promise<ArrivingModel> {
    for await (const line of this.#lines(this.#paths.model)) {
      const { id, columns } = line.record;
      checkModelRecord(line, { path: this.#paths.model, kinds: ['model'] });
      if (modelPaths(id).model !== this.#paths.model) {
        throw invalid(this.#paths.model, `holds model ${id}`);
      }
      const name = String(columns['name']);
      return { line, id, name, chain: chainOf(line, this.#paths.model) };
    }
    throw invalid(this.#paths.model, 'has no model');
  }

  async *suites(model: ArrivingModel): AsyncGenerator<RecordLine, void, undefined> {
    const place = this.#place(this.#paths.model, model, ['validation_suite']);
    let first = true;
    for await (const line of this.#lines(this.#paths.model)) {
      if (!first) {
        checkModelRecord(line, place);
        yield line;
      }
      first = false;
    }
  }

  /** By number ascending. */
  async *versions(model: ArrivingModel): AsyncGenerator<ArrivingVersion, void, undefined> {
    const path = this.#paths.versions;
    const kinds = ['model_version', 'version_signature', 'model_card', 'validation_report', 'edge'];
    const place = this.#place(path, model, kinds);
    let parts: RecordLine[] = [];
    for await (const line of this.#lines(path)) {
      checkModelRecord(line, place);
      if (line.record.kind !== 'model_version') {
        parts.push(line);
        if (parts.length > mostParts) throw invalid(path, 'has parts of no version');
        continue;
      }
      for (const part of parts) assertPartOf(line, part, path);
      assertParents(line, parts, path);
      yield { line, parts };
      parts = [];
    }
    if (parts.length > 0) throw invalid(path, 'ends too early');
  }

  async *transitions(model: ArrivingModel): AsyncGenerator<RecordLine, void, undefined> {
    const place = this.#place(this.#paths.transitions, model, ['stage_transition']);
    for await (const line of this.#lines(this.#paths.transitions)) {
      checkModelRecord(line, place);
      yield line;
    }
  }

  /** Entries of the chain, and behind them what was erased. */
  async *audit(model: ArrivingModel): AsyncGenerator<RecordLine, void, undefined> {
    const place = this.#place(this.#paths.audit, model, ['audit_entry', 'audit_erased']);
    for await (const line of this.#lines(this.#paths.audit)) {
      checkModelRecord(line, place);
      yield line;
    }
  }

  #lines(path: string): AsyncIterable<RecordLine> {
    return readRecordLines(this.#archive.open(path, this.#signal), path);
  }

  #place(path: string, { id, name }: ArrivingModel, kinds: readonly string[]): ModelPlace {
    return { path, kinds, modelId: id, modelName: name };
  }
}

/** What the line of a model says of its chain. */
function chainOf({ record, more }: RecordLine, path: string): MovingChain {
  const chain = more?.['audit'];
  if (isPlainObject(chain)) {
    const { subject, stretches, digest } = chain;
    const fits =
      subject === `model:${record.columns['name']}` &&
      typeof digest === 'string' &&
      Array.isArray(stretches) &&
      stretches.length > 0 &&
      stretches.every((one) => isPlainObject(one) && typeof one['workspace'] === 'string');
    if (fits) return chain as unknown as MovingChain;
  }
  throw invalid(
    path,
    `does not say who let model ${record.id} be what it is: it has no audit chain`,
  );
}

const ownerOfPart: Readonly<Record<string, string>> = {
  edge: 'to',
  version_signature: 'versionId',
  validation_report: 'versionId',
};

function assertPartOf({ record }: RecordLine, { record: part }: RecordLine, path: string): void {
  const column = ownerOfPart[part.kind];
  const owner = column === undefined ? part.id : part.columns[column];
  if (owner !== record.id) {
    throw invalid(path, `has ${part.kind} ${part.id} of ${owner} before version ${record.id}`);
  }
  if (part.kind === 'version_signature' && part.columns['sha256'] !== record.columns['sha256']) {
    throw invalid(
      path,
      `has a signature ${part.id} of other content than version ${record.id} has`,
    );
  }
}

/** The edges of parents are those that the version itself names: it cannot change, they could. */
function assertParents({ record }: RecordLine, parts: readonly RecordLine[], path: string): void {
  const lineage = record.body['lineage'] as { readonly parentVersionIds: readonly string[] };
  const named = new Set(lineage.parentVersionIds);
  const drawn = new Set(
    parts.flatMap(({ record: { kind, columns } }) =>
      kind === 'edge' && columns['role'] === 'parent' ? [String(columns['from'])] : [],
    ),
  );
  if (named.size === drawn.size && [...named].every((id) => drawn.has(id))) return;
  throw invalid(path, `has other parents of version ${record.id} than the version names`);
}

/** INVALID: no export does that. */
export function invalid(path: string, why: string): KeelsonError {
  return new KeelsonError('INVALID', `${path} ${why}; no export does.`, {
    details: { member: path },
  });
}
