import { type FileHandle, open } from 'node:fs/promises';
import { KeelsonError } from '../errors.ts';
import type { ArchiveFiles } from './archive-files.ts';
import { orFault, readRange } from './directory-files.ts';
import { assertMemberPath, shown } from './member-path.ts';
import { maxPaxBytes, type PaxRecords, readPaxRecords } from './pax-records.ts';
import {
  corrupt,
  decodeTarHeader,
  type TarHeader,
  tarBlockBytes,
  tarPadding,
} from './tar-header.ts';

/** Zeros behind the end, which some programs fill up their last record with. */
const maxTrailingBytes = 1024 * 1024;

interface Place {
  readonly start: number;
  readonly sizeBytes: number;
}

/**
 * The members of a tar file, found by its headers; their bytes are read where they lie. `where` names the
 * file in messages. CORRUPT for a tar that is cut off or damaged, INVALID, by name, for what an export
 * never holds: links, devices, names that lead elsewhere, names that come twice.
 */
export async function openTar(
  file: string,
  where: string,
  signal: AbortSignal,
): Promise<ArchiveFiles> {
  const handle = await orFault(where, open(file, 'r'));
  try {
    const places = await scan(handle, where, signal);
    return {
      sizes: new Map([...places].map(([path, { sizeBytes }]) => [path, sizeBytes])),
      read(path, readSignal) {
        const place = places.get(path) ?? { start: 0, sizeBytes: 0 };
        return readRange(handle, { where, path, ...place }, readSignal);
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function scan(
  handle: FileHandle,
  where: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Place>> {
  const { size: fileBytes } = await handle.stat();
  const bytesAt = async (start: number, length: number): Promise<Buffer> => {
    if (start + length > fileBytes) throw corrupt(where, 'it is cut off');
    const bytes = Buffer.alloc(length);
    let taken = 0;
    while (taken < length) {
      const { bytesRead } = await handle.read(bytes, taken, length - taken, start + taken);
      if (bytesRead === 0) throw corrupt(where, 'it is cut off');
      taken += bytesRead;
    }
    return bytes;
  };
  const places = new Map<string, Place>();
  let pax: PaxRecords = {};
  let at = 0;
  for (;;) {
    signal.throwIfAborted();
    const header = decodeTarHeader(await bytesAt(at, tarBlockBytes), where);
    at += tarBlockBytes;
    if (header === undefined) break;
    const entry = overridden(header, pax);
    const { sizeBytes } = entry;
    const name = shown(entry.name);
    if (sizeBytes > fileBytes - at) throw corrupt(where, `it is cut off within ${name}`);
    const padding = await bytesAt(at + sizeBytes, tarPadding(sizeBytes));
    if (padding.some((byte) => byte !== 0)) {
      throw corrupt(where, `the bytes behind ${name} are not zero`, entry.name);
    }
    pax = {};
    if (header.type === 'pax') {
      if (sizeBytes > maxPaxBytes) throw corrupt(where, 'its pax records are too long');
      pax = readPaxRecords(await bytesAt(at, sizeBytes), where);
    } else if (header.type === 'directory') assertDirectory(entry, where);
    else add(places, entry, at, where);
    at += sizeBytes + padding.length;
  }
  await assertEnd(at, fileBytes, where, bytesAt);
  return places;
}

/** The entry that a header and the pax records before it make. */
function overridden(header: TarHeader, pax: PaxRecords): TarHeader {
  if (header.type === 'pax') return header;
  return { ...header, name: pax.path ?? header.name, sizeBytes: pax.sizeBytes ?? header.sizeBytes };
}

/** `tar -C directory .` writes `./` before each name. */
function plainName(name: string): string {
  return name.startsWith('./') ? name.slice(2) : name;
}

function assertDirectory({ name, sizeBytes }: TarHeader, where: string): void {
  const path = plainName(name.endsWith('/') ? name : `${name}/`).slice(0, -1);
  if (path !== '' && path !== '.') assertMemberPath(path, where);
  if (sizeBytes !== 0) throw corrupt(where, `the directory ${shown(name)} has bytes`, name);
}

function add(
  places: Map<string, Place>,
  { name, sizeBytes }: TarHeader,
  start: number,
  where: string,
): void {
  const path = assertMemberPath(plainName(name), where);
  if (places.has(path)) {
    throw new KeelsonError(
      'INVALID',
      `${where} has ${path} twice; an export has each member once. Nothing of it was taken.`,
      { details: { archive: where, member: path } },
    );
  }
  places.set(path, { start, sizeBytes });
}

async function assertEnd(
  at: number,
  fileBytes: number,
  where: string,
  bytesAt: (start: number, length: number) => Promise<Buffer>,
): Promise<void> {
  const rest = fileBytes - at;
  if (rest < tarBlockBytes) throw corrupt(where, 'its end is cut off');
  const tooMuch = rest > maxTrailingBytes;
  if (tooMuch || (await bytesAt(at, rest)).some((byte) => byte !== 0)) {
    throw corrupt(where, 'there is something behind its end');
  }
}
