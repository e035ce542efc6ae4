import type { ArchiveReader } from '../../archive/archive-reader.ts';
import type { RecordLine } from '../../archive/record-lines.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { draftEvent } from '../../events/draft-event.ts';
import {
  type ChainOrigin,
  evidenceChange,
  originChange,
  originFromRecord,
  originId,
  originKind,
} from '../../operations/audit/chain-origin.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import type { ImportTurn } from '../../tracking/import-turn.ts';
import { putContent } from '../../tracking/import-writing.ts';
import { type ArrivingModel, ModelFiles } from './arriving-model.ts';
import {
  type Evidence,
  evidenceOf,
  missingDatasets,
  missingEvidence,
  missingLines,
} from './compare-with-here.ts';
import { countOfKind, type ModelTally } from './moved-model-counts.ts';
import { requiredContents } from './named-contents.ts';

/** Of the 500 changes of a commit, those that a model may take: turn, origin and event come beside. */
const commitChangesAtMost = 450;
/** So long after its put no collection takes content that nothing refers to; far less than it waits. */
const unguardedMs = 60_000;
const tries = 5;

/** What an import writes into, and what it counts. */
export interface ModelsWriting {
  readonly scope: Scope;
  readonly archive: ArchiveReader;
  readonly turn: ImportTurn;
  readonly added: ModelTally;
  readonly skipped: ModelTally;
  /** When the contents were put, by `performance.now()`. */
  readonly contentsAt: number;
  tell(): void;
}

/** Something to be there after a commit: a record, or what an entry attests and no record has. */
type Item =
  | { readonly what: 'line'; readonly line: RecordLine }
  | { readonly what: 'evidence'; readonly evidence: Evidence };

/**
 * Writes a model: its chain first, so that its name is taken and nobody else appends to it; then its
 * versions and transitions; the model itself in the last commit, with the word that it is here. One that
 * fits a commit comes in one. What an import that was killed has written is passed over.
 */
export async function writeModel(writing: ModelsWriting, path: string): Promise<void> {
  const { archive, turn } = writing;
  const files = new ModelFiles(archive, path, turn.signal);
  const model = await files.model();
  const commits = await ModelCommits.begin(writing, model);
  for await (const line of files.audit(model)) {
    const evidence = evidenceOf(line).map((one): Item => ({ what: 'evidence', evidence: one }));
    await commits.add([{ what: 'line', line }, ...evidence]);
  }
  for await (const line of files.suites(model)) await commits.add([{ what: 'line', line }]);
  for await (const { line, parts } of files.versions(model)) {
    await commits.add([...parts, line].map((one): Item => ({ what: 'line', line: one })));
  }
  for await (const line of files.transitions(model)) await commits.add([{ what: 'line', line }]);
  await commits.end();
}

/** Writes the datasets that are not here. */
export async function writeDatasets(
  { scope, turn, added, skipped }: ModelsWriting,
  datasets: readonly RecordLine[],
): Promise<void> {
  for (let at = 0; at < datasets.length; at += commitChangesAtMost) {
    const some = datasets.slice(at, at + commitChangesAtMost);
    const count = await untilTaken(turn, async () => {
      const missing = await missingDatasets(scope, some);
      if (missing.length > 0) {
        await commitChanges(scope, [turn.hold, ...missing.map(restoreChange)]);
      }
      return missing.length;
    });
    added.datasets += count;
    skipped.datasets += some.length - count;
  }
}

/** Again where somebody has taken an id or a name meanwhile: looked at again, it says which. */
async function untilTaken<T>({ signal }: ImportTurn, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT') || attempt === tries) throw error;
    }
  }
}

class ModelCommits {
  readonly #writing: ModelsWriting;
  readonly #model: ArrivingModel;
  readonly #origin: ChainOrigin;
  #originIsHere: boolean;
  #items: Item[] = [];

  private constructor(writing: ModelsWriting, model: ArrivingModel, originIsHere: boolean) {
    this.#writing = writing;
    this.#model = model;
    this.#originIsHere = originIsHere;
    const { subject, stretches, digest } = model.chain;
    const last = stretches.at(-1)?.last ?? 0;
    this.#origin = { subject, ownerId: model.id, stretches, last, digest, state: 'coming' };
  }

