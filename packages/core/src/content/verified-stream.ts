import {
  type ReadableByteStreamController,
  ReadableStream,
  type UnderlyingByteSource,
} from 'node:stream/web';

/** What a {@link verifiedStream} needs beside its pieces. */
export interface VerifiedStreamParts {
  readonly signal: AbortSignal;
  /** Called once, when nothing reads any more. */
  close(): Promise<void>;
  /** Takes back the memory of a piece that was copied out. */
  giveBack?(piece: Uint8Array<ArrayBuffer>): void;
  /** What the consumer is told of a fault. */
  fault(error: unknown): unknown;
}

/**
 * A byte stream of `pieces`, read only as the consumer asks. It fails with the reason of `signal` as
 * soon as that is aborted; `close` is called once, when nothing reads any more. A consumer with buffers
 * of its own (`getReader({ mode: 'byob' })`) needs no more memory than those.
 */
export function verifiedStream(
  pieces: AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined>,
  parts: VerifiedStreamParts,
): globalThis.ReadableStream<Uint8Array> {
  const { signal } = parts;
  let over = false;
  let rest: Uint8Array<ArrayBuffer> | undefined;
  let stop: () => void = () => undefined;

  async function finish(): Promise<void> {
    if (over) return;
    over = true;
    signal.removeEventListener('abort', stop);
    // Waits for a read that is going on: the file must not be closed under it.
    try {
      await pieces.return();
    } finally {
      // Also where the pieces come from a stream that ended with the same signal, and say so.
      await parts.close();
    }
  }

  function handOver(
    controller: ReadableByteStreamController,
    piece: Uint8Array<ArrayBuffer>,
  ): void {
    const view = controller.byobRequest?.view;
    if (view === undefined || view === null) {
      rest = undefined;
      controller.enqueue(piece);
      return;
    }
    const length = Math.min(view.byteLength, piece.length);
    new Uint8Array(view.buffer, view.byteOffset, length).set(piece.subarray(0, length));
    rest = length < piece.length ? piece.subarray(length) : undefined;
    if (rest === undefined) parts.giveBack?.(piece);
    controller.byobRequest?.respond(length);
  }

  const source: UnderlyingByteSource = {
    type: 'bytes',
    start(controller) {
      stop = () => {
        controller.error(signal.reason);
        // Nobody waits for this; what closing a file that was only read says is of no use to anyone.
        finish().catch(() => undefined);
      };
      signal.addEventListener('abort', stop, { once: true });
    },
    async pull(controller) {
      try {
        const step =
          rest === undefined ? await pieces.next() : { done: false as const, value: rest };
        if (over) return;
        if (step.done !== true) {
          handOver(controller, step.value);
          return;
        }
        await finish();
        controller.close();
        controller.byobRequest?.respond(0);
      } catch (error) {
        if (over) return;
        await finish();
        throw parts.fault(error);
      }
    },
    cancel: finish,
  };
  // The global one and Node's are the same class, whatever the types of a browser say of it.
  return new ReadableStream(source) as globalThis.ReadableStream<Uint8Array>;
}
