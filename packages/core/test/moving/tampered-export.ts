import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Header, pack } from 'tar-stream';
import { type ArchiveMember, renderManifest } from '../../src/archive/manifest.ts';

/** The members of an export, by path, the manifest included. */
export type Members = ReadonlyMap<string, Buffer>;

/** Reads an export that is a directory. */
export async function readMembers(directory: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const members = new Map<string, Buffer>();
  for (const entry of entries.filter((one) => one.isFile())) {
    const file = join(entry.parentPath, entry.name);
    members.set(file.slice(directory.length + 1), await readFile(file));
  }
  return members;
}

/** The members with the manifest that fits them: what somebody would make who knows the format. */
export function withManifest(members: Members, holds = 'experiments'): Map<string, Buffer> {
  const all = new Map(members);
  all.delete('manifest.json');
  const listed = [...all]
    .map(([path, bytes]): ArchiveMember => {
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return { path, sizeBytes: bytes.length, sha256 };
    })
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
  all.set('manifest.json', Buffer.from(renderManifest({ holds, members: listed })));
  return all;
}

/** Writes the members as a directory. */
export async function writeMembers(directory: string, members: Members): Promise<void> {
  for (const [path, bytes] of members) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), bytes);
  }
}

/** An entry of a tar as another program would write it. */
export interface TarEntry {
  readonly header: Partial<Header> & { readonly name: string };
  readonly bytes?: Buffer;
}

/** The members as entries, the manifest first. */
export function entriesOf(members: Members): TarEntry[] {
  const first = ['manifest.json', ...members.keys()];
  return [...new Set(first)].flatMap((name) => {
    const bytes = members.get(name);
    return bytes === undefined ? [] : [{ header: { name, mtime: new Date(0) }, bytes }];
  });
}

/** Writes a tar by tar-stream, whatever its entries are. */
export async function writeTar(file: string, entries: readonly TarEntry[]): Promise<void> {
  const tar = pack();
  for (const { header, bytes } of entries) {
    if (bytes === undefined) tar.entry({ ...header });
    else tar.entry(header, bytes);
  }
  tar.finalize();
  await pipeline(tar, createWriteStream(file));
}

/** Changes the header of an entry, its checksum made to fit. */
export function withHeader(tar: Buffer, at: number, edit: (header: Buffer) => void): Buffer {
  const changed = Buffer.from(tar);
  const header = changed.subarray(at, at + 512);
  edit(header);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return changed;
}
