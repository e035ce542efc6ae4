import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandOutput,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type ListPartsCommandOutput,
  type Part,
  UploadPartCommand,
  type UploadPartCommandOutput,
} from '@aws-sdk/client-s3';
import { isKeelsonError, KeelsonError } from '@keelson/core';
import { crc32Of, refusalOf } from './checked-body.ts';
import { complete, type UploadPlace } from './multipart-completion.ts';
import { isNoUpload } from './s3-fault.ts';
import { encryptionHeaders, type S3Medium } from './s3-medium.ts';
import type { SourcePart, SourceParts } from './source-parts.ts';

/** One upload in parts, invisible until it is complete. */
export interface MultipartUpload {
  readonly key: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Parts that were read from the source already. */
  readonly begun: readonly SourcePart[];
  readonly parts: SourceParts;
  /**
   * Takes up an upload of the same key that broke before, and leaves one that breaks for a passing reason:
   * for keys that name the content, so that equal keys mean equal parts.
   */
  readonly resume: boolean;
  readonly signal: AbortSignal;
  onTaken(bytes: number): void;
  /** Throws when what was uploaded shall not become visible. */
  beforeComplete(): void;
}

const doing = 'storing an artifact';

/** Uploads the parts, several at a time, and makes them one object. Memory is that of the parts. */
export async function uploadInParts(medium: S3Medium, upload: MultipartUpload): Promise<void> {
  const { key, signal } = upload;
  const broken = upload.resume ? await findBroken(medium, key, signal) : undefined;
  const uploadId = broken?.uploadId ?? (await begin(medium, upload));
  const place = { key, uploadId, signal };
  medium.uploads.add(uploadId);
  try {
    const flight = new PartFlight(medium, place, broken?.parts ?? new Map());
    try {
      await pour(upload, flight);
    } finally {
      await flight.settle();
    }
    upload.beforeComplete();
    await complete(medium, place, flight.completed(), flight.sizeBytes);
  } catch (error) {
    const later = upload.resume && isKeelsonError(error, 'UNAVAILABLE');
    // Somebody else may be at the same upload: what we did not begin is not ours to end.
    if (!later && broken === undefined) await abort(medium, place);
    throw error;
  } finally {
    medium.uploads.delete(uploadId);
  }
}

/** Aborts an upload as far as that can be done; a leftover is collected later. */
export async function abort(
  medium: Pick<S3Medium, 'requests'>,
  { key, uploadId }: { readonly key: string; readonly uploadId: string },
): Promise<boolean> {
  const { requests } = medium;
  const Bucket = requests.bucket;
  const make = (): unknown =>
    new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId: uploadId });
  try {
    const signal = AbortSignal.timeout(requests.idleTimeoutMs);
    await requests.send(make, { doing: 'ending an upload', key, signal, expected: isNoUpload });
    return true;
  } catch {
    // The caller has a fault of its own to tell, and `collectLeftovers` will find the upload.
    return false;
  }
}

/** All multipart uploads below a prefix that are not complete. */
export async function* listUploads(
  medium: Pick<S3Medium, 'requests'>,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<{ readonly key: string; readonly uploadId: string; readonly at: number }> {
  const { requests } = medium;
  let marker: { readonly KeyMarker?: string; readonly UploadIdMarker?: string } | undefined = {};
  while (marker !== undefined) {
    const from: object = marker;
    const page: ListMultipartUploadsCommandOutput = await requests.send(
      () => new ListMultipartUploadsCommand({ Bucket: requests.bucket, Prefix: prefix, ...from }),
      { doing: 'listing uploads', key: prefix, signal },
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined) continue;
      yield { key: Key, uploadId: UploadId, at: Initiated?.getTime() ?? 0 };
    }
    marker =
      page.IsTruncated === true && page.NextKeyMarker !== undefined
        ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker ?? '' }
        : undefined;
  }
}

async function pour(upload: MultipartUpload, flight: PartFlight): Promise<void> {
  const { parts, signal } = upload;
  const begun = [...upload.begun];
  for (let last = false; !last; ) {
    signal.throwIfAborted();
    await flight.room();
    const part = begun.shift() ?? (await parts.next());
    last = part.last;
    // A source that ends with a whole part gives an empty one after it.
    if (part.body.length > 0 || part.number === 1) flight.add(part);
    upload.onTaken(part.takenBytes);
  }
  await flight.land();
}

/** The parts on their way, and what became of them. */
class PartFlight {
  readonly #medium: S3Medium;
  readonly #place: UploadPlace;
  readonly #there: ReadonlyMap<number, Part>;
  readonly #flying = new Set<Promise<void>>();
  readonly #completed: CompletedPart[] = [];
  #bytes = 0;
  #fault: { readonly error: unknown } | undefined;
  sizeBytes = 0;

