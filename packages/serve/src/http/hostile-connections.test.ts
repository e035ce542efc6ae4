import { Agent, createServer, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type InferenceServer, serve } from '../serve.ts';
import { ServingBed, until, weatherBody } from '../testing/serving-bed.ts';

const path = '/v2/models/weather/infer';
const body = weatherBody([[1, 1]], { id: 'one' });
let bed: ServingBed;
let server: InferenceServer;

beforeAll(async () => {
  bed = await ServingBed.open();
  await bed.addModel('a');
  bed.setRoute({ a: 100 });
  server = await serve(bed.source, { deployments: ['weather'], replicas: 1, slowClientMs: 900 });
});

afterAll(async () => {
  await server?.close();
  await bed?.[Symbol.asyncDispose]();
});

/** Everything that comes back until the server closes the connection. */
function talk(send: (socket: Socket) => void): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(server.port, '127.0.0.1', () => send(socket));
  let heard = '';
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    heard += text;
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => resolve(heard));
  return promise;
}

function post(content: string, ...headers: string[]): string {
  const told = headers.some((header) => /^(content-length|transfer-encoding)/.test(header))
    ? []
    : [`content-length: ${content.length}`];
  return [`POST ${path} HTTP/1.1`, 'host: x', ...told, ...headers, '', content].join('\r\n');
}

const statuses = (text: string): string[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status ?? '');

/** A byte now and then, until the other side has had enough. */
function drip(socket: Socket, begin: string, byte: string): void {
  socket.write(begin);
  const timer = setInterval(() => socket.write(byte), 30);
  socket.on('close', () => clearInterval(timer));
}

test('a caller that sends its headers byte by byte is cut off', async () => {
  const heard = await talk((socket) => drip(socket, `POST ${path} HTTP/1.1\r\nx-slow: `, 'a'));
  expect(heard).toMatch(
    /^HTTP\/1\.1 408 [\s\S]*\{"error":"The request did not arrive in time\."\}$/,
  );
});

test('so is one that sends its body byte by byte, or promises more than it sends', async () => {
  const slow = await talk((socket) => drip(socket, post('{', 'content-length: 5000'), ' '));
  expect(slow).toMatch(/^HTTP\/1\.1 408 /);
  const silent = await talk((socket) =>
    socket.write(post(body, `content-length: ${body.length + 10}`)),
  );
  expect(silent).toMatch(/^HTTP\/1\.1 408 /);
});

test('a flood of headers is refused', async () => {
  const flood = Array.from({ length: 3_000 }, (_, i) => `x-${i}: ${i}`);
  expect(await talk((socket) => socket.write(post(body, ...flood)))).toMatch(
    /^HTTP\/1\.1 431 [\s\S]*16 KiB/,
  );
  expect(await talk((socket) => socket.write(post(body, `x: ${'a'.repeat(20_000)}`)))).toMatch(
    /^HTTP\/1\.1 431 /,
  );
});

test('a caller that has said all and closed its half is answered; one that has not is refused', async () => {
  expect(statuses(await talk((socket) => socket.end(post(body))))).toEqual(['200']);
  expect(
    statuses(
      await talk((socket) => socket.end(post(body.slice(0, 20), `content-length: ${body.length}`))),
    ),
  ).toEqual(['400']);
});

test('requests in a row on one connection are answered in their order', async () => {
  const ids = ['a', 'b', 'c'];
  const requests = ids.map((id, i) =>
    post(
      weatherBody([[1, 1]], { id, parameters: { wait: 40 - 20 * i } }),
      ...(i === 2 ? ['connection: close'] : []),
    ),
  );
  const heard = await talk((socket) => socket.write(requests.join('')));
  expect([...heard.matchAll(/"id":"(.)"/g)].map(([, id]) => id)).toEqual(ids);
});

test('what is no request behind one gets no answer that could be taken for the one before', async () => {
  const slow = post(weatherBody([[1, 1]], { parameters: { wait: 200 } }));
  expect(statuses(await talk((socket) => socket.write(`${slow}NONSENSE\r\n\r\n`)))).toEqual([]);
  // A body that is longer than was said: its rest is no request.
  const heard = await talk((socket) =>
    socket.write(post(body, `content-length: ${body.length - 5}`)),
  );
  expect(statuses(heard).filter((status) => status !== '400')).toEqual([]);
});

