import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { isNotUnderstood } from './s3-fault.ts';

/** The headers by which the service can tell that a body arrived as it was sent. */
export interface BodyChecksum {
  readonly ChecksumAlgorithm?: 'CRC32';
  readonly ChecksumCRC32?: string;
  readonly ContentMD5?: string;
}

/**
 * Sends bodies so that the service verifies them: by CRC-32, and by MD5 once a service has shown that it
 * knows no CRC-32, as older dialects do. Some answer without one, others refuse what they do not know.
 */
export class CheckedBodies {
  #md5 = false;

  /**
   * What `send` answers; sent a second time where the service did not look at the first checksum. `send`
   * lets refusals of what is not understood through as the service said them.
   */
  async send<T extends { readonly ChecksumCRC32?: string | undefined }>(
    body: Uint8Array,
    send: (checksum: BodyChecksum) => Promise<T>,
  ): Promise<T> {
    if (!this.#md5) {
      const checksum = { ChecksumAlgorithm: 'CRC32', ChecksumCRC32: crc32Of(body) } as const;
      const answer = await unlessNotUnderstood(() => send(checksum));
      if (answer?.ChecksumCRC32 !== undefined) return answer;
    }
    const answer = await send({ ContentMD5: createHash('md5').update(body).digest('base64') });
    this.#md5 = true;
    return answer;
  }

  /** What `begin` answers, told the checksum that parts will have. */
  async begin<T>(begin: (checksum: BodyChecksum) => Promise<T>): Promise<T> {
    if (!this.#md5) {
      const answer = await unlessNotUnderstood(() => begin({ ChecksumAlgorithm: 'CRC32' }));
      if (answer !== undefined) return answer;
    }
    const answer = await begin({});
    this.#md5 = true;
    return answer;
  }
}

/** For requests with a checksum of {@link CheckedBodies}: its refusal is for them to see. */
export function refusalOf({ ChecksumAlgorithm }: BodyChecksum): (error: unknown) => boolean {
  return (error) => ChecksumAlgorithm !== undefined && isNotUnderstood(error);
}

async function unlessNotUnderstood<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (isNotUnderstood(error)) return undefined;
    throw error;
  }
}

/** The CRC-32 of bytes as the protocol writes it. */
export function crc32Of(bytes: Uint8Array): string {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(crc32(bytes));
  return out.toString('base64');
}
