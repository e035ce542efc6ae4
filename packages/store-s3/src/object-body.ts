import { setTimeout as timer } from 'node:timers/promises';
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { isMissing, isOutOfRange } from './s3-fault.ts';
import type { S3Requests } from './s3-requests.ts';

/** An object that answers, from some byte on. */
export interface ObjectBody {
  /** Of the whole object. */
  readonly sizeBytes: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** Fills `into`; fewer bytes than it holds mean that the answer is at its end. */
  fill(into: Uint8Array): Promise<number>;
  /** Lets go of the connection. */
  close(): void;
}

/**
 * Asks for the bytes of an object from `start` to `end` (excluded; to its end when left out). Undefined
 * when there is none, `'out of range'` when it ends before `start`.
 */
export async function openBody(
  requests: S3Requests,
  key: string,
  range: { readonly start: number; readonly end?: number },
  signal: AbortSignal,
): Promise<ObjectBody | 'out of range' | undefined> {
  const { start, end } = range;
  const last = end === undefined ? '' : String(end - 1);
  const asked = start === 0 && end === undefined ? {} : { Range: `bytes=${start}-${last}` };
  let answer: GetObjectCommandOutput;
  try {
    answer = await requests.send<GetObjectCommandOutput>(
      () => new GetObjectCommand({ Bucket: requests.bucket, Key: key, ...asked }),
      {
        doing: 'reading an artifact',
        key,
        signal,
        expected: (error) => isMissing(error) || isOutOfRange(error),
      },
    );
  } catch (error) {
    if (isOutOfRange(error)) return 'out of range';
    if (isMissing(error)) return undefined;
    throw error;
  }
  return bodyOf(answer, requests.idleTimeoutMs);
}

function bodyOf(answer: GetObjectCommandOutput, idleTimeoutMs: number): ObjectBody {
  const stream = answer.Body as NodeJS.ReadableStream & { destroy(): void };
  const pieces = (stream as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  let ended = false;
  return {
    sizeBytes: totalBytes(answer),
    metadata: answer.Metadata ?? {},
    async fill(into) {
      let filled = 0;
      while (filled < into.length) {
        if (rest.length === 0) {
          if (ended) break;
          const step = await within(idleTimeoutMs, pieces.next());
          if (step.done === true) ended = true;
          else rest = step.value;
          continue;
        }
        const part = rest.subarray(0, into.length - filled);
        into.set(part, filled);
        filled += part.length;
        rest = rest.subarray(part.length);
      }
      return filled;
    },
    close: () => stream.destroy(),
  };
}

/** A connection that says nothing any more is as good as cut. */
async function within<T>(ms: number, waiting: Promise<T>): Promise<T> {
  const stop = new AbortController();
  const silent = timer(ms, undefined, { signal: stop.signal, ref: false }).then(() => {
    throw Object.assign(new Error(`no byte came for ${ms} ms`), { name: 'TimeoutError' });
  });
  try {
    return await Promise.race([waiting, silent]);
  } finally {
    silent.catch(() => undefined);
    waiting.catch(() => undefined);
    stop.abort();
  }
}

function totalBytes({ ContentRange, ContentLength }: GetObjectCommandOutput): number {
  const total = /\/(\d+)$/.exec(ContentRange ?? '')?.[1];
  return total === undefined ? (ContentLength ?? 0) : Number(total);
}
