import { type ErrorCode, errorCodes, isKeelsonError, KeelsonError } from '../errors.ts';

/** Where a platform is, and who asks. */
export interface RemoteServer {
  /** With what stands before its paths, without a slash at the end. */
  readonly url: string;
  readonly token?: string;
}

/** One request. */
export interface RemoteRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Below `/api/v1`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Made anew for each attempt. */
  readonly body?: () => NonNullable<RequestInit['body']>;
  /** An attempt that is not answered (its head, that is) by then is given up, and may be made again. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

const answerMs = 60_000;

/**
 * Asks once. Rejects with what the platform refused with; UNAVAILABLE where it could not be reached or was not up to
 * it; FORBIDDEN, naming the token, where it does not take that. {@link retryAfter} says whether asking again may help.
 */
export async function callServer(server: RemoteServer, request: RemoteRequest): Promise<Response> {
  const { method, headers, body, signal, timeoutMs = answerMs } = request;
  const given = new AbortController();
  const timer = setTimeout(() => given.abort(late), timeoutMs);
  const signals = signal === undefined ? given.signal : AbortSignal.any([given.signal, signal]);
  const bearer = server.token === undefined ? {} : { authorization: `Bearer ${server.token}` };
  let response: Response;
  try {
    const init = {
      method,
      headers: { ...bearer, ...headers },
      body: body?.() ?? null,
      duplex: 'half',
      redirect: 'manual',
      signal: signals,
    };
    response = await fetch(addressOf(server, request), init as RequestInit);
  } catch (cause) {
    throw failed(server, cause, signal, timeoutMs);
  } finally {
    clearTimeout(timer);
  }
  if (response.ok) return response;
  throw await refused(server, response);
}

/** What went wrong while an answer was read. */
export function brokenOff(
  server: RemoteServer,
  cause: unknown,
  signal: AbortSignal | undefined,
): unknown {
  return isKeelsonError(cause) ? cause : failed(server, cause, signal, 0);
}

/** How long to wait before the same is asked again: 0 for no matter; undefined where that is of no use. */
export function retryAfter(error: unknown): number | undefined {
  if (!isKeelsonError(error)) return undefined;
  const { retryMs } = error.details;
  return typeof retryMs === 'number' ? retryMs : undefined;
}

const late = new Error('No answer in time.');

function addressOf({ url }: RemoteServer, { path, query = {} }: RemoteRequest): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const search = new URLSearchParams(
    given.map(([name, value]): [string, string] => [name, String(value)]),
  );
  return `${url}/api/v1${path}${search.size === 0 ? '' : `?${search}`}`;
}

function failed(
  server: RemoteServer,
  cause: unknown,
  signal: AbortSignal | undefined,
  timeoutMs: number,
): KeelsonError {
  if (signal?.aborted === true) {
    if (isKeelsonError(signal.reason)) return signal.reason as KeelsonError;
    return new KeelsonError('ABORTED', 'The call was aborted by its caller.', { cause });
  }
  // What fetch was given may have failed itself: the source of an upload.
  const inner = (cause as { cause?: unknown } | undefined)?.cause;
  for (const each of [cause, inner]) if (isKeelsonError(each)) return each as KeelsonError;
  const why =
    cause === late || inner === late
      ? `it did not answer within ${timeoutMs} ms`
      : reasonOf(inner ?? cause);
  return new KeelsonError('UNAVAILABLE', `The server at ${server.url} is not reached: ${why}.`, {
    cause,
    details: { url: server.url, retryMs: 0 },
  });
}

function reasonOf(cause: unknown): string {
  const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === 'string') return code;
  return typeof message === 'string' && message !== '' ? message : String(cause);
}

async function refused(server: RemoteServer, response: Response): Promise<KeelsonError> {
  const { status } = response;
  const problem = await problemOf(response);
  const { code, detail, details = {}, errors } = problem ?? {};
  if (status === 401) return notKnown(server, String(detail ?? `it answered ${status}`));
  const wait = waitOf(response, problem);
  const more = { ...details, httpStatus: status, ...(wait === undefined ? {} : { retryMs: wait }) };
  if (code === undefined) {
    const message = `${response.url} answered ${status}, and not as Keelson does${status < 400 ? ` (it leads to ${response.headers.get('location')}: give that address)` : ''}.`;
    return new KeelsonError(wait === undefined ? 'FAILED' : 'UNAVAILABLE', message, {
      details: more,
    });
  }
  // The server is closing, not what is open here.
  const told = code === 'CLOSED' ? 'UNAVAILABLE' : code;
  const problems = errors === undefined ? {} : { problems: errors };
  return new KeelsonError(told, String(detail), { details: { ...more, ...problems } });
}

function notKnown({ url, token }: RemoteServer, why: string): KeelsonError {
  const what =
    token === undefined
      ? 'asks for a token; pass openPlatform({ url, token }) or set KEELSON_TOKEN'
      : 'does not take the token that was given (openPlatform({ token }) or KEELSON_TOKEN): it is wrong, expired or revoked';
  return new KeelsonError('FORBIDDEN', `The server at ${url} ${what}. It says: ${why}`, {
    details: { url, httpStatus: 401 },
  });
}

interface Problem {
  readonly code: ErrorCode;
  readonly detail?: unknown;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly errors?: unknown;
}

async function problemOf(response: Response): Promise<Problem | undefined> {
  try {
    const problem = JSON.parse(await response.text()) as Problem;
    return errorCodes.includes(problem.code) ? problem : undefined;
  } catch {
    // What stands between has answered in its own way.
    return undefined;
  }
}

const gone: ReadonlySet<number> = new Set([408, 502, 503, 504]);

/** Of a limit only where it says when it ends: a quota that is full stays so. */
function waitOf({ status, headers }: Response, problem: Problem | undefined): number | undefined {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN);
  const said = Number.isFinite(seconds) ? seconds * 1000 : 0;
  if (gone.has(status)) return said;
  if (status === 429) {
    const { retryAfterMs } = problem?.details ?? {};
    if (typeof retryAfterMs === 'number') return retryAfterMs;
    return problem === undefined ? said : undefined;
  }
  return status >= 500 && (problem === undefined || problem.code === 'INTERNAL') ? said : undefined;
}
