import { inflateRawSync } from 'node:zlib';
import type { FileWindow } from './file-window.ts';
import { damaged, refused } from './model-fault.ts';

/** One file within a zip archive. */
export interface ZipEntry {
  readonly name: string;
  /** 0 is stored, 8 is deflated. */
  readonly method: number;
  readonly packedBytes: number;
  readonly sizeBytes: number;
  readonly headerAt: number;
}

const endBytes = 22;
const maxComment = 65_535;
const maxDirectory = 16 << 20;
const maxEntries = 200_000;

/** Whether a file begins as zip archives with something in them do. */
export async function isZip(window: FileWindow): Promise<boolean> {
  return Buffer.from(await window.upTo(0, 4)).toString('latin1') === 'PK\u0003\u0004';
}

/** The directory of an archive; nothing is unpacked. CORRUPT where there is none, INVALID for one that is too large. */
export async function readZipDirectory(window: FileWindow): Promise<readonly ZipEntry[]> {
  const { count, at, bytes } = await findDirectory(window);
  if (bytes > maxDirectory || count > maxEntries)
    throw refused(
      window.path,
      `has a directory of ${count} files in ${bytes} bytes, which is too large`,
    );
  const directory = Buffer.from(await window.bytes(at, at + bytes));
  const entries: ZipEntry[] = [];
  for (let place = 0; entries.length < count; ) {
    if (place + 46 > directory.length || directory.readUInt32LE(place) !== 0x02014b50)
      throw damaged(
        window.path,
        `has a damaged directory: ${entries.length} of ${count} files can be read`,
      );
    const nameBytes = directory.readUInt16LE(place + 28);
    const extraBytes = directory.readUInt16LE(place + 30);
    const end = place + 46 + nameBytes + extraBytes + directory.readUInt16LE(place + 32);
    if (end > directory.length) throw damaged(window.path, 'has a directory that is cut off');
    entries.push(readEntry(directory, place, nameBytes, extraBytes, window.path));
    place = end;
  }
  return entries;
}

/** The end of an archive says where its directory is; large ones say it in a record before that. */
async function findDirectory(
  window: FileWindow,
): Promise<{ readonly count: number; readonly at: number; readonly bytes: number }> {
  const { sizeBytes, path } = window;
  const start = Math.max(0, sizeBytes - endBytes - maxComment);
  const tail = Buffer.from(await window.bytes(start, sizeBytes));
  const found = tail.lastIndexOf(Buffer.from('PK\u0005\u0006', 'latin1'));
  if (found < 0 || found + endBytes > tail.length)
    throw damaged(path, 'is a zip archive whose end is missing');
  const small = {
    count: tail.readUInt16LE(found + 10),
    bytes: tail.readUInt32LE(found + 12),
    at: tail.readUInt32LE(found + 16),
  };
  if (small.count !== 0xffff && small.bytes !== 0xffffffff && small.at !== 0xffffffff) return small;
  const locatorAt = start + found - 20;
  if (locatorAt < 0) return small;
  const locator = Buffer.from(await window.bytes(locatorAt, locatorAt + 20));
  if (locator.readUInt32LE(0) !== 0x07064b50) return small;
  const recordAt = sizeAt(locator, 8, path);
  const record = Buffer.from(await window.bytes(recordAt, recordAt + 56));
  if (record.readUInt32LE(0) !== 0x06064b50)
    throw damaged(path, 'is a zip archive whose end is damaged');
  return {
    count: sizeAt(record, 32, path),
    bytes: sizeAt(record, 40, path),
    at: sizeAt(record, 48, path),
  };
}

function readEntry(
  directory: Buffer,
  place: number,
  nameBytes: number,
  extraBytes: number,
  path: string,
): ZipEntry {
  const wide = wideSizes(
    directory.subarray(place + 46 + nameBytes, place + 46 + nameBytes + extraBytes),
  );
  const size = (at: number): number => {
    const value = directory.readUInt32LE(at);
    return value === 0xffffffff && wide.length >= 8 ? sizeAt(wide.splice(0, 8), 0, path) : value;
  };
  // Their order in the extra field: unpacked, packed, place.
  const sizeBytes = size(place + 24);
  const packedBytes = size(place + 20);
  const headerAt = size(place + 42);
  const name = directory.toString('utf8', place + 46, place + 46 + nameBytes);
  if (name.includes('\u0000')) throw refused(path, 'has a file in it whose name has NUL (U+0000)');
  return { name, method: directory.readUInt16LE(place + 10), packedBytes, sizeBytes, headerAt };
}

/** The extra field of archives beyond 4 GB. */
function wideSizes(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; ) {
    const length = extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) === 1) return [...extra.subarray(at + 4, at + 4 + length)];
    at += 4 + length;
  }
  return [];
}

function sizeAt(bytes: Buffer | readonly number[], at: number, path: string): number {
  const size = Number(Buffer.from(bytes as Buffer).readBigUInt64LE(at));
  if (Number.isSafeInteger(size)) return size;
  throw damaged(path, 'is a zip archive with a size beyond 2^53');
}

/** The content of a small file in an archive, which may claim what it wants: no more than `maxBytes` are unpacked. */
export async function readZipEntry(
  window: FileWindow,
  entry: ZipEntry,
  maxBytes: number,
): Promise<Uint8Array> {
  const { path } = window;
  const { name, headerAt, packedBytes } = entry;
  if (entry.sizeBytes > maxBytes || packedBytes > maxBytes)
    throw refused(
      path,
      `has ${entry.sizeBytes} bytes in ${JSON.stringify(name)}; at most ${maxBytes} are read`,
    );
  const header = Buffer.from(await window.bytes(headerAt, headerAt + 30));
  if (header.readUInt32LE(0) !== 0x04034b50)
    throw damaged(path, `has nothing where ${JSON.stringify(name)} should be`);
  const start = headerAt + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  const packed = await window.bytes(start, start + packedBytes);
  if (entry.method === 0) return packed;
  if (entry.method !== 8)
    throw refused(
      path,
      `has ${JSON.stringify(name)} packed in a way that is not read (${entry.method})`,
    );
  try {
    return inflateRawSync(packed, { maxOutputLength: maxBytes });
  } catch (cause) {
    throw damaged(path, `has ${JSON.stringify(name)} in it, which cannot be unpacked`, cause);
  }
}
