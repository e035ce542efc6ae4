import type { ArchiveReader } from '../archive/archive-reader.ts';
import type { MovedRecord, RecordLine } from '../archive/record-lines.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { draftEvent } from '../events/draft-event.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import { alreadyHere, otherContent, sameContent } from '../operations/restoring-records.ts';
import { contentPath } from './export-layout.ts';
import { appendRunPoints, hasPoints, otherPoints, replaceRunPoints } from './import-points.ts';
import type { ImportTurn } from './import-turn.ts';
import { type ImportedItem, type ImportedRun, pointsAgain } from './imported-experiment.ts';
import { countOfKind, type Tally } from './moved-counts.ts';

/** Of the 500 changes of a commit, those that records may take: the turn and an event come beside. */
const commitRecords = 450;
/** So long after its put no collection takes content that nothing refers to; far less than it waits. */
const unguardedMs = 60_000;
const tries = 5;

/** What an import writes into, and what it counts. */
export interface Writing {
  readonly scope: Scope;
  readonly archive: ArchiveReader;
  readonly turn: ImportTurn;
  readonly added: Tally;
  readonly skipped: Tally;
  /** When the contents were put, by `performance.now()`. */
  readonly contentsAt: number;
  tell(): void;
}

/**
 * Writes the records of one experiment, in their order. A run comes with all that is its own in one
 * commit, its points before; one with more than a commit holds after its parts, so that it is never there
 * without them.
 */
export class ExperimentWriting {
  readonly #writing: Writing;
  /** The member with the records. */
  readonly #path: string;
  /** Complete runs with their parts, to be written together. */
  #ready: RecordLine[] = [];
  /** Parts of the run that is being read. */
  #parts: RecordLine[] = [];
  /** The runs among those, whose points have been stored. */
  #runs: ImportedRun[] = [];

  constructor(writing: Writing, path: string) {
    this.#writing = writing;
    this.#path = path;
  }

  async item(item: ImportedItem): Promise<void> {
    if (item.what === 'run') await this.#points(item);
    this.#parts.push(item.line);
    const whole = item.what !== 'part';
    if (this.#ready.length + this.#parts.length >= commitRecords) {
      await this.#flush();
      if (!whole && this.#parts.length >= commitRecords) {
        await restoreLines(this.#writing, this.#parts);
        this.#parts = [];
      }
    }
    if (!whole) return;
    this.#ready.push(...this.#parts);
    this.#parts = [];
    if (item.what === 'run') this.#runs.push(item);
  }

  async end(): Promise<void> {
    await this.#flush();
  }

  async #points(run: ImportedRun): Promise<void> {
    const { scope, added, skipped, tell } = this.#writing;
    const { id } = run.line.record;
    const here = await scope.metadata.find(scope.workspace, 'run', id);
    if (here !== undefined) {
      // Its points are compared when it is.
      for await (const { steps } of run.blocks()) skipped.points += steps.length;
      return;
    }
    await appendRunPoints(scope, id, run.points, run.blocks(), (count) => {
      added.points += count;
      tell();
    });
  }

