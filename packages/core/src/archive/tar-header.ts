import { KeelsonError } from '../errors.ts';

/** Tar files come in blocks of so many bytes. */
export const tarBlockBytes = 512;

/** What a header says of the entry that follows it. */
export interface TarHeader {
  readonly name: string;
  readonly sizeBytes: number;
  readonly type: 'file' | 'directory' | 'pax';
}

/** Of the two ways to write sizes, the one that all know holds less than this. */
const maxOctalSize = 8 ** 11;

/** The header of a regular file: the same bytes whenever and by whomever it is written. */
export function encodeTarHeader({
  name,
  sizeBytes,
}: Pick<TarHeader, 'name' | 'sizeBytes'>): Buffer {
  const block = Buffer.alloc(tarBlockBytes);
  block.write(name, 0, 100, 'latin1');
  block.write('0000644\0', 100, 'latin1');
  block.write('0000000\0', 108, 'latin1');
  block.write('0000000\0', 116, 'latin1');
  if (sizeBytes < maxOctalSize) {
    block.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  } else {
    block[124] = 0x80;
    block.writeBigUInt64BE(BigInt(sizeBytes), 128);
  }
  block.write('00000000000\0', 136, 'latin1');
  block.write('0', 156, 'latin1');
  block.write('ustar\u000000', 257, 'latin1');
  block.write('0000000\0', 329, 'latin1');
  block.write('0000000\0', 337, 'latin1');
  block.write(`${checksumOf(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** How many zero bytes follow an entry of this size. */
export function tarPadding(sizeBytes: number): number {
  return (tarBlockBytes - (sizeBytes % tarBlockBytes)) % tarBlockBytes;
}

/**
 * Reads a header: undefined for a block of zeros, CORRUPT where it is none. Only regular files,
 * directories and pax records are read; INVALID, by name, for everything else that a tar may hold.
 */
export function decodeTarHeader(block: Buffer, where: string): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const written = /^([0-7]{6})(?:\0 | \0)$/.exec(block.toString('latin1', 148, 156))?.[1];
  if (written === undefined || Number.parseInt(written, 8) !== checksumOf(block)) {
    throw corrupt(where, 'a header of it does not match its own checksum');
  }
  const magic = block.toString('latin1', 257, 265);
  if (magic !== 'ustar\u000000' && magic !== 'ustar  \0') {
    throw corrupt(where, 'a header of it is of no kind of tar that is known');
  }
  const prefix = magic === 'ustar  \0' ? '' : textAt(block, 345, 155);
  const name = `${prefix === '' ? '' : `${prefix}/`}${textAt(block, 0, 100)}`;
  return { name, type: typeOf(block, name, where), sizeBytes: sizeOf(block, name, where) };
}

function checksumOf(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < tarBlockBytes; i += 1) {
    if (i < 148 || i >= 156) sum += block[i] as number;
  }
  return sum;
}

const refused: Readonly<Record<string, string>> = {
  '1': 'a hard link',
  '2': 'a symbolic link',
  '3': 'a character device',
  '4': 'a block device',
  '6': 'a named pipe',
  '7': 'a reserved file',
  g: 'a global pax header',
  K: 'a long link name',
  L: 'a long name',
  S: 'a sparse file',
};

function typeOf(block: Buffer, name: string, where: string): TarHeader['type'] {
  const flag = block.toString('latin1', 156, 157);
  if (flag === '0' || flag === '\0') return 'file';
  if (flag === '5') return 'directory';
  if (flag === 'x') return 'pax';
  const what = Object.hasOwn(refused, flag) ? refused[flag] : `of type ${JSON.stringify(flag)}`;
  throw new KeelsonError(
    'INVALID',
    `${JSON.stringify(name)} in ${where} is ${what}; an export holds plain files only. Nothing of it was taken.`,
    { details: { archive: where, member: name } },
  );
}

function sizeOf(block: Buffer, name: string, where: string): number {
  const field = block.subarray(124, 136);
  let size: number;
  if (field[0] === 0x80 && field.subarray(1, 4).every((byte) => byte === 0)) {
    size = Number(field.readBigUInt64BE(4));
  } else {
    const octal = /^([0-7]{11})[\0 ]$/.exec(field.toString('latin1'))?.[1];
    size = octal === undefined ? Number.NaN : Number.parseInt(octal, 8);
  }
  if (Number.isSafeInteger(size)) return size;
  throw corrupt(where, `the header of ${JSON.stringify(name)} has no size`);
}

function textAt(block: Buffer, start: number, length: number): string {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? length : end);
}

/** CORRUPT: the tar is not as it was written. */
export function corrupt(where: string, why: string, member?: string): KeelsonError {
  return new KeelsonError(
    'CORRUPT',
    `${where} is damaged: ${why}. Copy it anew from where it was made.`,
    { details: { archive: where, ...(member === undefined ? {} : { member }) } },
  );
}