test('chunks are put together; such as are none, or two lengths at once, are refused', async () => {
  const chunks = (text: string): string =>
    post(text, 'transfer-encoding: chunked', 'connection: close');
  const halves = [body.slice(0, 9), body.slice(9)];
  const sent = halves.map((half) => `${half.length.toString(16)}\r\n${half}\r\n`).join('');
  expect(statuses(await talk((socket) => socket.write(chunks(`${sent}0\r\n\r\n`))))).toEqual([
    '200',
  ]);
  expect(statuses(await talk((socket) => socket.write(chunks(`zz\r\n${body}`))))).toEqual(['400']);
  const both = post(
    `${sent}0\r\n\r\n`,
    'transfer-encoding: chunked',
    `content-length: ${body.length}`,
  );
  expect(statuses(await talk((socket) => socket.write(both)))).toEqual(['400']);
});

test('a caller that asks before it sends is told to, or refused before it has sent', async () => {
  const asking = (length: number): string =>
    post('', `content-length: ${length}`, 'expect: 100-continue', 'connection: close');
  const heard = await talk((socket) => {
    socket.write(asking(body.length));
    socket.once('data', () => socket.write(body));
  });
  expect(statuses(heard)).toEqual(['100', '200']);
  expect(statuses(await talk((socket) => socket.write(asking(100_000_000))))).toEqual(['413']);
});

// Several times: an answer that a reset overtakes is lost at times only.
test.each([1, 2, 3, 4, 5])('100 MB are not read, announced or not (%i)', async () => {
  const chunk = Buffer.alloc(1_000_000, 32);
  const pour = (socket: Socket, begin: string, frame: (chunk: Buffer) => Buffer): void => {
    socket.write(begin);
    const next = (): void => {
      if (socket.bytesWritten < 100_000_000 && !socket.destroyed) socket.write(frame(chunk), next);
    };
    next();
  };
  let written = 0;
  const announced = await talk((socket) => {
    pour(socket, post('', 'content-length: 100000000'), (bytes) => bytes);
    socket.on('close', () => {
      written = socket.bytesWritten;
    });
  });
  expect([statuses(announced), written < 60_000_000]).toEqual([['413'], true]);
  const framed = Buffer.concat([
    Buffer.from(`${chunk.length.toString(16)}\r\n`),
    chunk,
    Buffer.from('\r\n'),
  ]);
  const streamed = await talk((socket) =>
    pour(socket, post('', 'transfer-encoding: chunked'), () => framed),
  );
  expect(statuses(streamed)).toEqual(['413']);
});

test('no connection of all those is left', async () => {
  const open = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  const half = connect(server.port, '127.0.0.1', () => half.write('POST '));
  const closed = new Promise((resolve) => half.on('close', resolve));
  half.resume();
  await closed;
  await until('all connections to be gone', () => open() === 0);
  expect(await talk((socket) => socket.write(post(body, 'connection: close')))).toMatch(
    /^HTTP\/1\.1 200 /,
  );
});

test('a caller that waits for less long than the server is answered by then', async () => {
  const ask = async (
    parameters: object,
    headers: Record<string, string> = {},
  ): Promise<[number, string]> => {
    const answer = await fetch(server.url + path, {
      method: 'POST',
      headers,
      body: weatherBody([[1, 1]], { parameters }),
    });
    return [answer.status, await answer.text()];
  };
  const header = 'x-envoy-expected-rq-timeout-ms';
  expect(await ask({ wait: 5_000 }, { [header]: '60' })).toEqual([
    504,
    expect.stringContaining('within'),
  ]);
  expect(await ask({ wait: 5_000, timeout: 60_000 })).toEqual([
    504,
    expect.stringContaining('within'),
  ]);
  // The shortest counts, and 0 is no limit.
  expect(await ask({ wait: 5_000, timeout: 60_000 }, { [header]: '4000' })).toEqual([
    504,
    expect.anything(),
  ]);
  expect((await ask({ timeout: 0 }, { [header]: '0' }))[0]).toBe(200);
  expect(await ask({}, { [header]: '1s' })).toEqual([
    400,
    expect.stringContaining(`header ${header}: expected a number of milliseconds`),
  ]);
  expect(await ask({ timeout: 'soon' })).toEqual([
    400,
    expect.stringContaining('parameters.timeout: expected a number of microseconds'),
  ]);
});

test('what was sent is not sent back at length', async () => {
  for (const name of ['at', 'timeout']) {
    const sent = weatherBody([[1, 1]], { parameters: { [name]: 'x'.repeat(70_000) } });
    const answer = await fetch(server.url + path, { method: 'POST', body: sent });
    const { error } = (await answer.json()) as { error: string };
    expect([answer.status, error.length < 200, error]).toEqual([
      400,
      true,
      expect.stringContaining(`parameters.${name}`),
    ]);
  }
});

