import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describeOwner, ownerFromText, ownerState } from '../../process-owner.ts';
import { uuidV7 } from '../../uuid.ts';

const suffix = '.counts';
const version = 1;
/** The places of the figures, eight bytes each; behind them who writes, as JSON. */
const places = ['version', 'accepted', 'reserved', 'settled', 'underWay', 'isClosed'] as const;
const headBytes = places.length * 8;
/** So many rows are told of before they come: what a killed process accepted is known to within that. */
const step = 512;
/** A row that comes after such a pause is told of by itself. */
const exactMs = 10;

/** What a process that is gone did not store. */
export interface LostPredictions {
  readonly workspace: string;
  /** Of the process: host, pid and when it began. */
  readonly owner: string;
  readonly accepted: number;
  /** Certainly lost. */
  readonly atLeast: number;
  /** Together with those that were on their way to the store, and those that no count was written of. */
  readonly atMost: number;
}

/**
 * How many rows a writer has accepted and brought to an end (stored, or left out by sampling), in a file of its own: written
 * at most once for each few hundred rows, into the system's cache, which a killed process does not take with it.
 * The file goes with the writer; one that is left tells what was lost.
 */
export class WriterCounts {
  readonly #path: string;
  #file: number;
  readonly #figures = new Float64Array(places.length);
  #accepted = 0;
  #reserved = 0;
  #settled = 0;
  #underWay = 0;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  private constructor(path: string, file: number) {
    this.#path = path;
    this.#file = file;
  }

  /** Throws nothing of the file system's: a writer whose counts cannot be kept goes on without. */
  static open(
    directory: string,
    workspace: string,
  ): { readonly counts?: WriterCounts; readonly fault?: unknown } {
    try {
      mkdirSync(directory, { recursive: true });
      const path = join(directory, `${uuidV7()}${suffix}`);
      const counts = new WriterCounts(path, openSync(path, 'wx+'));
      const who = { workspace, owner: describeOwner(), since: Date.now() };
      counts.#write();
      writeSync(counts.#file, JSON.stringify(who), headBytes);
      return { counts };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      return { fault: error };
    }
  }

  /** One row more was accepted. */
  accept(): void {
    if (this.#closed) return;
    this.#accepted += 1;
    if (this.#accepted <= this.#reserved) return;
    const now = performance.now();
    const isQuick = now - this.#writtenAt < exactMs;
    this.#writtenAt = now;
    this.#reserved = this.#accepted + (isQuick ? step : 0);
    this.#write();
  }

  /** Rows are on their way to the store: from now on nobody else can know whether they came there. */
  begin(rows: number): void {
    this.#underWay = rows;
    this.#write();
  }

  /** Those that were on their way are not any more; so many rows more were brought to an end. */
  settle(rows: number): void {
    this.#underWay = 0;
    this.#settled += rows;
    this.#write();
  }

  /** Removes the file, unless rows are left that were not brought to an end: those that were lost stay for the next to tell. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reserved = this.#accepted;
    this.#write();
    closeSync(this.#file);
    this.#file = -1;
    if (this.#settled >= this.#accepted) rmSync(this.#path, { force: true });
  }

  #write(): void {
    // Its number may be another file's by now.
    if (this.#file < 0) return;
    this.#figures.set([
      ...[version, this.#accepted, this.#reserved, this.#settled, this.#underWay],
      this.#closed ? 1 : 0,
    ]);
    try {
      writeSync(this.#file, this.#figures, 0, headBytes, 0);
    } catch (error) {
      // A full disk keeps nobody from answering.
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }
}

/**
 * Takes the counts that processes left behind which are gone, each by one taker, and says what they lost. What cannot be read is
 * left where it lies.
 */
export function takeLostPredictions(directory: string, workspace: string): LostPredictions[] {
  const lost: LostPredictions[] = [];
  if (!existsSync(directory)) return lost;
  for (const name of readdirSync(directory)) {
    if (!name.endsWith(suffix)) continue;
    const found = readCounts(join(directory, name));
    if (found === undefined || found.workspace !== workspace || !found.isOver) continue;
    // Of two that see it one renames it.
    const mine = join(directory, `${name}.${uuidV7()}`);
    try {
      renameSync(join(directory, name), mine);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw error;
    }
    rmSync(mine, { force: true });
    if (found.atMost > 0) {
      const { isOver: _, ...told } = found;
      lost.push(told);
    }
  }
  return lost;
}

function readCounts(path: string): (LostPredictions & { readonly isOver: boolean }) | undefined {
  try {
    const bytes = readFileSync(path);
    if (bytes.length <= headBytes) return undefined;
    const at = (name: (typeof places)[number]): number =>
      bytes.readDoubleLE(places.indexOf(name) * 8);
    if (at('version') !== version) return undefined;
    const who = ownerFromText(bytes.subarray(headBytes).toString());
    const owner = ownerFromText(JSON.stringify(who?.['owner'] ?? null));
    if (who === undefined || owner === undefined) return undefined;
    const unsettled = at('accepted') - at('settled');
    const isClosed = at('isClosed') === 1;
    return {
      workspace: String(who['workspace']),
      owner: `pid ${String(owner['pid'])} on ${String(owner['host'])}`,
      accepted: at('accepted'),
      atLeast: Math.max(0, unsettled - at('underWay')),
      atMost: Math.max(0, at('reserved') - at('settled'), unsettled),
      isOver: isClosed || ownerState(owner) === 'dead',
    };
  } catch (error) {
    // Somebody else has taken it, or it is not ours to read.
    if ((error as NodeJS.ErrnoException).code !== undefined) return undefined;
    throw error;
  }
}
