import type { ArchiveReader } from '../../archive/archive-reader.ts';
import type { RecordLine } from '../../archive/record-lines.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { ArrivingChain, eventsIn } from '../../operations/audit/arriving-chain.ts';
import { findOrigin } from '../../operations/audit/chain-origin.ts';
import { lastLink } from '../../operations/audit/moving-chain.ts';
import { contentDigest, contentPath, datasetsPath } from '../../tracking/export-layout.ts';
import { readShared } from '../../tracking/import-names.ts';
import { hasNoRecord } from '../lineage-edges.ts';
import { findModel } from '../model-records.ts';
import { type ArrivingModel, ModelFiles } from './arriving-model.ts';
import {
  evidenceOf,
  idOfEvidence,
  missingDatasets,
  missingEvidence,
  missingLines,
} from './compare-with-here.ts';
import { assertNoCycle, type ComingParents } from './lineage-cycles.ts';
import { ModelLaw } from './model-law.ts';
import { beside, isKnownMember, isModel } from './models-layout.ts';
import { addTally, countOfKind, emptyModelTally, type ModelTally } from './moved-model-counts.ts';
import { requiredContents } from './named-contents.ts';
import { assertRequestKeysFree, TakenKeys } from './taken-keys.ts';

/** What is to happen to a model that is here already, with the same content. */
export type IfExists = 'refuse' | 'skip';

/** A model of an archive, held to what is here. */
export interface CheckedModel {
  readonly path: string;
  readonly name: string;
  readonly versions: number;
  /** Whether it is here already with all that the archive has of it. */
  readonly isHere: boolean;
  /** What of it is here. */
  readonly here: ModelTally;
}

/** An archive that was read from end to end, but for its contents, and fits what is here. */
export interface CheckedModels {
  readonly models: readonly CheckedModel[];
  /** SHA-256 and size of each content that is named. */
  readonly contents: ReadonlyMap<string, number>;
  readonly datasets: readonly RecordLine[];
  /** What is not here yet, and what is. */
  readonly missing: ModelTally;
  readonly here: ModelTally;
  /** What versions came of, and neither the archive nor this registry has as a version. */
  readonly outside: readonly string[];
}

const batch = 400;

/**
 * Reads all records of an archive before anything is written: CORRUPT for a damaged member, INVALID for
 * what no export has and for what may not be (numbers that clash, two versions in production, a cycle in
 * the lineage, an audit chain that does not stand), CONFLICT for what is here with other content.
 */
export async function checkModels(
  scope: Scope,
  archive: ArchiveReader,
  ifExists: IfExists,
  signal: AbortSignal,
): Promise<CheckedModels> {
  const checking = new Checking(scope, archive, signal);
  for (const path of membersOf(archive)) await checking.model(path, ifExists);
  await assertNoCycle(scope, checking.parents, signal);
  const { datasets } = await readShared(archive, signal);
  await checking.datasets(datasets);
  assertContentsNamed(archive, checking.contents);
  const { models, contents, missing, here } = checking;
  return { models, contents, datasets, missing, here, outside: await checking.outside() };
}

/** Members that no export has are refused; those with models are answered. */
function membersOf(archive: ArchiveReader): readonly string[] {
  const { members } = archive.manifest;
  const models = members.map(({ path }) => path).filter(isModel);
  const known = new Set(models.flatMap((path) => Object.values<string>({ ...beside(path) })));
  known.add(datasetsPath);
  for (const member of members) {
    if (!isKnownMember(member, known)) throw unknownMember(archive, member.path);
  }
  return models;
}

function assertContentsNamed(archive: ArchiveReader, contents: ReadonlyMap<string, number>): void {
  for (const { path } of archive.manifest.members) {
    const digest = contentDigest(path);
    if (digest !== undefined && !contents.has(digest)) throw unknownMember(archive, path);
  }
}

function unknownMember(archive: ArchiveReader, path: string): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `${archive.where} holds ${path}, which is no part of an export of models. Nothing of it was taken.`,
    { details: { archive: archive.where, member: path } },
  );
}

