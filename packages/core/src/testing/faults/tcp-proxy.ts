import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A way to a server that can be cut, held up and closed: what is on its way is lost, and nobody is told why. */
export class TcpProxy implements AsyncDisposable {
  /** The address given, with the proxy's host and port. */
  readonly url: string;
  readonly #server: Server;
  readonly #pairs: Set<readonly [Socket, Socket]>;
  readonly #gate: { open: boolean; held: boolean };

  private constructor(
    url: string,
    server: Server,
    pairs: Set<readonly [Socket, Socket]>,
    gate: { open: boolean; held: boolean },
  ) {
    this.url = url;
    this.#server = server;
    this.#pairs = pairs;
    this.#gate = gate;
  }

  /** Listens on a port of the loopback; `target` is a URL with a host and a port. */
  static async open(target: string): Promise<TcpProxy> {
    const to = new URL(target);
    if (to.port === '') throw new TypeError(`A target needs a port: ${to.protocol}//${to.host}.`);
    const pairs = new Set<readonly [Socket, Socket]>();
    const gate = { open: true, held: false };
    const server = createServer((near) => {
      near.on('error', () => undefined);
      if (!gate.open) {
        near.destroy();
        return;
      }
      const far = connect(Number(to.port), to.hostname);
      const pair = [near, far] as const;
      pairs.add(pair);
      far.on('error', () => undefined);
      for (const socket of pair) {
        socket.on('close', () => {
          pairs.delete(pair);
          near.destroy();
          far.destroy();
        });
      }
      if (!gate.held) join(pair);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = new URL(target);
    url.hostname = '127.0.0.1';
    url.port = String((server.address() as AddressInfo).port);
    return new TcpProxy(url.href, server, pairs, gate);
  }

  /** Cuts every connection; new ones may be made. */
  cut(): void {
    for (const [near, far] of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  /** Cuts every connection and refuses new ones, until `back`. */
  away(): void {
    this.#gate.open = false;
    this.cut();
  }

  /** Connections stay, nothing passes in either direction: half-open, as behind a dead router; until `back`. */
  hold(): void {
    this.#gate.held = true;
    for (const [near, far] of this.#pairs) {
      near.unpipe(far).pause();
      far.unpipe(near).pause();
    }
  }

  /** Connections that are held up stay so for ever; new ones pass. */
  forget(): void {
    this.#gate.held = false;
  }

  /** All as it was; what was held up passes. */
  back(): void {
    this.#gate.open = true;
    if (!this.#gate.held) return;
    this.#gate.held = false;
    for (const pair of this.#pairs) join(pair);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function join([near, far]: readonly [Socket, Socket]): void {
  near.pipe(far);
  far.pipe(near);
}
