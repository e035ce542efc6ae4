import { connect, type Socket } from 'node:net';

/** One kept connection that asks again as soon as it is answered; answers are told apart by Content-Length. */
export class HttpCaller {
  readonly #socket: Socket;
  readonly #request: Buffer;
  #text = '';
  #left = 0;
  #sentAt = 0;
  #tookMs: number[] | undefined;
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined;

  /** Posts a JSON text to a path of a server on this machine. */
  constructor(port: number, path: string, body: string) {
    const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    this.#request = Buffer.from(head + body);
    this.#socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('latin1');
    this.#socket.on('data', (chunk: string) => this.#read(chunk));
    this.#socket.on('error', (error) => this.#settle?.reject(error));
    this.#socket.on('close', () =>
      this.#settle?.reject(new Error('The server closed a connection.')),
    );
  }

  /** Asks `count` times, and adds what each took to `tookMs`; rejects at the first answer that is not 200. */
  run(count: number, tookMs?: number[]): Promise<void> {
    this.#left = count;
    this.#tookMs = tookMs;
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      if (this.#socket.destroyed) reject(new Error('The server closed a connection.'));
      else this.#send();
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(): void {
    this.#sentAt = performance.now();
    this.#socket.write(this.#request);
  }

  #read(chunk: string): void {
    this.#text += chunk;
    const end = this.#text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(this.#text)?.[1]);
    if (this.#text.length < end + 4 + length) return;
    if (!this.#text.startsWith('HTTP/1.1 200')) {
      this.#settle?.reject(new Error(this.#text));
      return;
    }
    this.#text = '';
    this.#tookMs?.push(performance.now() - this.#sentAt);
    this.#left -= 1;
    if (this.#left === 0) this.#settle?.resolve();
    else this.#send();
  }
}
