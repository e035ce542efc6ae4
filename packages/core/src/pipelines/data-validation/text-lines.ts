/** Lines of a text, in order; `null` stands for one that was too long to be kept. */
export type Lines = readonly (string | null)[];

/**
 * The lines of UTF-8 bytes, in batches, without their ends (LF or CRLF) and without a byte order mark. However long a
 * line is, no more than `maxLength` characters of it are in memory.
 */
export async function* textLines(
  bytes: AsyncIterable<Uint8Array>,
  maxLength: number,
): AsyncGenerator<Lines, void, undefined> {
  const decoder = new TextDecoder();
  let begun: string[] = [];
  let length = 0;

  function add(text: string): void {
    length += text.length;
    if (length > maxLength) begun = [];
    else if (text !== '') begun.push(text);
  }

  function taken(): string | null {
    const line = length > maxLength ? null : begun.join('');
    begun = [];
    length = 0;
    return line?.endsWith('\r') ? line.slice(0, -1) : line;
  }

  function* batch(text: string): Generator<string | null, void, undefined> {
    let from = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', from)) {
      add(text.slice(from, end));
      yield taken();
      from = end + 1;
    }
    add(text.slice(from));
  }

  for await (const part of bytes) {
    const lines = [...batch(decoder.decode(part, { stream: true }))];
    if (lines.length > 0) yield lines;
  }
  const last = [...batch(decoder.decode()), ...(length === 0 ? [] : [taken()])];
  if (last.length > 0) yield last;
}
