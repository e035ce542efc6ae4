import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandOutput,
  UploadPartCopyCommand,
  type UploadPartCopyCommandOutput,
} from '@aws-sdk/client-s3';
import { abort } from './multipart-upload.ts';
import { encryptionHeaders, type S3Medium } from './s3-medium.ts';

// What one request may copy, by the protocol; and what each copies of a larger object.
const largestCopy = 5 * 1024 ** 3;
const copyPartBytes = 1024 ** 3;
const doing = 'putting an artifact into its place';

/** Copies an object within the service, without its bytes coming here. */
export async function copyObject(
  medium: S3Medium,
  copy: {
    readonly from: string;
    readonly to: string;
    readonly sizeBytes: number;
    readonly metadata: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { requests } = medium;
  const { from, to, signal } = copy;
  const source = `${requests.bucket}/${from.split('/').map(encodeURIComponent).join('/')}`;
  if (copy.sizeBytes > largestCopy) return await copyInParts(medium, source, copy);
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
  copy: Parameters<typeof copyObject>[1],
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
    const parts: { readonly PartNumber: number; readonly ETag: string | undefined }[] = [];
    for (let at = 0; at < sizeBytes; at += copyPartBytes) {
      const PartNumber = parts.length + 1;
      const CopySourceRange = `bytes=${at}-${Math.min(at + copyPartBytes, sizeBytes) - 1}`;
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
    await requests.send(
      () =>
        new CompleteMultipartUploadCommand({
          ...target,
          UploadId: uploadId,
          MultipartUpload: { Parts: parts },
        }),
      { doing, key: to, signal },
    );
  } catch (error) {
    await abort(medium, { key: to, uploadId });
    throw error;
  } finally {
    medium.uploads.delete(uploadId);
  }
}
