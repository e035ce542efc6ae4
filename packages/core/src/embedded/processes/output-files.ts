import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogChunk } from '../../contracts/executor.ts';
import { KeelsonError } from '../../errors.ts';

/** How the output of processes is read. */
export interface OutputReading {
  readonly after?: string;
  /** Whether nothing more will come: then it is read once more, to its end. */
  readonly ended: () => Promise<boolean>;
  /** Resolves when there may be more. */
  readonly rest: () => Promise<void>;
  readonly signal: AbortSignal;
}

const pieceBytes = 65_536;
const streams = ['stdout', 'stderr'] as const;

/**
 * What processes have written, from the files of their directories, in pieces of at most 64 KiB that never
 * cut a character. The time of a piece is when it was first seen, or when its file was last written.
 */
export async function* readOutput(
  dirs: readonly string[],
  reading: OutputReading,
): AsyncGenerator<LogChunk, void, undefined> {
  const offsets = offsetsOf(reading.after, dirs.length * streams.length);
  for (let following = false; ; following = true) {
    reading.signal.throwIfAborted();
    const last = await reading.ended();
    for (const [i, dir] of dirs.entries()) {
      for (const [j, stream] of streams.entries()) {
        const at = i * streams.length + j;
        const path = join(dir, stream);
        for (;;) {
          const piece = await pieceOf(path, offsets[at] ?? 0, last);
          if (piece === undefined) break;
          offsets[at] = (offsets[at] ?? 0) + piece.bytes;
          const seenAt = following ? Date.now() : piece.writtenAt;
          yield { stream, at: seenAt, text: piece.text, cursor: offsets.join('.') };
        }
      }
    }
    if (last) return;
    await reading.rest();
  }
}

function offsetsOf(cursor: string | undefined, count: number): number[] {
  if (cursor === undefined) return Array.from({ length: count }, () => 0);
  const offsets = /^\d{1,15}(\.\d{1,15})*$/.test(cursor) ? cursor.split('.').map(Number) : [];
  if (offsets.length === count) return offsets;
  throw new KeelsonError('INVALID', `after must be the cursor of a log chunk, not ${cursor}.`);
}

async function pieceOf(
  path: string,
  offset: number,
  last: boolean,
): Promise<
  { readonly text: string; readonly bytes: number; readonly writtenAt: number } | undefined
> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(pieceBytes), 0, pieceBytes, offset);
    const read = buffer.subarray(0, bytesRead);
    const whole = last && bytesRead < pieceBytes ? bytesRead : wholeCharacters(read);
    if (whole === 0) return undefined;
    const { mtimeMs } = await stat(path);
    return { text: read.toString('utf8', 0, whole), bytes: whole, writtenAt: Math.round(mtimeMs) };
  } finally {
    await file.close();
  }
}

/** How many bytes come before a character that is not all there yet. */
function wholeCharacters(bytes: Buffer): number {
  const end = bytes.length;
  for (let back = 1; back <= Math.min(3, end); back += 1) {
    const byte = bytes[end - back] as number;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? end - back : end;
  }
  return end;
}
