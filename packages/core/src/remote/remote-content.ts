import { createHash } from 'node:crypto';
import { verifiedStream } from '../content/verified-stream.ts';
import type { ByteRange, ContentInfo } from '../contracts/artifact-store.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { brokenOff, retryAfter } from './http-call.ts';
import type { Link, LinkCall } from './link.ts';

/** A line that gives nothing for so many attempts in a row is given up. */
const mostBreaks = 5;

/**
 * The bytes of a content elsewhere. A line that breaks is taken up where it broke; what was read as a whole is
 * verified, and fails with CORRUPT before its last piece is handed over. INVALID for a range outside the content.
 */
export async function openContent(
  link: Link,
  call: LinkCall,
  content: ContentInfo,
  options: {
    readonly range?: ByteRange | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<ReadableStream<Uint8Array>> {
  const { sizeBytes } = content;
  const start = options.range?.start ?? 0;
  const end = options.range?.end ?? sizeBytes;
  const isRange =
    Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end;
  if (!isRange || end > sizeBytes) {
    throw new KeelsonError(
      'INVALID',
      `The range ${String(start)} to ${String(end)} lies outside the ${sizeBytes} bytes of the content.`,
    );
  }
  const stop = new AbortController();
  const given = options.signal;
  const aborted = (): void => stop.abort(abortOf(given));
  if (given?.aborted === true) aborted();
  else given?.addEventListener('abort', aborted, { once: true });
  const { signal } = stop;
  const from: Reading = { link, call: { ...call, signal }, content, start, end };
  // Asked for before the answer: who may not read is told so at once.
  const first = start === end ? undefined : await openAt(from, start);
  const pieces = verifiedPieces(from, first);
  return verifiedStream(pieces, {
    signal,
    async close() {
      given?.removeEventListener('abort', aborted);
      stop.abort(abortOf(undefined));
    },
    fault: (error) => error,
  });
}

function abortOf(signal: AbortSignal | undefined): KeelsonError {
  if (isKeelsonError(signal?.reason)) return signal.reason as KeelsonError;
  return new KeelsonError('ABORTED', 'The download was aborted by its caller.', {
    cause: signal?.reason,
  });
}

interface Reading {
  readonly link: Link;
  readonly call: LinkCall;
  readonly content: ContentInfo;
  readonly start: number;
  readonly end: number;
}

async function openAt({ link, call, end, content }: Reading, at: number): Promise<Response> {
  const whole = at === 0 && end === content.sizeBytes;
  const range = whole ? {} : { range: `bytes=${at}-${end - 1}` };
  return await link.open({ ...call, headers: range });
}

/** The last piece waits until the whole is verified. */
async function* verifiedPieces(
  from: Reading,
  first: Response | undefined,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const { sha256, sizeBytes } = from.content;
  const isWhole = from.start === 0 && from.end === sizeBytes;
  const hash = isWhole ? createHash('sha256') : undefined;
  let last: Uint8Array<ArrayBuffer> | undefined;
  for await (const piece of unbroken(from, first)) {
    if (last !== undefined) yield last;
    hash?.update(piece);
    last = piece;
  }
  if (hash !== undefined && hash.digest('hex') !== sha256) {
    throw new KeelsonError('CORRUPT', `What arrived of ${sha256} is other bytes than those.`, {
      details: { sha256 },
    });
  }
  if (last !== undefined) yield last;
}

async function* unbroken(
  from: Reading,
  first: Response | undefined,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  let at = from.start;
  let breaks = 0;
  for (let response = first; response !== undefined && at < from.end; ) {
    try {
      for await (const piece of response.body ?? []) {
        const bytes = piece as Uint8Array<ArrayBuffer>;
        at += bytes.length;
        breaks = 0;
        if (at > from.end) throw tooMany(from);
        yield bytes;
      }
      if (at < from.end) throw brokenOff(from.link.server, new Error('it ended early'), undefined);
    } catch (fault) {
      const error = brokenOff(from.link.server, fault, from.call.signal);
      breaks += 1;
      if (retryAfter(error) === undefined || breaks > mostBreaks) throw error;
      response = await openAt(from, at);
    }
  }
}

function tooMany({ content }: Reading): KeelsonError {
  const message = `More bytes arrived of ${content.sha256} than it has.`;
  return new KeelsonError('CORRUPT', message, { details: { sha256: content.sha256 } });
}
