import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What becomes of a request on its way. */
export type Fate =
  /** It arrives, and so does the answer. */
  | 'pass'
  /** It arrives; the connection is cut before the answer does. */
  | 'lose-answer'
  /** The connection is cut at once. */
  | 'cut'
  /** In the middle of the answer. */
  | 'cut-answer'
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> };

/** A proxy on loopback between clients and a server, which does with each request what it is told to. */
export class LineBetween implements AsyncDisposable {
  readonly url: string;
  /** What is asked of each request, by its path. */
  fate: (path: string) => Fate = () => 'pass';
  readonly #server: ReturnType<typeof createServer>;
  readonly #target: () => string;

  private constructor(server: ReturnType<typeof createServer>, target: () => string) {
    this.#server = server;
    this.#target = target;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async open(target: () => string): Promise<LineBetween> {
    let line: LineBetween | undefined;
    const server = createServer((asked, answer) => line?.carry(asked, answer));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    line = new LineBetween(server, target);
    return line;
  }

  carry(asked: IncomingMessage, answer: ServerResponse): void {
    const fate = this.fate(asked.url ?? '');
    if (fate === 'cut') {
      asked.socket.destroy();
      return;
    }
    if (typeof fate === 'object') {
      asked.resume();
      answer.writeHead(fate.status, fate.headers);
      answer.end('not today');
      return;
    }
    const on = request(`${this.#target()}${asked.url}`, {
      method: asked.method ?? 'GET',
      headers: asked.headers,
    });
    on.on('error', () => asked.socket.destroy());
    asked.on('error', () => on.destroy());
    asked.pipe(on);
    on.on('response', (came) => {
      if (fate === 'lose-answer') {
        came.resume();
        came.on('end', () => asked.socket.destroy());
        return;
      }
      answer.writeHead(came.statusCode ?? 500, came.headers);
      if (fate === 'pass') {
        came.pipe(answer);
        return;
      }
      let sent = 0;
      came.on('data', (piece: Buffer) => {
        answer.write(piece.subarray(0, Math.ceil(piece.length / 2)));
        sent += piece.length;
        if (sent > 0) asked.socket.destroy();
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
