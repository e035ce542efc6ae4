import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { credentials } from './gateway.ts';

/** A file, and how it is sent. */
export interface Transfer {
  readonly bucket: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly partBytes: number;
  readonly parallelParts: number;
}

/** The same work by the SDK's own commands. */
export class PlainSdk {
  readonly #client: S3Client;
  readonly #transfer: Transfer;
  readonly #object: { readonly Bucket: string; readonly Key: string };

  constructor(endpoint: string, transfer: Transfer) {
    const place = { endpoint, region: 'us-east-1', forcePathStyle: true };
    this.#client = new S3Client({ ...place, credentials });
    this.#transfer = transfer;
    this.#object = { Bucket: transfer.bucket, Key: 'plain' };
  }

  async createBucket(): Promise<void> {
    await this.#client.send(new CreateBucketCommand({ Bucket: this.#object.Bucket }));
  }

  async remove(): Promise<void> {
    await this.#client.send(new DeleteObjectCommand(this.#object));
  }

  /** The digest first, since the key of an object depends on it; then the parts. */
  async put(): Promise<void> {
    const { path, sizeBytes, partBytes, parallelParts } = this.#transfer;
    const hash = createHash('sha256');
    for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
    hash.digest();
    const { UploadId } = await this.#client.send(new CreateMultipartUploadCommand(this.#object));
    const count = Math.ceil(sizeBytes / partBytes);
    const parts: { PartNumber: number; ETag: string | undefined }[] = [];
    const handle = await open(path);
    let next = 0;
    const sendParts = async (): Promise<void> => {
      for (let i = next++; i < count; i = next++) {
        const length = Math.min(partBytes, sizeBytes - i * partBytes);
        const Body = Buffer.allocUnsafe(length);
        await handle.read(Body, 0, length, i * partBytes);
        const part = { ...this.#object, UploadId, PartNumber: i + 1, Body };
        const { ETag } = await this.#client.send(new UploadPartCommand(part));
        parts[i] = { PartNumber: i + 1, ETag };
      }
    };
    await Promise.all(Array.from({ length: parallelParts }, sendParts));
    await handle.close();
    const whole = { ...this.#object, UploadId, MultipartUpload: { Parts: parts } };
    await this.#client.send(new CompleteMultipartUploadCommand(whole));
  }

  async read(): Promise<void> {
    const { Body } = await this.#client.send(new GetObjectCommand(this.#object));
    const hash = createHash('sha256');
    for await (const piece of Body as AsyncIterable<Uint8Array>) hash.update(piece);
    hash.digest();
  }

  close(): void {
    this.#client.destroy();
  }
}
