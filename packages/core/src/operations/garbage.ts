import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { Caretaker, References } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertAllowed } from './decide-and-commit.ts';

/** What goes. */
export interface GarbageOptions {
  /** What was deleted longer ago goes for good; 30 days when left out. */
  readonly olderThanMs?: number;
  /**
   * Content that nothing refers to stays for so long after it was put: whoever put it may be about to
   * refer to it. 24 hours when left out, 5 minutes at least.
   */
  readonly graceMs?: number;
  /** Counts and names what would go, and touches nothing. */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: GarbageProgress) => void;
}

/** How far a collection is. */
export interface GarbageProgress {
  readonly phase: 'records' | 'content' | 'leftovers';
  readonly removedRecords: number;
  readonly removedContents: number;
  readonly freedBytes: number;
}

/** What went, or, of a dry run, would go. */
export interface GarbageReport {
  readonly dryRun: boolean;
  /** How many records went for good, by what they are: `run`, `experiment`. */
  readonly records: Readonly<Record<string, number>>;
  /** The first 1,000 of them, such as `run:0198…`. */
  readonly subjects: readonly string[];
  readonly contents: number;
  readonly freedBytes: number;
  /** Files of broken uploads; 0 in a dry run. */
  readonly leftovers: number;
}

const shape = z.strictObject({
  olderThanMs: z.number().min(0).optional(),
  graceMs: z.number().min(300_000).optional(),
  dryRun: z.boolean().optional(),
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof GarbageOptions, z.ZodType>);

const day = 86_400_000;
const namedSubjects = 1_000;
const batch = 200;

/**
 * Removes what was deleted long enough ago, then the content of the workspace that no record refers to
 * any more, then what broken uploads left. Killed anywhere it can be run again; two at once are harmless,
 * and so is anything that is logged meanwhile.
 */
export async function collectGarbage(
  scope: Scope,
  parts: {
    readonly caretakers: readonly Caretaker[];
    collectLeftovers(olderThanMs: number): Promise<number>;
  },
  options: GarbageOptions = {},
): Promise<GarbageReport> {
  checkOptions(shape, options, 'gc');
  await assertAllowed(scope, 'workspace.collect', `workspace:${scope.workspace}`);
  const { olderThanMs = 30 * day, graceMs = day, dryRun = false } = options;
  const signal = options.signal ?? new AbortController().signal;
  const tally = new Tally(options.onProgress);
  const now = scope.clock.now();
  try {
    for (const { purge } of parts.caretakers) {
      const deletedBefore = now - olderThanMs;
      await purge?.({
        deletedBefore,
        dryRun,
        signal,
        onRemoved: (subject) => tally.record(subject),
      });
    }
    await sweepContents(scope, parts.caretakers, {
      ...{ storedBefore: now - graceMs, dryRun, signal },
      onContent: ({ sizeBytes }) => tally.content(sizeBytes),
      onBatch: () => tally.tell('content'),
    });
    const leftovers = dryRun ? 0 : await parts.collectLeftovers(graceMs);
    tally.tell('leftovers');
    return { dryRun, ...tally.report(), leftovers };
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new KeelsonError('ABORTED', 'The collection of garbage was aborted; run it again.', {
      cause: error,
    });
  }
}

/** Removes content that nobody refers to; in a dry run also what only records that would go refer to stays. */
export async function sweepContents(
  scope: Scope,
  caretakers: readonly Caretaker[],
  how: {
    readonly storedBefore: number;
    readonly dryRun: boolean;
    readonly signal: AbortSignal;
    /** Told of each content that went (or would go). */
    onContent(content: { readonly sha256: string; readonly sizeBytes: number }): void;
    onBatch?(): void;
  },
): Promise<void> {
  const { storedBefore, dryRun, signal } = how;
  // Opened before the content is looked at: what comes to refer to content later has kept it first.
  const references: References[] = [];
  for (const { references: open } of caretakers) {
    if (open !== undefined) references.push(await open(signal));
  }
  let waiting: { readonly sha256: string; readonly sizeBytes: number }[] = [];
  const settle = async (): Promise<void> => {
    signal.throwIfAborted();
    const digests = waiting.map(({ sha256 }) => sha256);
    const used = new Set<string>();
    for (const each of references) {
      for (const sha256 of await each.among(digests)) used.add(sha256);
    }
    for (const { sha256, sizeBytes } of waiting) {
      if (used.has(sha256)) continue;
      if (dryRun || (await scope.artifacts.remove(sha256, { storedBefore })))
        how.onContent({ sha256, sizeBytes });
    }
    waiting = [];
    how.onBatch?.();
  };
  for await (const { sha256, sizeBytes, storedAt } of scope.artifacts.list()) {
    if (storedAt >= storedBefore) continue;
    waiting.push({ sha256, sizeBytes });
    if (waiting.length >= batch) await settle();
  }
  if (waiting.length > 0) await settle();
}

/** What a collection has done so far. */
class Tally {
  readonly #tell: ((progress: GarbageProgress) => void) | undefined;
  readonly #records = new Map<string, number>();
  readonly #subjects: string[] = [];
  #contents = 0;
  #freedBytes = 0;

  constructor(tell: ((progress: GarbageProgress) => void) | undefined) {
    this.#tell = tell;
  }

  record(subject: string): void {
    const kind = subject.slice(0, subject.indexOf(':'));
    this.#records.set(kind, (this.#records.get(kind) ?? 0) + 1);
    if (this.#subjects.length < namedSubjects) this.#subjects.push(subject);
    this.tell('records');
  }

  content(sizeBytes: number): void {
    this.#contents += 1;
    this.#freedBytes += sizeBytes;
  }

  tell(phase: GarbageProgress['phase']): void {
    this.#tell?.({
      phase,
      removedRecords: [...this.#records.values()].reduce((sum, each) => sum + each, 0),
      removedContents: this.#contents,
      freedBytes: this.#freedBytes,
    });
  }

  report(): Omit<GarbageReport, 'dryRun' | 'leftovers'> {
    return {
      records: Object.fromEntries(this.#records),
      subjects: this.#subjects,
      contents: this.#contents,
      freedBytes: this.#freedBytes,
    };
  }
}
