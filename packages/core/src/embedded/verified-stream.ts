import { ReadableStream, type UnderlyingByteSource } from 'node:stream/web';
import { fromFileError } from './file-fault.ts';

/**
 * A byte stream of chunks, read only as the consumer asks. It fails with the reason of `signal` as soon
 * as that is aborted; `path` is what errors name; `close` is called once, when nothing reads any more.
 */
export function verifiedStream(
  chunks: AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined>,
  signal: AbortSignal,
  path: string,
  close: () => Promise<void>,
): ReadableStream<Uint8Array> {
  let over = false;

  async function finish(): Promise<void> {
    if (over) return;
    over = true;
    signal.removeEventListener('abort', stop);
    // Waits for a read that is going on: the file must not be closed under it.
    await chunks.return();
    await close();
  }

  let stop: () => void = () => undefined;
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
        const step = await chunks.next();
        if (over) return;
        if (step.done !== true) {
          controller.enqueue(step.value);
          return;
        }
        await finish();
        controller.close();
        controller.byobRequest?.respond(0);
      } catch (error) {
        if (over) return;
        await finish();
        throw fromFileError(error, 'reading an artifact', path);
      }
    },
    cancel: finish,
  };
  return new ReadableStream(source);
}
