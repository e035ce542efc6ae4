import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { pathToFileURL } from 'node:url';
import type { Figures, ServerName } from './serving-child.ts';

/** One figure, with what it is compared to in the same run. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: { readonly name: string; readonly value: number };
  /** Smallest and largest ratio to the baseline, round by round. */
  readonly spread?: readonly [number, number];
}

const rounds = 7;
const requestsPerRound = 4000;
const connections = 10;
/** The larger a path, the longer the compiler takes to come to rest: measured before, it would be compared unfairly. */
const warmUpRequests = 60_000;

/** One kept connection that asks again as soon as it is answered; answers are told apart by Content-Length. */
class Caller {
  readonly #socket: Socket;
  readonly #request: Buffer;
  #text = '';
  #left = 0;
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(port: number, path: string, body: string) {
    const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    this.#request = Buffer.from(head + body);
    this.#socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('latin1');
    this.#socket.on('data', (chunk: string) => this.#read(chunk));
    this.#socket.on('error', (error) => this.#settle?.reject(error));
    this.#socket.on('close', () =>
      this.#settle?.reject(new Error('The server closed a connection.')),
    );
  }

  /** Asks `count` times; rejects at the first answer that is not 200. */
  run(count: number): Promise<void> {
    this.#left = count;
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(this.#request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: string): void {
    this.#text += chunk;
    const end = this.#text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(this.#text)?.[1]);
    if (this.#text.length < end + 4 + length) return;
    if (!this.#text.startsWith('HTTP/1.1 200')) {
      this.#settle?.reject(new Error(this.#text));
      return;
    }
    this.#text = '';
    this.#left -= 1;
    if (this.#left === 0) this.#settle?.resolve();
    else this.#socket.write(this.#request);
  }
}

const names: readonly ServerName[] = ['echo', 'thread', 'none'];

/** A process with one server. */
class ServerProcess {
  readonly name: ServerName;
  readonly #child: ChildProcess;

  constructor(name: ServerName) {
    this.name = name;
    this.#child = fork(new URL('./serving-child.ts', import.meta.url), [name], {
      execArgv: [...process.execArgv, '--conditions=keelson:source'],
      serialization: 'advanced',
    });
  }

  async ask<T>(question: object): Promise<T> {
    this.#child.send(question);
    const [answer] = (await once(this.#child, 'message')) as [T];
    return answer;
  }

  async close(): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function bodyOf(width: number): string {
  const data = Array.from({ length: width }, (_, i) => Math.sin(i + 1));
  return JSON.stringify({ inputs: [{ name: 'x', shape: [1, width], datatype: 'FP64', data }] });
}

/** CPU of each server's process for a request, all sides interleaved round by round. */
async function comparePaths(servers: readonly ServerProcess[], width: number): Promise<Row[]> {
  const path = `/v2/models/width-${width}/infer`;
  const body = bodyOf(width);
  const sides = await Promise.all(
    servers.map(async (server) => {
      const port = await server.ask<number>({ ask: 'port' });
      const callers = Array.from({ length: connections }, () => new Caller(port, path, body));
      return { server, callers, cpuMicros: [] as number[] };
    }),
  );
  const load = (callers: readonly Caller[], requests: number): Promise<unknown> =>
    Promise.all(callers.map((caller) => caller.run(requests / connections)));
  for (const { callers } of sides) {
    await load(callers, width > 100 ? warmUpRequests / 4 : warmUpRequests);
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const { server, callers, cpuMicros } of sides) {
      const before = await server.ask<number>({ ask: 'cpu' });
      await load(callers, requestsPerRound);
      cpuMicros.push(((await server.ask<number>({ ask: 'cpu' })) - before) / requestsPerRound);
    }
  }
  for (const { callers } of sides) for (const caller of callers) caller.close();
  const echo = sides.find(({ server }) => server.name === 'echo')?.cpuMicros ?? [];
  return sides
    .filter(({ server }) => server.name !== 'echo')
    .map(({ server, cpuMicros }) => {
      const ratios = cpuMicros.map((micros, i) => micros / (echo[i] ?? Number.NaN));
      const where = server.name === 'thread' ? 'worker-thread replica' : 'in-process replica';
      return {
        name: `serving: CPU of the full path, ${body.length} B body, ${where}`,
        value: median(cpuMicros),
        unit: 'µs/request',
        baseline: { name: 'bare node:http JSON echo of the same body', value: median(echo) },
        spread: [Math.min(...ratios), Math.max(...ratios)],
      };
    });
}

/** Figures of serving: the full path beside a bare echo, replicas beside a call in process, codec, routing. */
export async function benchServing(): Promise<Row[]> {
  const servers = names.map((name) => new ServerProcess(name));
  try {
    const rows: Row[] = [];
    for (const width of [4, 480]) rows.push(...(await comparePaths(servers, width)));
    const figures = await (servers[0] as ServerProcess).ask<Figures>({ ask: 'figures' });
    return [
      ...rows,
      {
        name: 'serving: p50 of a worker-thread replica',
        value: figures.threadMicros,
        unit: 'µs',
        baseline: { name: 'the same call in process', value: figures.inlineMicros },
      },
      {
        name: 'serving: decoding 1,024 floats as a binary tensor',
        value: figures.binaryMicros,
        unit: 'µs',
        baseline: { name: 'as JSON', value: figures.jsonMicros },
      },
      {
        name: 'serving: routing decision (weights, sticky key, rule)',
        value: figures.pickMicros,
        unit: 'µs',
      },
      {
        name: 'serving: event loop delay p99 while inferences of 200 ms run',
        value: figures.loopDelayMs,
        unit: 'ms',
      },
    ];
  } finally {
    await Promise.all(servers.map((server) => server.close()));
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { name, value, unit, baseline, spread } of await benchServing()) {
    const beside =
      baseline === undefined
        ? ''
        : `  (${baseline.name}: ${baseline.value.toFixed(2)}, ratio ${(value / baseline.value).toFixed(2)})`;
    const range =
      spread === undefined
        ? ''
        : `  ratios ${spread.map((ratio) => ratio.toFixed(2)).join(' to ')}`;
    process.stdout.write(`${name}: ${value.toFixed(2)} ${unit}${beside}${range}\n`);
  }
}
