import { contentTypeOf, disposition, names, rangeOf } from '../http/content.ts';
import { headerOf, type RequestHeaders, type ServerAnswer } from '../http/exchange.ts';
import { refusal } from './problem.ts';
import type { AnyRoute, Content, MessageStream, StreamMessage } from './route.ts';
import { wireText } from './wire-json.ts';

/** The answer to a call, in the form that its row has. */
export async function answerOf(
  row: AnyRoute,
  value: unknown,
  request: { readonly method: string; readonly headers: RequestHeaders },
  signal: AbortSignal,
): Promise<ServerAnswer> {
  switch (row.answers.as) {
    case 'nothing':
      return { status: 204, headers: {}, body: '' };
    case 'bytes':
      return contentAnswer(value as Content, request);
    case 'messages':
      return messagesAnswer(value as MessageStream<unknown>, request, signal);
    case 'json': {
      const tag = revisionTag(value);
      const headers: Record<string, string> = {
        'content-type': 'application/json',
        'cache-control': 'no-store',
      };
      if (tag !== undefined) {
        headers['etag'] = tag;
        const isRead = request.method === 'GET' || request.method === 'HEAD';
        if (isRead && names(headerOf(request.headers, 'if-none-match'), tag)) return unchanged(tag);
      }
      const isOut = row.answers.isOutage?.(value) === true;
      const status = isOut ? 503 : (row.answers.status ?? 200);
      return { status, headers, body: wireText(value) };
    }
  }
}

const uploadPolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/** The tag of what has revisions. Weak: what is counted beside (runs, metrics) moves without a revision. */
function revisionTag(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('revision' in value)) return undefined;
  return typeof value.revision === 'number' ? `W/"${value.revision}"` : undefined;
}

function unchanged(etag: string): ServerAnswer {
  return { status: 304, headers: { etag }, body: '' };
}

async function contentAnswer(
  content: Content,
  { method, headers }: { readonly method: string; readonly headers: RequestHeaders },
): Promise<ServerAnswer> {
  const { mediaType, sizeBytes, etag, fileName } = content;
  const said: Record<string, string> = {
    'content-type': contentTypeOf(mediaType),
    // What somebody has uploaded must not run as a page of this origin.
    'content-security-policy': content.policy ?? uploadPolicy,
    'x-content-type-options': 'nosniff',
    ...(etag === undefined ? {} : { etag }),
    ...(sizeBytes === undefined ? {} : { 'accept-ranges': 'bytes' }),
    ...(fileName === undefined ? {} : { 'content-disposition': disposition(fileName) }),
  };
  if (etag !== undefined && names(headerOf(headers, 'if-none-match'), etag)) return unchanged(etag);
  const range = sizeBytes === undefined ? undefined : rangeOf(headers, sizeBytes, etag);
  if (range === 'outside') {
    const message = `There are ${sizeBytes} bytes; ${headerOf(headers, 'range')} asks for none of them.`;
    throw refusal(416, 'INVALID', message, { sizeBytes });
  }
  if (range !== undefined) {
    said['content-range'] = `bytes ${range.start}-${range.end - 1}/${sizeBytes}`;
    said['content-length'] = String(range.end - range.start);
  } else if (sizeBytes !== undefined) said['content-length'] = String(sizeBytes);
  const status = range === undefined ? 200 : 206;
  if (method === 'HEAD') return { status, headers: said, body: '' };
  return { status, headers: said, body: await begun(await content.open(range)) };
}

/** The bytes, once the first have come: content that cannot be read is refused while there is still a status to say so. */
async function begun(bytes: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const source = bytes[Symbol.asyncIterator]();
  let first: IteratorResult<Uint8Array> | undefined = await source.next();
  const next = (): Promise<IteratorResult<Uint8Array>> => {
    const step = first;
    first = undefined;
    return step === undefined ? source.next() : Promise.resolve(step);
  };
  const end = async (): Promise<IteratorResult<Uint8Array>> => {
    await source.return?.();
    return { done: true, value: undefined };
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: end }) };
}

/** The revision that `If-Match` names; undefined without one, or for `*`. 412 for what is no revision of ours. */
export function expectedRevision(headers: RequestHeaders): number | undefined {
  const given = headerOf(headers, 'if-match')?.trim();
  if (given === undefined || given === '*') return undefined;
  const [, revision] = /^(?:W\/)?"(\d{1,15})"$/.exec(given) ?? [];
  if (revision !== undefined) return Number(revision);
  throw refusal(412, 'STALE', 'If-Match takes one ETag as it was answered, such as W/"3".');
}

/** What fails before that is a refusal; later the head is out. */
const earlyMs = 500;

async function messagesAnswer(
  { messages }: MessageStream<unknown>,
  { method }: { readonly method: string },
  signal: AbortSignal,
): Promise<ServerAnswer> {
  const headers = {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    // Proxies that gather answers would hold events back.
    'x-accel-buffering': 'no',
  };
  if (method === 'HEAD') return { status: 200, headers, body: '' };
  const source = messages[Symbol.asyncIterator]();
  const first = source.next();
  const { promise: early, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, earlyMs);
  await Promise.race([first, early]).finally(() => clearTimeout(timer));
  return { status: 200, headers, body: eventStream({ source, first }, signal) };
}

/** So often a comment goes out where nothing else does: proxies close what is silent. */
const keepAliveMs = 15_000;

async function* eventStream(
  {
    source,
    first,
  }: {
    readonly source: AsyncIterator<StreamMessage<unknown>>;
    readonly first: Promise<IteratorResult<StreamMessage<unknown>>>;
  },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield Buffer.from(': ready\n\n');
    let next = first;
    for (;;) {
      const { promise: silence, resolve } = Promise.withResolvers<'silence'>();
      const timer = setTimeout(() => resolve('silence'), keepAliveMs);
      timer.unref();
      const came = await Promise.race([next, silence]).finally(() => clearTimeout(timer));
      if (came === 'silence') yield Buffer.from(': still here\n\n');
      else if (came.done === true) return;
      else {
        yield Buffer.from(messageText(came.value));
        next = source.next();
      }
    }
  } catch (error) {
    // Where we end a stream, its end is one that its caller can tell from a broken connection.
    if (!signal.aborted) throw error;
  } finally {
    await source.return?.();
  }
}

function messageText({ id, event, data }: StreamMessage<unknown>): string {
  const head = `${id === undefined ? '' : `id: ${id}\n`}${event === undefined ? '' : `event: ${event}\n`}`;
  return `${head}data: ${wireText(data)}\n\n`;
}