  static async begin(writing: ModelsWriting, model: ArrivingModel): Promise<ModelCommits> {
    const { metadata, workspace } = writing.scope;
    const here = await metadata.find(workspace, originKind, originId(model.chain.subject));
    const isHere = here !== undefined && originFromRecord(here).state === 'coming';
    return new ModelCommits(writing, model, isHere);
  }

  /** What belongs together comes together, where a commit holds it. */
  async add(items: readonly Item[]): Promise<void> {
    if (this.#items.length > 0 && this.#items.length + items.length > commitChangesAtMost) {
      await this.#flush([]);
    }
    for (const item of items) {
      this.#items.push(item);
      if (this.#items.length >= commitChangesAtMost) await this.#flush([]);
    }
  }

  /** The rest, and the model: from here on it is seen. */
  async end(): Promise<void> {
    const { scope } = this.#writing;
    const { id, name, line } = this.#model;
    this.#items.push({ what: 'line', line });
    const event = draftEvent(scope, {
      type: 'model.imported',
      subject: `model:${name}`,
      source: 'registry',
      payload: { modelId: id, name, versions: Number(line.record.columns['lastNumber']) },
    });
    await this.#flush([{ op: 'emit', event }], true);
  }

  async #flush(more: readonly Change[], isLast = false): Promise<void> {
    const { scope, turn } = this.#writing;
    const lines = this.#items.flatMap((item) => (item.what === 'line' ? [item.line] : []));
    const evidence = this.#items.flatMap((item) =>
      item.what === 'evidence' ? [item.evidence] : [],
    );
    await untilTaken(turn, async () => {
      const fresh = await missingLines(scope, lines);
      const freshEvidence = await missingEvidence(scope, evidence);
      await guardContents(this.#writing, fresh);
      const { subject } = this.#origin;
      const kept = freshEvidence.map((one) => evidenceChange(subject, one));
      const changes = [...kept, ...fresh.map(restoreChange)];
      if (changes.length > 0) {
        const origin = this.#originChanges(isLast);
        await commitChanges(scope, [turn.hold, ...origin, ...changes, ...more]);
        this.#originIsHere = true;
      }
      this.#count(lines, fresh);
      this.#countEvents(evidence, freshEvidence);
    });
    this.#items = [];
  }

  #originChanges(isLast: boolean): readonly Change[] {
    const { subject } = this.#origin;
    const state = isLast ? 'here' : 'coming';
    if (!this.#originIsHere) return [originChange({ ...this.#origin, state })];
    const at = { kind: originKind, id: originId(subject), expect: 1 } as const;
    return isLast ? [{ op: 'replace', ...at, columns: { state } }] : [{ op: 'assert', ...at }];
  }

  #count(lines: readonly RecordLine[], fresh: readonly RecordLine[]): void {
    const { added, skipped } = this.#writing;
    const written = new Set(fresh);
    for (const line of lines) {
      const what = countOfKind[line.record.kind];
      if (what !== undefined) (written.has(line) ? added : skipped)[what] += 1;
    }
  }

  #countEvents(evidence: readonly Evidence[], fresh: readonly Evidence[]): void {
    const { added, skipped, tell } = this.#writing;
    const count = (some: readonly Evidence[]): number =>
      some.filter((one) => 'payload' in one).length;
    added.events += count(fresh);
    skipped.events += count(evidence) - count(fresh);
    tell();
  }
}

function restoreChange({ record, history }: RecordLine): Change {
  return { op: 'restore', record, ...(history === undefined ? {} : { history }) };
}

/** Content that was put a while ago may have been collected since: it is kept, or put again. */
async function guardContents(
  { scope, archive, turn, contentsAt }: ModelsWriting,
  lines: readonly RecordLine[],
): Promise<void> {
  if (performance.now() - contentsAt < unguardedMs) return;
  const digests = new Set(
    lines.flatMap(({ record, more }) => requiredContents(record, more).map((one) => one.sha256)),
  );
  for (const sha256 of digests) {
    if (await scope.artifacts.keep(sha256)) continue;
    await putContent(scope, archive, sha256, turn.signal);
  }
}
