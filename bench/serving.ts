import { fork } from 'node:child_process';
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
  /** Of the rounds: the smallest and the largest. */
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

/** The process that has the servers, and its figures. */
class ServerProcess {
  readonly #child = fork(new URL('./serving-child.ts', import.meta.url), {
    execArgv: [...process.execArgv, '--conditions=keelson:source'],
    serialization: 'advanced',
  });

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

interface Side {
  readonly server: ServerName;
  readonly cpuMicros: number[];
}

/** CPU of the server process for each request, all sides interleaved round by round. */
async function comparePaths(
  servers: ServerProcess,
  ports: Readonly<Record<ServerName, number>>,
  width: number,
): Promise<Row[]> {
  const path = `/v2/models/width-${width}/infer`;
  const sides: Side[] = (['echo', 'thread', 'none'] as const).map((server) => ({
    server,
    cpuMicros: [],
  }));
  const callers = new Map(
    sides.map(({ server }) => [
      server,
      Array.from({ length: connections }, () => new Caller(ports[server], path, bodyOf(width))),
    ]),
  );
  const load = (server: ServerName, requests: number): Promise<unknown> =>
    Promise.all((callers.get(server) ?? []).map((caller) => caller.run(requests / connections)));
  for (const { server } of sides)
    await load(server, width > 100 ? warmUpRequests / 4 : warmUpRequests);
  for (let round = 0; round < rounds; round += 1) {
    for (const { server, cpuMicros } of sides) {
      const before = await servers.ask<number>({ ask: 'cpu' });
      await load(server, requestsPerRound);
      const used = (await servers.ask<number>({ ask: 'cpu' })) - before;
      cpuMicros.push(used / requestsPerRound);
    }
  }
  for (const caller of [...callers.values()].flat()) caller.close();
  const [echo, ...others] = sides as [Side, ...Side[]];
  return others.map(({ server, cpuMicros }) => {
    const ratios = cpuMicros.map((micros, i) => micros / (echo.cpuMicros[i] ?? Number.NaN));
    const where = server === 'thread' ? 'worker-thread replica' : 'in-process replica';
    return {
      name: `serving: CPU of the full path, ${bodyOf(width).length} B body, ${where}`,
      value: median(cpuMicros),
      unit: 'µs/request',
      baseline: {
        name: 'bare node:http JSON echo of the same body',
        value: median(echo.cpuMicros),
      },
      spread: [Math.min(...ratios), Math.max(...ratios)],
    };
  });
}

/** Figures of serving: the full path beside a bare echo, replicas beside a call in process, codec, routing. */
export async function benchServing(): Promise<Row[]> {
  const servers = new ServerProcess();
  try {
    const ports = await servers.ask<Record<ServerName, number>>({ ask: 'ports' });
    const rows: Row[] = [];
    for (const width of [4, 480]) rows.push(...(await comparePaths(servers, ports, width)));
    const figures = await servers.ask<Figures>({ ask: 'figures' });
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
    await servers.close();
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