test("a deployment's own time goes before the server's", async () => {
  bed.setRoute({ a: 100 }, {}, 'hasty', { serving: { timeoutMs: 60 } });
  await using hasty = await serve(bed.source, { deployments: ['hasty'], replicas: 1 });
  const slow = weatherBody([[1, 1]], { parameters: { wait: 5_000 } });
  const answer = await fetch(`${hasty.url}/v2/models/hasty/infer`, { method: 'POST', body: slow });
  expect([answer.status, await answer.json()]).toEqual([
    504,
    { error: expect.stringContaining('within') },
  ]);
});

test('no more predictions at a time than is said; the others are sent away', async () => {
  await using limited = await serve(bed.source, {
    deployments: ['weather'],
    replicas: 2,
    maxConcurrent: 2,
  });
  const slow = weatherBody([[1, 1]], { parameters: { wait: 300 } });
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => fetch(limited.url + path, { method: 'POST', body: slow })),
  );
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 503, 503, 503, 503]);
  const refused = answers.find(({ status }) => status === 503);
  expect([refused?.headers.get('retry-after'), await refused?.json()]).toEqual([
    '1',
    { error: 'The server is overloaded: 2 requests are being answered.' },
  ]);
  expect((await fetch(`${limited.url}/v2/health/ready`)).status).toBe(200);
  await expect(serve(bed.source, { deployments: ['weather'], maxConcurrent: 0 })).rejects.toThrow(
    'maxConcurrent',
  );
  await expect(serve(bed.source, { deployments: ['weather'], slowClientMs: 0 })).rejects.toThrow(
    'slowClientMs',
  );
});

test('closing under load resets no connection that a caller uses again', async () => {
  const closing = await serve(bed.source, {
    deployments: ['weather'],
    replicas: 1,
    lameDuckMs: 400,
  });
  const agent = new Agent({ keepAlive: true });
  const outcomes = { answered: 0, told: 0, reset: 0, other: new Set<number>() };
  const ask = (): Promise<boolean> => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const asked = request(`${closing.url}${path}`, { method: 'POST', agent }, (answer) => {
      answer.resume();
      if (answer.statusCode === 200) outcomes.answered += 1;
      else outcomes.other.add(answer.statusCode ?? 0);
      if (answer.headers.connection === 'close') outcomes.told += 1;
      answer.on('end', () => resolve(true));
      answer.on('error', () => resolve(false));
    });
    asked.on('error', () => {
      // A new connection may come too late; one that was used before must not be cut.
      if (asked.reusedSocket) outcomes.reset += 1;
      resolve(false);
    });
    asked.end(body);
    return promise;
  };
  const callers = Array.from({ length: 12 }, async () => {
    while (await ask());
  });
  await until('load', () => outcomes.answered > 200);
  const ready = async (): Promise<number> => (await fetch(`${closing.url}/v2/health/ready`)).status;
  const closed = closing.close();
  expect(await ready()).toBe(503);
  await closed;
  await Promise.all(callers);
  agent.destroy();
  expect({ reset: outcomes.reset, other: [...outcomes.other] }).toEqual({ reset: 0, other: [] });
  expect(outcomes.told).toBeGreaterThanOrEqual(12);
});

test('a body that a framework has read before is taken from there, or the remedy is named', async () => {
  const bodies: Record<string, (text: string) => unknown> = {
    bytes: (text) => Buffer.from(text),
    text: (text) => text,
    parsed: (text) => JSON.parse(text),
    lost: () => undefined,
  };
  const service = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const of = bodies[String(request.headers['x-body'])];
      Object.assign(request, { body: of?.(Buffer.concat(parts).toString()) });
      // As after a parser: the stream has ended by the time that serving is asked.
      setImmediate(() => server.listener(request, response));
    });
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}${path}`;
    const ask = async (kind: string): Promise<[number, string]> => {
      const answer = await fetch(url, { method: 'POST', body, headers: { 'x-body': kind } });
      return [answer.status, await answer.text()];
    };
    expect(await ask('bytes')).toEqual([200, expect.stringContaining('"id":"one"')]);
    expect(await ask('text')).toEqual([200, expect.stringContaining('"id":"one"')]);
    expect(await ask('parsed')).toEqual([
      500,
      expect.stringContaining('before parsers of bodies such as express.json()'),
    ]);
    expect(await ask('lost')).toEqual([400, expect.stringContaining('an empty body')]);
  } finally {
    service.close();
    service.closeAllConnections();
  }
});
