import { expect, test } from 'vitest';
import { verifiedStream } from './verified-stream.ts';

test('lets go also where letting go of its pieces fails', async () => {
  const aborter = new AbortController();
  async function* pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    try {
      yield new Uint8Array(3);
      yield new Uint8Array(3);
    } finally {
      // As a stream does that has ended with the same signal.
      await Promise.reject(aborter.signal.reason);
    }
  }
  const closed = Promise.withResolvers<string>();
  const stream = verifiedStream(pieces(), {
    signal: aborter.signal,
    close: async () => closed.resolve('closed'),
    fault: (error) => error,
  });
  const reader = stream.getReader();
  await reader.read();
  aborter.abort(new Error('enough'));
  await expect(reader.read()).rejects.toThrow('enough');
  expect(await closed.promise).toBe('closed');
});
