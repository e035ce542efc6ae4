import { KeelsonError } from '../errors.ts';
import { corrupt } from './tar-header.ts';

/** What pax records say in place of the header that follows them. */
export interface PaxRecords {
  readonly path?: string;
  readonly sizeBytes?: number;
}

/** What other programs write beside, and what means nothing to us. */
const ignored = new Set(['mtime', 'atime', 'ctime', 'uid', 'gid', 'uname', 'gname', 'comment']);

/** No honest records of one entry are longer. */
export const maxPaxBytes = 65_536;

/** Reads pax records strictly: INVALID for keys that would change what an entry is. */
export function readPaxRecords(bytes: Buffer, where: string): PaxRecords {
  let path: string | undefined;
  let sizeBytes: number | undefined;
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const digits = space < 0 ? '' : bytes.toString('latin1', at, space);
    const length = /^[1-9]\d{0,5}$/.test(digits) ? Number(digits) : Number.NaN;
    const end = at + length;
    if (!(end <= bytes.length) || end <= space + 2 || bytes[end - 1] !== 0x0a) {
      throw corrupt(where, 'its pax records cannot be read');
    }
    const record = bytes.toString('utf8', space + 1, end - 1);
    const equals = record.indexOf('=');
    const key = record.slice(0, Math.max(0, equals));
    const value = record.slice(equals + 1);
    if (key === 'path') path = value;
    else if (key === 'size') sizeBytes = sizeOf(value, where);
    else if (!ignored.has(key)) throw unknownKey(key, where);
    at = end;
  }
  return {
    ...(path === undefined ? {} : { path }),
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
  };
}

function sizeOf(value: string, where: string): number {
  const size = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw corrupt(where, 'a pax record has a size that is none');
  return size;
}

function unknownKey(key: string, where: string): KeelsonError {
  const name = JSON.stringify(key.slice(0, 100));
  return new KeelsonError(
    'INVALID',
    `${where} has pax records of the kind ${name}; an export has none. Pack the directory with a plain tar (--format=ustar), or import the directory itself.`,
    { details: { archive: where, key: key.slice(0, 1_000) } },
  );
}
