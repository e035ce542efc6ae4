import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** The headers by which the service can tell that a body arrived as it was sent. */
export interface BodyChecksum {
  readonly ChecksumAlgorithm?: 'CRC32';
  readonly ChecksumCRC32?: string;
  readonly ContentMD5?: string;
}

/**
 * Sends bodies so that the service verifies them: by CRC-32, and by MD5 once a service has shown that it
 * knows no CRC-32 (it answers without one), as older dialects do.
 */
export class CheckedBodies {
  #md5 = false;

  /** What `send` answers; sent a second time where the service did not look at the first checksum. */
  async send<T extends { readonly ChecksumCRC32?: string | undefined }>(
    body: Uint8Array,
    send: (checksum: BodyChecksum) => Promise<T>,
  ): Promise<T> {
    if (!this.#md5) {
      const answer = await send({ ChecksumAlgorithm: 'CRC32', ChecksumCRC32: crc32Of(body) });
      if (answer.ChecksumCRC32 !== undefined) return answer;
      this.#md5 = true;
    }
    return await send({ ContentMD5: createHash('md5').update(body).digest('base64') });
  }
}

/** The CRC-32 of bytes as the protocol writes it. */
export function crc32Of(bytes: Uint8Array): string {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(crc32(bytes));
  return out.toString('base64');
}
