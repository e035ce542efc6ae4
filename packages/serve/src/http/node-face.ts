import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { refusal } from '../protocol/refusal.ts';
import type { HttpAnswer, HttpRequest } from './exchange.ts';
import { endWithoutReset } from './guard-connections.ts';
import type { InferenceApi } from './inference-api.ts';
import { bodyTooLarge } from './request-body.ts';

/** Limits of a face. */
export interface NodeFaceOptions {
  readonly maxBodyBytes: number;
  /** Whether connections should end after their answer. */
  readonly isDraining: () => boolean;
}

/**
 * The node:http face of the inference API: a request listener. A body over the limit is refused with 413 as soon
 * as that is known, without reading the rest.
 */
export function nodeListener(api: InferenceApi, options: NodeFaceOptions): RequestListener {
  return (request, response) => {
    const exchange = new Exchange(request, response, api, options);
    exchange.begin();
  };
}

/** One request and its answer. */
class Exchange {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #api: InferenceApi;
  readonly #options: NodeFaceOptions;
  #gone = false;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    api: InferenceApi,
    options: NodeFaceOptions,
  ) {
    this.#request = request;
    this.#response = response;
    this.#api = api;
    this.#options = options;
  }

  begin(): void {
    this.#response.on('close', () => {
      this.#gone = !this.#response.writableFinished;
    });
    // A parser of a framework was faster: what it has read does not come again.
    if (this.#request.readableEnded) void this.#answerParsed();
    else if (Number(this.#request.headers['content-length'] ?? 0) > this.#options.maxBodyBytes)
      this.#tooLarge();
    else this.#read();
  }

  #read(): void {
    let first: Buffer | undefined;
    let rest: Buffer[] | undefined;
    let size = 0;
    this.#request.on('data', (chunk: Buffer) => {
      size += chunk.byteLength;
      if (size > this.#options.maxBodyBytes) {
        this.#request.removeAllListeners('data');
        this.#request.removeAllListeners('end');
        this.#tooLarge();
      } else if (first === undefined) {
        first = chunk;
      } else {
        rest ??= [first];
        rest.push(chunk);
      }
    });
    this.#request.on('end', () => {
      void this.#answer(rest === undefined ? (first ?? nothing) : Buffer.concat(rest, size));
    });
    // A caller that breaks off mid-body: there is nobody to answer, 'close' has said so.
    this.#request.on('error', () => {
      this.#gone = true;
    });
  }

  async #answer(bytes: Uint8Array): Promise<void> {
    // `handle` never rejects.
    this.#send(await this.#api.handle({ ...this.#facts(), bytes }));
  }

  async #answerParsed(): Promise<void> {
    const { body } = this.#request as { readonly body?: unknown };
    if (body === undefined) return this.#answer(nothing);
    if (typeof body === 'string' || body instanceof Uint8Array)
      return this.#answer(Buffer.from(body));
    const message =
      'The body was parsed before serving got it; mount serving before parsers of bodies such as express.json().';
    this.#send(this.#api.refuse(refusal(500, 'UNSUPPORTED', message), this.#facts()));
  }

  #facts(): Omit<HttpRequest, 'bytes'> {
    const { method = 'GET', url = '/', headers, socket } = this.#request;
    return { method, url, headers, isGone: () => this.#gone, client: socket.remoteAddress ?? '' };
  }

  #tooLarge(): void {
    // The rest of the body is not read, so the connection cannot be used again.
    this.#response.shouldKeepAlive = false;
    endWithoutReset(this.#request.socket);
    this.#send(this.#api.refuse(bodyTooLarge(this.#options.maxBodyBytes), this.#facts()));
    this.#request.resume();
  }

  #send(answer: HttpAnswer): void {
    if (this.#gone) return;
    if (this.#options.isDraining()) this.#response.shouldKeepAlive = false;
    this.#response.writeHead(answer.status, answer.headers);
    const { body } = answer;
    // An ASCII text is the same in both encodings, and the narrow one is cheaper to write.
    if (typeof body === 'string' && Number(answer.headers['content-length']) === body.length) {
      this.#response.end(body, 'latin1');
    } else {
      this.#response.end(body);
    }
  }
}

const nothing: Buffer = Buffer.alloc(0);
