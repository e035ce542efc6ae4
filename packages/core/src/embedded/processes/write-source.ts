import { open } from 'node:fs/promises';
import type { ByteSource } from '../../contracts/artifact-store.ts';

/** Writes all bytes of a source to a new file, or over an old one; with `sync` they are on the disk at the end. */
export async function writeSource(
  path: string,
  source: ByteSource,
  options: { readonly sync?: boolean } = {},
): Promise<void> {
  const file = await open(path, 'w');
  try {
    if (source instanceof Uint8Array) {
      await file.writeFile(source);
    } else if (source instanceof Blob) {
      await file.writeFile(source.stream() as unknown as AsyncIterable<Uint8Array>);
    } else if ('path' in source) {
      await file.writeFile((await open(source.path)).createReadStream());
    } else {
      await file.writeFile(source as AsyncIterable<Uint8Array>);
    }
    if (options.sync === true) await file.sync();
  } finally {
    await file.close();
  }
}
