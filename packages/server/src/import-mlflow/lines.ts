const longestLine = 64 * 1024;

/** The lines of a text, one at a time; one that is longer than 64 KiB is cut there. */
export async function* readLines(
  bytes: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of bytes) {
    signal.throwIfAborted();
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split('\n');
    rest = (lines.pop() ?? '').slice(0, longestLine);
    for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
  }
  rest += decoder.decode();
  if (rest !== '') yield rest;
}