  async #flush(): Promise<void> {
    if (this.#ready.length === 0) return;
    await this.#settlePoints();
    await restoreLines(this.#writing, this.#ready);
    this.#ready = [];
    this.#runs = [];
  }

  /** Makes sure that the points of each run are those of the archive, before it becomes visible. */
  async #settlePoints(): Promise<void> {
    const { scope, archive, turn } = this.#writing;
    const { metadata, series, workspace } = scope;
    if (this.#runs.length === 0) return;
    await series.fold({ signal: turn.signal });
    const ids = this.#runs.map(({ line }) => line.record.id);
    const summaries = await series.summariesOf(workspace, ids);
    for (const { line, points } of this.#runs) {
      const { id } = line.record;
      if (hasPoints(summaries.get(id), points)) continue;
      turn.signal.throwIfAborted();
      if ((await metadata.find(workspace, 'run', id)) !== undefined) {
        throw otherPoints(id, summaries.get(id), points);
      }
      const again = pointsAgain(archive, this.#path, id, turn.signal);
      await replaceRunPoints(scope, id, again);
      const now = new Map((await series.summaries(workspace, id)).map((one) => [one.key, one]));
      if (!hasPoints(now, points)) throw otherPoints(id, now, points);
    }
  }
}

/** Restores what is not here, and counts what is; CONFLICT for what is here with other content. */
export async function restoreLines(
  writing: Writing,
  lines: readonly RecordLine[],
  options: { readonly keepsOwn?: boolean } = {},
): Promise<void> {
  const { scope, turn } = writing;
  for (let attempt = 1; ; attempt += 1) {
    turn.signal.throwIfAborted();
    const missing = await missingLines(scope, lines, options.keepsOwn === true);
    await guardContents(writing, missing);
    try {
      const changes = missing.flatMap((line) => changesOf(scope, line));
      if (changes.length > 0) await commitChanges(scope, [turn.hold, ...changes]);
      count(writing.added, missing);
      const gone = new Set(missing);
      count(
        writing.skipped,
        lines.filter((line) => !gone.has(line)),
      );
      writing.tell();
      return;
    } catch (error) {
      // Somebody has taken an id or a name since: looked at again, it says which.
      if (!isKeelsonError(error, 'CONFLICT') || attempt === tries) throw error;
    }
  }
}

async function missingLines(
  scope: Scope,
  lines: readonly RecordLine[],
  keepsOwn: boolean,
): Promise<readonly RecordLine[]> {
  const missing: RecordLine[] = [];
  const here = new Map<string, StoredRecord>();
  for (const [kind, some] of Map.groupBy(lines, ({ record }) => record.kind)) {
    const records = some.map(({ record }): MovedRecord => record);
    for (const [id, record] of await alreadyHere(scope, records)) here.set(`${kind} ${id}`, record);
  }
  for (const line of lines) {
    const found = here.get(`${line.record.kind} ${line.record.id}`);
    if (found === undefined) missing.push(line);
    else if (!keepsOwn && !sameContent(found, line.record)) throw otherContent(found, line.record);
  }
  return missing;
}

function changesOf(scope: Scope, { record, history }: RecordLine): readonly Change[] {
  const restore: Change = {
    op: 'restore',
    record,
    ...(history === undefined ? {} : { history }),
  };
  if (record.kind !== 'experiment') return [restore];
  const event = draftEvent(scope, {
    type: 'experiment.imported',
    subject: `experiment:${record.id}`,
    source: 'tracking',
    payload: { experimentId: record.id, name: String(record.columns['name']) },
  });
  return [restore, { op: 'emit', event }];
}

function count(tally: Tally, lines: readonly RecordLine[]): void {
  for (const { record } of lines) {
    const name = countOfKind[record.kind];
    if (name !== undefined) tally[name] += 1;
  }
}

/** Content that was put a while ago may have been collected since: it is kept, or put again. */
async function guardContents(writing: Writing, lines: readonly RecordLine[]): Promise<void> {
  const { scope, archive, turn, contentsAt } = writing;
  if (performance.now() - contentsAt < unguardedMs) return;
  const digests = new Set(
    lines
      .filter(({ record }) => record.kind === 'artifact')
      .map(({ record }) => String(record.columns['sha256'])),
  );
  for (const sha256 of digests) {
    if (await scope.artifacts.keep(sha256)) continue;
    await putContent(scope, archive, sha256, turn.signal);
  }
}

/** Stores a content of the archive. */
export async function putContent(
  scope: Pick<Scope, 'artifacts'>,
  archive: ArchiveReader,
  sha256: string,
  signal: AbortSignal,
): Promise<void> {
  const path = contentPath(sha256);
  try {
    await scope.artifacts.put(archive.open(path, signal), { sha256, signal });
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT') || error.details['member'] !== undefined) throw error;
    throw new KeelsonError('CORRUPT', `${path} of ${archive.where} is not what its name says.`, {
      cause: error,
      details: { archive: archive.where, member: path },
    });
  }
}
