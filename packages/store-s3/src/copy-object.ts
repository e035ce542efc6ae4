import {
  type CompletedPart,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandOutput,
  UploadPartCopyCommand,
  type UploadPartCopyCommandOutput,
} from '@aws-sdk/client-s3';
import { complete } from './multipart-completion.ts';
import { abort } from './multipart-upload.ts';
import { encryptionHeaders, type S3Medium } from './s3-medium.ts';

/** What one request may copy, by the protocol; and what each copies of a larger object. */
const limits: { readonly largestBytes: number; readonly partBytes: number } = {
  largestBytes: 5 * 1024 ** 3,
  partBytes: 1024 ** 3,
};
const doing = 'putting an artifact into its place';

/** Which object becomes which other one. */
export interface ObjectCopy {
  readonly from: string;
  readonly to: string;
  readonly sizeBytes: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Copies an object within the service, without its bytes coming here; a very large one in parts. */
export async function copyObject(
  medium: S3Medium,
  copy: ObjectCopy,
  { largestBytes, partBytes }: typeof limits = limits,
): Promise<void> {
  const { requests } = medium;
  const { from, to, signal } = copy;
  const source = `${requests.bucket}/${from.split('/').map(encodeURIComponent).join('/')}`;
  if (copy.sizeBytes > largestBytes) return await copyInParts(medium, source, copy, partBytes);
  await requests.send(
    () =>
      new CopyObjectCommand({
        Bucket: requests.bucket,
        Key: to,
        CopySource: source,
        // Onto itself an object is copied only with metadata of its own.
        MetadataDirective: 'REPLACE',
        Metadata: copy.metadata,
        ...encryptionHeaders(medium.serverSideEncryption),
      }),
    { doing, key: to, signal },
  );
}

async function copyInParts(
  medium: S3Medium,
  source: string,
  copy: ObjectCopy,
  partBytes: number,
): Promise<void> {
  const { requests } = medium;
  const { to, signal, sizeBytes } = copy;
  const target = { Bucket: requests.bucket, Key: to };
  const { UploadId: uploadId = '' } = await requests.send<CreateMultipartUploadCommandOutput>(
    () =>
      new CreateMultipartUploadCommand({
        ...target,
        Metadata: copy.metadata,
        ...encryptionHeaders(medium.serverSideEncryption),
      }),
    { doing, key: to, signal },
  );
  medium.uploads.add(uploadId);
  try {
    const parts: CompletedPart[] = [];
    for (let at = 0; at < sizeBytes; at += partBytes) {
      const PartNumber = parts.length + 1;
      const CopySourceRange = `bytes=${at}-${Math.min(at + partBytes, sizeBytes) - 1}`;
      const { CopyPartResult } = await requests.send<UploadPartCopyCommandOutput>(
        () =>
          new UploadPartCopyCommand({
            ...target,
            UploadId: uploadId,
            PartNumber,
            CopySource: source,
            CopySourceRange,
          }),
        { doing, key: to, signal },
      );
      parts.push({ PartNumber, ETag: CopyPartResult?.ETag });
    }
    await complete(medium, { key: to, uploadId, signal }, parts, sizeBytes);
  } catch (error) {
    await abort(medium, { key: to, uploadId });
    throw error;
  } finally {
    medium.uploads.delete(uploadId);
  }
}
