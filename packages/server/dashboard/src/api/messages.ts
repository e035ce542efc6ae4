import { addressOf, Refusal, refusalOf } from './client.ts';
import { decode } from './wire.ts';

/** One message of a stream of server-sent events. */
export interface Message {
  readonly id?: string;
  readonly data: string;
}

/** The messages of a stream of server-sent events (HTML, 9.2.6). */
export async function* messages(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<Message, void, undefined> {
  const reader = body
    .pipeThrough(new TextDecoderStream() as never)
    .getReader() as ReadableStreamDefaultReader<string>;
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = block.split(/\r?\n/).map((line) => /^([^:]+): ?(.*)$/.exec(line) ?? []);
      const data = fields.filter(([, name]) => name === 'data').map(([, , text]) => text);
      const id = fields.findLast(([, name]) => name === 'id')?.[2];
      if (data.length > 0) yield { data: data.join('\n'), ...(id === undefined ? {} : { id }) };
    }
  }
}

/** The messages that a row of the control plane streams, until it or the signal ends. Rejects with a {@link Refusal}. */
export async function* followRow<T>(
  name: string,
  input: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  let response: Response;
  try {
    response = await fetch(addressOf(name, input), { signal, credentials: 'same-origin' });
  } catch (error) {
    if (signal.aborted) return;
    throw new Refusal(0, 'UNAVAILABLE', `The server does not answer: ${String(error)}`);
  }
  if (!response.ok) throw await refusalOf(response);
  if (response.body === null) return;
  for await (const { data } of messages(response.body)) yield decode(data) as T;
}
