import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { answerOf } from '../src/api/answer.ts';
import { eventRows } from '../src/api/rows/event-rows.ts';
import { guardConnections } from '../src/http/guard-connections.ts';
import { shareExampleBed } from './share-example-bed.ts';

const bed = shareExampleBed();
const path = '/api/v1/events/stream?type=invoice.paid';

interface Message {
  readonly id: string;
  readonly number: number;
}

/** A stream over a real connection; what is not read of it waits with its sender. */
class Stream {
  readonly #answer: IncomingMessage;
  #text = '';

  private constructor(answer: IncomingMessage) {
    this.#answer = answer;
    answer.setEncoding('utf8');
  }

  static async open(port: number, lastEventId?: string): Promise<Stream> {
    const headers = {
      authorization: `Bearer ${bed.token}`,
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    };
    const request = get({ host: '127.0.0.1', port, path, headers, highWaterMark: 1024 } as object);
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    const stream = new Stream(answer);
    onTestFinished(() => {
      answer.destroy();
    });
    await once(answer, 'readable');
    return stream;
  }

  /** Reads so many messages. */
  async read(count: number): Promise<readonly Message[]> {
    const messages: Message[] = [];
    while (messages.length < count) {
      const end = this.#text.indexOf('\n\n');
      if (end >= 0) {
        const block = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        const [, id] = /^id: (.*)$/m.exec(block) ?? [];
        const [, data] = /^data: (.*)$/m.exec(block) ?? [];
        if (id !== undefined && data !== undefined)
          messages.push({ id, number: JSON.parse(data).payload.number });
        continue;
      }
      const text = this.#answer.read() as string | null;
      if (text === null) await once(this.#answer, 'readable');
      else this.#text += text;
    }
    return messages;
  }

  /** Whether it was ended, and not broken off. */
  async ended(): Promise<boolean> {
    this.#answer.resume();
    await once(this.#answer, 'close');
    return this.#answer.complete;
  }

  leave(): void {
    this.#answer.destroy();
  }
}

async function serve({
  closing = new AbortController(),
  responses = [],
}: {
  readonly closing?: AbortController;
  readonly responses?: ServerResponse[];
} = {}): Promise<number> {
  const { listener } = bed.createHandler({ closing: closing.signal });
  const server = createServer((request, response) => {
    responses.push(response);
    listener(request, response);
  });
  guardConnections(server, { slowClientMs: 60_000 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const filling = 'x'.repeat(100_000);
let published = 0;

async function publish(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    await bed.platform.events.publish({
      ...{ type: 'invoice.paid', subject: 'invoice:1' },
      payload: { number: published, filling },
    });
    published += 1;
  }
}

const numbers = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from + i);

test('a reader that stands still loses nothing, and nothing is kept for it', async () => {
  const responses: ServerResponse[] = [];
  const stream = await Stream.open(await serve({ responses }));
  // 25 MB: more than the buffers of a connection take.
  await publish(250);
  const [response] = responses;
  await expect.poll(() => response?.writableNeedDrain).toBe(true);
  expect(response?.writableLength).toBeLessThan(1_000_000);
  const read = await stream.read(250);
  expect(read.map(({ number }) => number)).toEqual(numbers(0, 250));
}, 60_000);

test('whoever comes back with Last-Event-ID goes on after it, in order and without a gap', async () => {
  const port = await serve();
  const first = published;
  const stream = await Stream.open(port);
  await publish(5);
  const [, , third] = await stream.read(3);
  stream.leave();
  await publish(5);
  const again = await Stream.open(port, third?.id);
  expect((await again.read(7)).map(({ number }) => number)).toEqual(numbers(first + 3, 7));
  const answer = await bed.ask(path, { headers: { 'last-event-id': 'rubbish' } });
  expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('INVALID')]);
});

test('a server that closes ends its streams, instead of breaking them off', async () => {
  const closing = new AbortController();
  const stream = await Stream.open(await serve({ closing }));
  closing.abort();
  expect(await stream.ended()).toBe(true);
});

test('what cannot be streamed is refused, instead of being begun and broken off', async () => {
  const { id } = await bed.platform.pipelines.start('train');
  const logs = `/api/v1/pipelines/train/runs/${id}/logs?step=train&follow=true&attempt=0&item=0`;
  const answer = await bed.ask(logs);
  const { status, code } = (await answer.json()) as { status: number; code: string };
  expect([answer.status, status, code]).toEqual([404, 404, 'NOT_FOUND']);
  expect((await bed.ask(path, { method: 'HEAD' })).status).toBe(200);
});

test('where nothing happens, a comment says every 15 s that the stream lives', async () => {
  vi.useFakeTimers();
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
  const row = eventRows.stream as never;
  const request = { method: 'GET', headers: {} };
  const signal = new AbortController().signal;
  const answering = answerOf(row, { messages: silent }, request, signal);
  await vi.advanceTimersByTimeAsync(500);
  const { body } = await answering;
  const chunks = (body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  expect(Buffer.from((await chunks.next()).value as Uint8Array).toString()).toBe(': ready\n\n');
  for (let i = 0; i < 2; i += 1) {
    const next = chunks.next();
    await vi.advanceTimersByTimeAsync(14_999);
    await expect(Promise.race([next, 'nothing'])).resolves.toBe('nothing');
    await vi.advanceTimersByTimeAsync(1);
    expect(Buffer.from((await next).value as Uint8Array).toString()).toBe(': still here\n\n');
  }
});
