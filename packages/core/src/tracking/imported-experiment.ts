import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { ArchiveReader } from '../archive/archive-reader.ts';
import { type RecordLine, readRecordLines } from '../archive/record-lines.ts';
import { KeelsonError } from '../errors.ts';
import { checkImported, type ImportedPlace } from './check-imported.ts';
import { experimentPaths, pointsBeside, type RunPoints } from './export-layout.ts';
import { type PointBlock, readPointBlocks } from './point-blocks.ts';

/** A run with its points, which must be read to their end before what follows is. */
export interface ImportedRun {
  readonly line: RecordLine;
  readonly points: RunPoints;
  blocks(): AsyncIterable<PointBlock>;
}

/** What the file of an experiment holds, in its order. */
export type ImportedItem =
  | { readonly what: 'experiment'; readonly line: RecordLine }
  /** A param entry, an artifact or an edge, of the run that follows. */
  | { readonly what: 'part'; readonly line: RecordLine }
  | ({ readonly what: 'run' } & ImportedRun);

const partKinds = ['param_entry', 'artifact', 'edge', 'run'];

const pointsShape = z.strictObject({
  sha256: z.string(),
  blocks: z.number().int().min(0),
  counts: z.array(z.tuple([z.string(), z.number().int().min(1)])),
});

/**
 * Reads an experiment: its records, and beside them the points of its runs. INVALID, by name, for what no
 * export has; CORRUPT for what is not what the manifest says.
 */
export async function* readExperiment(
  archive: ArchiveReader,
  path: string,
  place: Pick<ImportedPlace, 'contentBytes' | 'hasDataset'>,
  signal: AbortSignal,
): AsyncGenerator<ImportedItem, void, undefined> {
  const pointsPath = pointsBeside(path);
  const bytes = archive.find(pointsPath) === undefined ? [] : archive.open(pointsPath, signal);
  const blocks = readPointBlocks(all(bytes), pointsPath)[Symbol.asyncIterator]();
  try {
    yield* readItems(archive.open(path, signal), { ...place, path }, blocks);
    if ((await blocks.next()).done !== true) throw invalid(pointsPath, 'has points of no run');
  } finally {
    await blocks.return?.();
  }
}

type Blocks = AsyncIterator<PointBlock & { readonly bytes: Uint8Array }>;

async function* readItems(
  bytes: AsyncIterable<Uint8Array>,
  place: Pick<ImportedPlace, 'path' | 'contentBytes' | 'hasDataset'>,
  blocks: Blocks,
): AsyncGenerator<ImportedItem, void, undefined> {
  const { path } = place;
  let experimentId: string | undefined;
  let runId: string | undefined;
  for await (const line of readRecordLines(bytes, path)) {
    const { kind, id, columns } = line.record;
    if (experimentId === undefined) {
      if (kind !== 'experiment' || experimentPaths(id).records !== path) {
        throw invalid(path, 'does not begin with its experiment');
      }
      checkImported(line, { path, kinds: ['experiment'] });
      experimentId = id;
      yield { what: 'experiment', line };
      continue;
    }
    if (kind === 'experiment') throw invalid(path, 'has two experiments');
    const owner = kind === 'run' ? id : String(columns[kind === 'edge' ? 'to' : 'runId']);
    runId ??= owner;
    checkImported(line, { ...place, kinds: partKinds, experimentId, runId });
    if (kind !== 'run') {
      yield { what: 'part', line };
      continue;
    }
    if (id !== runId) throw invalid(path, `has parts of a run ${runId} before run ${id}`);
    runId = undefined;
    const points = pointsOf(line, path);
    yield { what: 'run', line, points, blocks: () => blocksOf(blocks, id, points, path) };
  }
  if (experimentId === undefined || runId !== undefined) throw invalid(path, 'ends too early');
}

/** The points of one run, anew: those of all others are passed over. */
export async function* pointsAgain(
  archive: ArchiveReader,
  path: string,
  runId: string,
  signal: AbortSignal,
): AsyncGenerator<PointBlock, void, undefined> {
  const pointsPath = pointsBeside(path);
  if (archive.find(pointsPath) === undefined) return;
  for await (const block of readPointBlocks(archive.open(pointsPath, signal), pointsPath)) {
    if (block.runId === runId) yield block;
  }
}

function pointsOf({ record, more }: RecordLine, path: string): RunPoints {
  const checked = pointsShape.safeParse(more);
  const ascending = checked.data?.counts.every(
    ([key], i, counts) => i === 0 || key !== counts[i - 1]?.[0],
  );
  if (checked.success && ascending === true) return checked.data;
  throw new KeelsonError('INVALID', `${path} does not say which points run ${record.id} has.`, {
    cause: checked.error,
    details: { member: path, id: record.id },
  });
}

async function* blocksOf(
  blocks: Blocks,
  runId: string,
  points: RunPoints,
  path: string,
): AsyncGenerator<PointBlock, void, undefined> {
  const hash = createHash('sha256');
  const counts = new Map<string, number>();
  for (let i = 0; i < points.blocks; i += 1) {
    const next = await blocks.next();
    if (next.done === true || next.value.runId !== runId) throw otherPoints(path, runId);
    const { key, steps, bytes } = next.value;
    hash.update(bytes);
    counts.set(key, (counts.get(key) ?? 0) + steps.length);
    yield next.value;
  }
  const same =
    counts.size === points.counts.length &&
    points.counts.every(([key, count]) => counts.get(key) === count) &&
    hash.digest('hex') === points.sha256;
  if (!same) throw otherPoints(path, runId);
}

function otherPoints(records: string, runId: string): KeelsonError {
  const path = pointsBeside(records);
  return new KeelsonError(
    'INVALID',
    `${path} has other points of run ${runId} than its record says.`,
    {
      details: { member: path, id: runId },
    },
  );
}

async function* all(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* source;
}

function invalid(path: string, why: string): KeelsonError {
  return new KeelsonError('INVALID', `${path} ${why}; no export does.`, {
    details: { member: path },
  });
}