class Checking {
  readonly models: CheckedModel[] = [];
  readonly contents = new Map<string, number>();
  readonly missing = emptyModelTally();
  readonly here = emptyModelTally();
  readonly parents: ComingParents = new Map();
  readonly #scope: Scope;
  readonly #archive: ArchiveReader;
  readonly #signal: AbortSignal;
  readonly #names = new Set<string>();
  readonly #taken = new TakenKeys();
  readonly #sources = new Set<string>();
  readonly #datasets = new Set<string>();

  constructor(scope: Scope, archive: ArchiveReader, signal: AbortSignal) {
    this.#scope = scope;
    this.#archive = archive;
    this.#signal = signal;
  }

  async model(path: string, ifExists: IfExists): Promise<void> {
    const files = new ModelFiles(this.#archive, path, this.#signal);
    const model = await files.model();
    const { name } = model;
    if (this.#names.has(name)) throw this.#invalid(path, `has another model ${name}`);
    this.#names.add(name);
    const isHere = (await missingLines(this.#scope, [model.line])).length === 0;
    if (isHere && ifExists === 'refuse') throw isHereAlready(model);
    if (!isHere) await assertFree(this.#scope, model);
    const here = emptyModelTally();
    const tallies = { missing: this.missing, here };
    const comparing = new Comparing(this.#scope, tallies, { isHere, taken: this.#taken });
    const chain = new ArrivingChain(model.chain);
    for await (const line of files.audit(model)) {
      if (line.record.kind === 'audit_erased') chain.erasure(line);
      else chain.entry(line);
      await comparing.look(line);
    }
    const law = new ModelLaw(model, path);
    const record = async (line: RecordLine): Promise<void> => {
      chain.record(line);
      this.#content(line, path);
      await comparing.look(line);
    };
    await record(model.line);
    for await (const line of files.suites(model)) await record(line);
    for await (const { line, parts } of files.versions(model)) {
      law.version(line);
      this.#lineage(line, parts, name);
      for (const part of parts) await record(part);
      await record(line);
    }
    for await (const line of files.transitions(model)) {
      law.transition(line);
      await record(line);
    }
    law.end();
    chain.end();
    await comparing.end();
    addTally(this.here, here);
    const versions = Number(model.line.record.columns['lastNumber']);
    this.models.push({ path, name, versions, isHere, here });
  }

  #lineage({ record }: RecordLine, parts: readonly RecordLine[], name: string): void {
    const parents: string[] = [];
    for (const { record: part } of parts) {
      if (part.kind !== 'edge') continue;
      const from = String(part.columns['from']);
      this.#sources.add(from);
      if (part.columns['role'] === 'parent') parents.push(from);
    }
    this.parents.set(record.id, { label: `${name} ${record.columns['version']}`, parents });
  }

  #content({ record, more }: RecordLine, path: string): void {
    for (const { sha256, sizeBytes } of requiredContents(record, more)) {
      const there = /^[0-9a-f]{64}$/.test(sha256)
        ? this.#archive.find(contentPath(sha256))?.sizeBytes
        : undefined;
      if (there === undefined || (sizeBytes ?? there) !== there) {
        throw this.#invalid(path, `has not the content ${sha256} of ${record.kind} ${record.id}`);
      }
      this.contents.set(sha256, there);
    }
  }

  /** A dataset that is here stays as it was first described. */
  async datasets(lines: readonly RecordLine[]): Promise<void> {
    for (const { record } of lines) {
      if (this.#sources.has(record.id)) this.#datasets.add(record.id);
      else throw this.#invalid(datasetsPath, `has dataset ${record.id}, which no version came of`);
    }
    const missing = await missingDatasets(this.#scope, lines);
    this.missing.datasets += missing.length;
    this.here.datasets += lines.length - missing.length;
  }

  async outside(): Promise<readonly string[]> {
    const ids = [...this.#sources]
      .filter((id) => !this.parents.has(id) && !this.#datasets.has(id) && !hasNoRecord(id))
      .toSorted();
    const here = new Set<string>();
    for (let at = 0; at < ids.length; at += batch) {
      const { metadata, workspace } = this.#scope;
      const part = ids.slice(at, at + batch);
      for (const kind of ['model_version', 'run', 'dataset']) {
        for (const { id } of await metadata.findMany(workspace, kind, part)) here.add(id);
      }
    }
    return ids.filter((id) => !here.has(id));
  }

  #invalid(path: string, why: string): KeelsonError {
    return new KeelsonError('INVALID', `${path} ${why}; no export does. Nothing of it was taken.`, {
      details: { archive: this.#archive.where, member: path },
    });
  }
}

/** Compares records with those that are here, some hundreds at a time. */
class Comparing {
  readonly #scope: Scope;
  readonly #tallies: { readonly missing: ModelTally; readonly here: ModelTally };
  readonly #isHere: boolean;
  readonly #taken: TakenKeys;
  #lines: RecordLine[] = [];

  constructor(
    scope: Scope,
    tallies: { readonly missing: ModelTally; readonly here: ModelTally },
    of: { readonly isHere: boolean; readonly taken: TakenKeys },
  ) {
    this.#scope = scope;
    this.#tallies = tallies;
    this.#isHere = of.isHere;
    this.#taken = of.taken;
  }

  async look(line: RecordLine): Promise<void> {
    this.#taken.record(line.record);
    this.#lines.push(line);
    if (this.#lines.length >= batch) await this.end();
  }

  async end(): Promise<void> {
    const missing = await missingLines(this.#scope, this.#lines);
    const [strange] = missing;
    if (this.#isHere && strange !== undefined) throw lacking(strange);
    await assertRequestKeysFree(this.#scope, missing);
    const gone = new Set(missing);
    for (const line of this.#lines) {
      const tally = gone.has(line) ? this.#tallies.missing : this.#tallies.here;
      const what = countOfKind[line.record.kind];
      if (what !== undefined) tally[what] += 1;
      if (line.record.kind !== 'audit_entry') continue;
      const evidence = evidenceOf(line);
      for (const one of evidence) this.#taken.evidence(idOfEvidence(one));
      if (gone.has(line)) await missingEvidence(this.#scope, evidence);
      tally.events += eventsIn(line.more).length;
    }
    this.#lines = [];
  }
}

/** A name and a chain that are another's stay so; those that an import has begun with are completed. */
async function assertFree(scope: Scope, { id, name, chain }: ArrivingModel): Promise<void> {
  const taker = await findModel(scope, name);
  if (taker !== undefined && taker.id !== id) {
    throw new KeelsonError(
      'CONFLICT',
      `There is another model ${JSON.stringify(name)} here (${taker.id}); import into another workspace. Nothing was imported.`,
      { details: { kind: 'model', id, unique: 'model name', takenBy: taker.id } },
    );
  }
  const origin = await findOrigin(scope, chain.subject);
  const same = origin?.digest === chain.digest && origin.ownerId === id;
  if (origin?.state === 'coming' && same) return;
  if (origin?.state === 'coming') {
    throw new KeelsonError(
      'CONFLICT',
      `Another import of model ${JSON.stringify(name)} has not ended; complete it by importing its archive again. Nothing was imported.`,
      { details: { kind: 'model', id, subject: chain.subject } },
    );
  }
  if (origin === undefined && (await lastLink(scope, chain.subject)).sequence === 0) return;
  throw new KeelsonError(
    'CONFLICT',
    `There is an audit chain of ${chain.subject} here already; import into another workspace. Nothing was imported.`,
    { details: { kind: 'model', id, subject: chain.subject } },
  );
}

function isHereAlready({ id, name }: ArrivingModel): KeelsonError {
  return new KeelsonError(
    'CONFLICT',
    `Model ${JSON.stringify(name)} (${id}) is here already, as it is in the archive; ifExists: 'skip' passes over it. Nothing was imported.`,
    { details: { kind: 'model', id, same: true } },
  );
}

function lacking({ record }: RecordLine): KeelsonError {
  return new KeelsonError(
    'CONFLICT',
    `The model is here already, without the ${record.kind} ${record.id} of the archive. Nothing of it was changed; import into another workspace.`,
    { details: { kind: record.kind, id: record.id } },
  );
}
