/** What several streams give, as it comes; the index says whose it is. Ends the others when one throws. */
export async function* mergeStreams<T>(
  streams: readonly AsyncIterable<T>[],
): AsyncGenerator<{ readonly index: number; readonly value: T }, void, undefined> {
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]());
  const next = async (index: number) => ({ index, result: await iterators[index]?.next() });
  const waiting = new Map(iterators.map((_, index) => [index, next(index)]));
  try {
    while (waiting.size > 0) {
      const { index, result } = await Promise.race(waiting.values());
      if (result === undefined || result.done === true) {
        waiting.delete(index);
        continue;
      }
      yield { index, value: result.value };
      waiting.set(index, next(index));
    }
  } finally {
    for (const left of waiting.values()) left.catch(() => undefined);
    for (const index of waiting.keys()) iterators[index]?.return?.().catch(() => undefined);
  }
}
