import type { Socket } from 'node:net';

const headerBytes = 8;
const frameKind = 0;
const messageKind = 1;
/** Frames up to this size are copied behind their header: one write is cheaper than two. */
const copiedBytes = 65_536;

/** What comes over a {@link FrameSocket}. */
export interface FrameListener<M> {
  onFrame(frame: ArrayBuffer): void;
  onMessage(message: M): void;
  /** The other end is gone. Called once. */
  onEnd(): void;
}

/**
 * Frames and small messages over a socket between two processes, in order. Each is preceded by its length and kind, in
 * 32 bits; frames arrive in buffers of their own.
 */
export class FrameSocket<M> {
  readonly #socket: Socket;
  readonly #listener: FrameListener<M>;
  readonly #header = Buffer.alloc(headerBytes);
  #headerFilled = 0;
  #body: Buffer<ArrayBuffer> | undefined;
  #bodyFilled = 0;

  constructor(socket: Socket, listener: FrameListener<M>) {
    this.#socket = socket;
    this.#listener = listener;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // Whatever goes wrong, the other process is gone: `close` follows.
    socket.on('error', () => undefined);
    socket.once('close', () => listener.onEnd());
  }

  post(frame: ArrayBuffer): void {
    this.#write(frameKind, new Uint8Array(frame));
  }

  say(message: unknown): void {
    this.#write(messageKind, Buffer.from(JSON.stringify(message)));
  }

  /** Calls `then` when all is written. */
  end(then: () => void): void {
    this.#socket.end(then);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  #write(kind: number, body: Uint8Array): void {
    if (!this.#socket.writable) return;
    const isSmall = body.byteLength <= copiedBytes;
    const head = Buffer.allocUnsafe(headerBytes + (isSmall ? body.byteLength : 0));
    head.writeUInt32LE(body.byteLength, 0);
    head.writeUInt32LE(kind, 4);
    if (isSmall) head.set(body, headerBytes);
    this.#socket.write(head);
    if (!isSmall) this.#socket.write(body);
  }

  #read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.#body === undefined) {
        const taken = chunk.copy(this.#header, this.#headerFilled, at);
        this.#headerFilled += taken;
        at += taken;
        if (this.#headerFilled < headerBytes) return;
        this.#headerFilled = 0;
        this.#bodyFilled = 0;
        this.#body = Buffer.from(new ArrayBuffer(this.#header.readUInt32LE(0)));
      }
      const taken = chunk.copy(this.#body, this.#bodyFilled, at);
      this.#bodyFilled += taken;
      at += taken;
      if (this.#bodyFilled === this.#body.byteLength) this.#deliver(this.#body);
    }
  }

  #deliver(body: Buffer<ArrayBuffer>): void {
    this.#body = undefined;
    if (this.#header.readUInt32LE(4) === frameKind) this.#listener.onFrame(body.buffer);
    else this.#listener.onMessage(JSON.parse(body.toString()) as M);
  }
}
