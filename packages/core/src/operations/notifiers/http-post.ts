import { lookup as resolve } from 'node:dns';
import { type ClientRequest, type IncomingMessage, request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { KeelsonError } from '../../errors.ts';
import { storableText } from '../../json.ts';
import { type AddressRange, isRefused } from './addresses.ts';

/** A request to a receiver. */
export interface HttpCall {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly reach: AddressRange;
  /** More is a refusal where the answer matters, and left unread where it does not. */
  readonly maxAnswerBytes: number;
}

/** What came back. */
export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  /** There is more than was read. */
  readonly cut: boolean;
}

/**
 * One request, one answer: redirects are not followed, the answer is read up to its bound, and the whole
 * ends within `timeoutMs`. UNAVAILABLE or TIMEOUT where there was no answer; FORBIDDEN where the host's
 * address may not be called. Messages name the host alone: paths may be secrets.
 */
export function callHttp(call: HttpCall): Promise<HttpReply> {
  const { url, signal } = call;
  const where = url.host;
  const timeout = AbortSignal.timeout(call.timeoutMs);
  const { promise, resolve: done, reject } = Promise.withResolvers<HttpReply>();
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) !== 0 && isRefused(literal, call.reach)) {
    return Promise.reject(refusedAddress(where, literal));
  }
  const client = url.protocol === 'https:' ? tlsRequest : plainRequest;
  const request: ClientRequest = client(url, {
    method: call.method,
    agent: false,
    // Also where NODE_TLS_REJECT_UNAUTHORIZED says otherwise.
    rejectUnauthorized: true,
    headers: {
      'user-agent': 'keelson',
      ...(call.body === undefined ? {} : { 'content-length': Buffer.byteLength(call.body) }),
      ...call.headers,
    },
    lookup: checkedLookup(where, call.reach),
    signal: AbortSignal.any([signal, timeout]),
  });
  const failed = (cause: Error): void => {
    if (cause instanceof KeelsonError) reject(cause);
    else if (signal.aborted) {
      reject(new KeelsonError('ABORTED', `The call to ${where} was ended.`, { cause }));
    } else if (timeout.aborted) {
      const message = `${where} did not answer within ${call.timeoutMs} ms.`;
      reject(new KeelsonError('TIMEOUT', message));
    } else {
      const why = (cause as NodeJS.ErrnoException).code ?? cause.message;
      reject(new KeelsonError('UNAVAILABLE', `${where} cannot be reached: ${why}.`));
    }
  };
  request.on('error', failed);
  request.on('response', (response) => {
    readAnswer(response, call.maxAnswerBytes).then(done, failed);
  });
  request.end(call.body);
  return promise.finally(() => request.destroy());
}

async function readAnswer(response: IncomingMessage, maxBytes: number): Promise<HttpReply> {
  const parts: Buffer[] = [];
  let size = 0;
  let cut = false;
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part.subarray(0, maxBytes - size));
    size += part.length;
    cut = size > maxBytes;
    if (cut) break;
  }
  const text = Buffer.concat(parts).toString('utf8');
  return { status: response.statusCode ?? 0, headers: response.headers, text, cut };
}

/** Resolves a name, and refuses it where any of its addresses may not be called. */
function checkedLookup(where: string, reach: AddressRange): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, '', 4);
      const refused = found.find(({ address }) => isRefused(address, reach));
      if (refused !== undefined) return callback(refusedAddress(where, refused.address), '', 4);
      const [first] = found;
      if (options.all === true) return callback(null, found);
      callback(null, first?.address ?? '', first?.family ?? 4);
    });
  };
}

function refusedAddress(where: string, address: string): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `${where} has the address ${address}, which may not be called from here.`,
    { details: { address } },
  );
}

const never: ReadonlySet<number> = new Set([400, 410, 413, 415, 422]);
const longestRetryAfterMs = 3_600_000;

/**
 * An answer that took the message, or an error: FORBIDDEN where the secret was refused, FAILED where the
 * receiver will never take it, UNAVAILABLE (with `details.retryAfterMs` where it said so) otherwise.
 */
export function assertTaken(where: string, reply: HttpReply): void {
  const { status } = reply;
  if (status >= 200 && status < 300) return;
  const said = said200(reply.text);
  const message = `${where} answered ${status}${said === '' ? '' : `: ${said}`}.`;
  const details = { status, said, ...retryAfter(reply) };
  if (status === 401 || status === 403) {
    throw new KeelsonError('FORBIDDEN', `${message} Look at the secret of this notifier.`, {
      details,
    });
  }
  if (never.has(status)) throw new KeelsonError('FAILED', message, { details });
  throw new KeelsonError('UNAVAILABLE', message, { details });
}

/** The first words of an answer, as a log can keep them. */
export function said200(text: string): string {
  return storableText(text.trim().replace(/\s+/g, ' '), 200);
}

function retryAfter({ headers }: HttpReply): { retryAfterMs?: number } {
  const given = headers['retry-after'];
  if (given === undefined) return {};
  const ms = /^\d{1,9}$/.test(given) ? Number(given) * 1000 : Date.parse(given) - Date.now();
  if (Number.isNaN(ms) || ms <= 0) return {};
  return { retryAfterMs: Math.min(ms, longestRetryAfterMs) };
}
