import { once } from 'node:events';
import {
  type ClientRequest,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** What a proxy does to one request instead of passing it on as it is. */
export type Fault =
  /** Answers by itself. */
  | { readonly answer: number; readonly code: string }
  /** Passes it on so much later. */
  | { readonly delayMs: number }
  /** Ends the connection when so many bytes of the answer's body have gone through. */
  | { readonly cutAnswerAt: number }
  /** Ends the connection when so many bytes of the request's body have come. */
  | { readonly cutRequestAt: number }
  /** Changes that byte of the request's body. */
  | { readonly changeRequestAt: number }
  /** Reads the request, and says nothing for ever. */
  | { readonly silent: true };

/** Which fault meets a request; undefined passes it on. */
export type Faults = (request: {
  readonly method: string;
  readonly url: string;
  readonly number: number;
  readonly headers: IncomingHttpHeaders;
}) => Fault | undefined;

/** An HTTP proxy in front of a server on this machine, which does harm on demand. */
export class FaultProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #target: URL;
  /** Set it at any time; requests are numbered from 1 since it was set last. */
  #faults: Faults = () => undefined;
  #number = 0;
  /** Requests that came, as `PUT /bucket/key?…`. */
  readonly requests: string[] = [];
  /** The same, with their headers. */
  readonly headers: { readonly line: string; readonly headers: IncomingHttpHeaders }[] = [];

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((asked, answer) => this.#handle(asked, answer));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get faults(): Faults {
    return this.#faults;
  }

  set faults(faults: Faults) {
    this.#faults = faults;
    this.#number = 0;
    this.requests.length = 0;
    this.headers.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #handle(asked: IncomingMessage, answer: ServerResponse): void {
    const { method = 'GET', url = '/' } = asked;
    this.#number += 1;
    this.requests.push(`${method} ${url}`);
    const { headers } = asked;
    this.headers.push({ line: `${method} ${url}`, headers });
    const fault = this.#faults({ method, url, number: this.#number, headers });
    if (fault === undefined) this.#pass(asked, answer, {});
    else if ('silent' in fault) asked.resume();
    else if ('answer' in fault) answerWith(asked, answer, fault.answer, fault.code);
    else if ('delayMs' in fault) {
      asked.pause();
      setTimeout(() => this.#pass(asked, answer, {}), fault.delayMs);
    } else this.#pass(asked, answer, fault);
  }

  #pass(
    asked: IncomingMessage,
    answer: ServerResponse,
    harm: {
      readonly cutRequestAt?: number;
      readonly cutAnswerAt?: number;
      readonly changeRequestAt?: number;
    },
  ): void {
    const { cutRequestAt, cutAnswerAt, changeRequestAt = -1 } = harm;
    const passed: ClientRequest = request(
      {
        host: this.#target.hostname,
        port: this.#target.port,
        path: asked.url ?? '/',
        method: asked.method ?? 'GET',
        headers: asked.headers,
      },
      (response) => {
        answer.writeHead(response.statusCode ?? 502, response.headers);
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (cutAnswerAt === undefined || bytes < cutAnswerAt) return void answer.write(chunk);
          answer.write(chunk.subarray(0, chunk.length - (bytes - cutAnswerAt)), () =>
            asked.socket.destroy(),
          );
          response.destroy();
        });
        response.on('end', () => answer.end());
        response.on('error', () => asked.socket.destroy());
      },
    );
    passed.on('error', () => asked.socket.destroy());
    let bytes = 0;
    asked.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (cutRequestAt !== undefined && bytes >= cutRequestAt) {
        asked.socket.destroy();
        passed.destroy();
        return;
      }
      const at = changeRequestAt - (bytes - chunk.length);
      if (at >= 0 && at < chunk.length) chunk[at] = (chunk[at] ?? 0) ^ 1;
      passed.write(chunk);
    });
    asked.on('end', () => passed.end());
    asked.on('error', () => passed.destroy());
    asked.socket.on('close', () => passed.destroy());
    asked.resume();
  }
}

function answerWith(
  asked: IncomingMessage,
  answer: ServerResponse,
  status: number,
  code: string,
): void {
  asked.resume();
  answer.writeHead(status, { 'content-type': 'application/xml' });
  answer.end(`<Error><Code>${code}</Code><Message>says the test</Message></Error>`);
}
