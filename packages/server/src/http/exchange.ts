/** Headers by lower-case name. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A request, as every face hands it to the core. */
export interface ServerRequest {
  readonly method: string;
  /** Path and query, below the handler's base path: begins with `/`. */
  readonly url: string;
  /** What was taken off before it, where the face knows: the prefix of a mount. */
  readonly basePath?: string;
  readonly headers: RequestHeaders;
  /** What the caller sends, once; bytes that are at hand already come in one piece. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
  /** True where `body` is JSON made anew of what a parser of the host has left, and so not the bytes that were sent. */
  readonly isReparsed?: boolean;
  /** Tells callers apart for limits: the remote address, or what a trusted proxy says of it. */
  readonly client?: string;
  /** How the caller came in, where that is known: what a trusted proxy says, else by the connection. */
  readonly scheme?: 'http' | 'https';
  /** The certificate that a client of `startServer` has proved itself with, where its `tls.ca` asks for one. */
  readonly certificate?: ClientCertificate;
  /** The request as the host has it: of `node:http` or Express, Fastify's, or the Web's. For a host's `auth`. */
  readonly raw?: unknown;
  /** What the host handed on beside a Web request: Hono's context, say. */
  readonly context?: unknown;
}

/** Whom a client's certificate names. */
export interface ClientCertificate {
  readonly commonName: string;
  /** Such as `DNS:trainer.internal, URI:spiffe://…`; empty where it has none. */
  readonly alternativeNames: string;
  /** SHA-256, in hexadecimal with colons. */
  readonly fingerprint: string;
}

/** An answer, as every face sends it. */
export interface ServerAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** A text stands for its UTF-8. What is streamed ends with its iteration; a fault in it breaks the connection off. */
  readonly body: string | Uint8Array | AsyncIterable<Uint8Array>;
}

/** Answers a request; never rejects. */
export type ServerHandle = (request: ServerRequest) => Promise<ServerAnswer>;

/** The one value of a header; the first where there are several. */
export function headerOf(headers: RequestHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.[0];
}

/** Path and query of a request, apart; the path still encoded. */
export function splitUrl(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const at = url.indexOf('?');
  return at < 0
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at + 1)) };
}

/** An answer in JSON. */
export function jsonAnswer(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): ServerAnswer {
  const body = JSON.stringify(value);
  return { status, headers: { 'content-type': 'application/json', ...headers }, body };
}

/** An answer in plain text. */
export function textAnswer(status: number, body: string): ServerAnswer {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body };
}