  constructor(medium: S3Medium, place: UploadPlace, there: ReadonlyMap<number, Part>) {
    this.#medium = medium;
    this.#place = place;
    this.#there = there;
  }

  /** Resolves when another part may be begun. */
  async room(): Promise<void> {
    const { partBytes, parallelParts } = this.#medium;
    while (this.#bytes > 0 && this.#bytes + partBytes > partBytes * parallelParts) {
      await Promise.race(this.#flying);
      this.#throwFault();
    }
    this.#throwFault();
  }

  add(part: SourcePart): void {
    this.#bytes += part.body.length;
    this.sizeBytes += part.body.length;
    const flying: Promise<void> = this.#store(part)
      .then(
        (completed) => {
          this.#completed.push(completed);
        },
        (error) => {
          this.#fault ??= { error };
        },
      )
      .finally(() => {
        this.#bytes -= part.body.length;
        part.done();
        this.#flying.delete(flying);
      });
    this.#flying.add(flying);
  }

  /** Waits for all; rejects with the first failure. */
  async land(): Promise<void> {
    await this.settle();
    this.#throwFault();
  }

  /** Waits until nothing uses a part any more, whatever became of it. */
  async settle(): Promise<void> {
    while (this.#flying.size > 0) await Promise.all(this.#flying);
  }

  completed(): readonly CompletedPart[] {
    return this.#completed.toSorted((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
  }

  #throwFault(): void {
    if (this.#fault !== undefined) throw this.#fault.error;
  }

  async #store({ number, body }: SourcePart): Promise<CompletedPart> {
    const there = this.#there.get(number);
    if (there !== undefined && isSame(there, body)) return completedPart(number, there);
    const { requests, bodies } = this.#medium;
    const { key, uploadId, signal } = this.#place;
    const answer = await bodies.send(body, (checksum) =>
      requests.send<UploadPartCommandOutput>(
        () =>
          new UploadPartCommand({
            Bucket: requests.bucket,
            Key: key,
            UploadId: uploadId,
            PartNumber: number,
            Body: body,
            ...checksum,
          }),
        {
          ...{ doing, key, signal },
          expected: (error) => isNoUpload(error) || refusalOf(checksum)(error),
        },
      ),
    );
    return completedPart(number, answer);
  }
}

function completedPart(
  number: number,
  stored: { readonly ETag?: string | undefined; readonly ChecksumCRC32?: string | undefined },
): CompletedPart {
  const { ETag, ChecksumCRC32 } = stored;
  return { PartNumber: number, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) };
}

function isSame(there: Part, body: Uint8Array): boolean {
  if (there.Size !== body.length) return false;
  if (there.ChecksumCRC32 !== undefined && there.ChecksumCRC32 !== crc32Of(body)) return false;
  return there.ETag?.replaceAll('"', '') === createHash('md5').update(body).digest('hex');
}

async function begin(medium: S3Medium, upload: MultipartUpload): Promise<string> {
  const { requests } = medium;
  const { key, metadata, signal } = upload;
  const { UploadId } = await medium.bodies.begin((checksum) =>
    requests.send<CreateMultipartUploadCommandOutput>(
      () =>
        new CreateMultipartUploadCommand({
          Bucket: requests.bucket,
          Key: key,
          Metadata: metadata,
          ...checksum,
          ...encryptionHeaders(medium.serverSideEncryption),
        }),
      { doing, key, signal, expected: refusalOf(checksum) },
    ),
  );
  if (UploadId !== undefined) return UploadId;
  throw new KeelsonError('FAILED', `The storage began no upload of ${requests.place(key)}.`);
}

/** The newest upload of the key that is not complete, and the parts that it has. */
async function findBroken(
  medium: S3Medium,
  key: string,
  signal: AbortSignal,
): Promise<{ readonly uploadId: string; readonly parts: ReadonlyMap<number, Part> } | undefined> {
  const { requests } = medium;
  let newest: { readonly uploadId: string; readonly at: number } | undefined;
  for await (const upload of listUploads(medium, key, signal)) {
    if (upload.key === key && upload.at >= (newest?.at ?? 0)) newest = upload;
  }
  if (newest === undefined) return undefined;
  const { uploadId } = newest;
  const parts = new Map<number, Part>();
  let marker: string | undefined;
  try {
    do {
      const page: ListPartsCommandOutput = await requests.send<ListPartsCommandOutput>(
        () =>
          new ListPartsCommand({
            Bucket: requests.bucket,
            Key: key,
            UploadId: uploadId,
            PartNumberMarker: marker,
          }),
        { doing, key, signal, expected: isNoUpload },
      );
      for (const part of page.Parts ?? []) parts.set(part.PartNumber ?? 0, part);
      marker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
    } while (marker !== undefined);
  } catch (error) {
    // Completed or aborted in between.
    if (isNoUpload(error)) return undefined;
    throw error;
  }
  return { uploadId, parts };
}
