/** Headers by lower-case name. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A request, as every face hands it to the core. */
export interface HttpRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: RequestHeaders;
  readonly bytes: Uint8Array;
  /** Whether the caller has gone; asked before work is begun. */
  readonly isGone?: () => boolean;
  /** Tells callers apart for limits: the remote address, say. */
  readonly client?: string;
}

/** An answer, as every face sends it. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** A text stands for its UTF-8: node:http sends it in one piece with the headers, which bytes cost a third more. */
  readonly body: string | Uint8Array;
}

/** The one value of a header; the first where there are several. */
export function headerOf(headers: RequestHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.[0];
}
