import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** A request that came to a stand-in. */
export interface SeenRequest {
  readonly line: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Answers a request; what it returns is sent as JSON with 200, a text as it is. Undefined: it has answered itself. */
export type Answering = (
  request: SeenRequest,
  response: ServerResponse,
) => unknown | Promise<unknown>;

/** A server on this machine that answers as a test says, and can go away and come back on its port. */
export class StandInServer implements AsyncDisposable {
  answering: Answering;
  readonly seen: SeenRequest[] = [];
  /** Connections that were made so far. */
  connections = 0;
  /** Requests that their caller gave up. */
  givenUp = 0;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  private constructor(answering: Answering) {
    this.answering = answering;
  }

  static async start(answering: Answering): Promise<StandInServer> {
    const server = new StandInServer(answering);
    await server.up();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  async up(): Promise<void> {
    const server = createServer((request, response) => void this.#handle(request, response));
    server.on('connection', (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** As a SIGKILL would: no answer, no new connection. */
  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(server, 'close');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const { method, url, headers } = request;
    const seen = { line: `${method} ${url}`, headers, body };
    this.seen.push(seen);
    response.on('close', () => {
      if (!response.writableFinished) this.givenUp += 1;
    });
    const value = await this.answering(seen, response);
    if (value === undefined || response.headersSent) return;
    response.setHeader('content-type', 'application/json');
    response.end(typeof value === 'string' ? value : JSON.stringify(value));
  }
}
