import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { BenchContext } from './benchmark.ts';
import { HttpCaller } from './http-caller.ts';
import { inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';
import type { Figures, ServerName } from './serving-child.ts';

/**
 * `warmUp` requests come before anything is measured: the larger a path, the longer the compiler takes to
 * come to rest, and it would be compared unfairly. `share` of the calls without HTTP.
 */
const sizes = {
  smallest: { rounds: 1, requests: 50, warmUp: 50, share: 0.02, figureRounds: 1 },
  usual: { rounds: 7, requests: 4_000, warmUp: 60_000, share: 1, figureRounds: 5 },
  full: { rounds: 15, requests: 8_000, warmUp: 60_000, share: 1, figureRounds: 11 },
};
const connections = 10;
const names = [
  'echo',
  'thread',
  'none',
  'together',
  'singly',
] as const satisfies readonly ServerName[];
const paths = ['echo', 'thread', 'none'] as const;
const manyConnections = 32;

/** A process with one server. */
class ServerProcess {
  readonly #child: ChildProcess;

  constructor(name: ServerName) {
    this.#child = fork(new URL('./serving-child.ts', import.meta.url), [name], {
      execArgv: ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning'],
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

type Servers = Readonly<Record<ServerName, ServerProcess>>;

/** Figures of serving: the full path beside a bare echo, replicas beside a call in process, codec, routing. */
export async function benchServing(context: BenchContext): Promise<Row[]> {
  const servers: Servers = {
    echo: new ServerProcess('echo'),
    thread: new ServerProcess('thread'),
    none: new ServerProcess('none'),
    together: new ServerProcess('together'),
    singly: new ServerProcess('singly'),
  };
  try {
    return [
      ...(await comparePaths(context, servers, 4)),
      ...(await comparePaths(context, servers, 480)),
      ...(await compareBatching(context, servers)),
      ...(await figureRows(context, servers.echo)),
    ];
  } finally {
    await Promise.all(names.map((name) => servers[name].close()));
  }
}

/** CPU of each server's process for a request, with an input of so many numbers. */
async function comparePaths(
  context: BenchContext,
  servers: Servers,
  width: number,
): Promise<Row[]> {
  const { rounds, requests, warmUp } = sizes[context.scale];
  const body = bodyOf(width);
  const what = `${body.length} B body`;
  const callers = new Map<ServerName, readonly HttpCaller[]>();
  for (const name of paths) {
    const port = await servers[name].ask<number>({ ask: 'port' });
    const open = (): HttpCaller => new HttpCaller(port, `/v2/models/width-${width}/infer`, body);
    callers.set(name, Array.from({ length: connections }, open));
  }
  const load = (name: ServerName, count: number): Promise<unknown> =>
    Promise.all(
      (callers.get(name) ?? []).map((caller) => caller.run(Math.ceil(count / connections))),
    );
  for (const name of paths) {
    context.tell(`serving: warming up, ${what}, ${name}`);
    await load(name, width > 100 ? warmUp / 4 : warmUp);
  }
  const measure = async (name: ServerName): Promise<number> => {
    const before = await servers[name].ask<number>({ ask: 'cpu' });
    await load(name, requests);
    return ((await servers[name].ask<number>({ ask: 'cpu' })) - before) / requests;
  };
  const micros = await inTurns(
    rounds,
    {
      echo: () => measure('echo'),
      thread: () => measure('thread'),
      none: () => measure('none'),
    },
    (round) => context.tell(`serving: ${what}, round ${round} of ${rounds}`),
  );
  for (const caller of [...callers.values()].flat()) caller.close();
  const baseline = { name: 'node:http JSON echo of the same body', values: micros.echo };
  const row = (where: string, values: readonly number[]): Row =>
    rowOf(`CPU of a request, ${what}, ${where}`, 'µs', values, baseline);
  return [row('worker-thread replica', micros.thread), row('in-process replica', micros.none)];
}

function bodyOf(width: number, datatype = 'FP64'): string {
  const data = Array.from({ length: width }, (_, i) => Math.sin(i + 1));
  return JSON.stringify({ inputs: [{ name: 'x', shape: [1, width], datatype, data }] });
}

/** An ONNX network whose requests share calls, beside the same one called request by request. */
async function compareBatching(context: BenchContext, servers: Servers): Promise<Row[]> {
  const { rounds, requests, warmUp } = sizes[context.scale];
  const body = bodyOf(128, 'FP32');
  const ways = ['together', 'singly'] as const;
  const callers = new Map<ServerName, readonly HttpCaller[]>();
  for (const way of ways) {
    const port = await servers[way].ask<number>({ ask: 'port' });
    const open = (): HttpCaller => new HttpCaller(port, '/v2/models/network/infer', body);
    callers.set(way, Array.from({ length: manyConnections }, open));
  }
  const load = async (way: ServerName, count: number, share: number): Promise<number> => {
    const some = (callers.get(way) ?? []).slice(0, share);
    const startedAt = performance.now();
    await Promise.all(some.map((caller) => caller.run(Math.ceil(count / share))));
    return performance.now() - startedAt;
  };
  for (const way of ways) {
    context.tell(`serving: warming up, ONNX, ${way}`);
    await load(way, warmUp / 4, manyConnections);
  }
  const rate = async (way: ServerName): Promise<number> =>
    (1000 * requests) / (await load(way, requests, manyConnections));
  const alone = async (way: ServerName): Promise<number> =>
    (1000 * (await load(way, requests / 10, 1))) / (requests / 10);
  const tell = (what: string) => (round: number) =>
    context.tell(`serving: ONNX, ${what}, round ${round} of ${rounds}`);
  const measures = (measure: (way: ServerName) => Promise<number>) => ({
    together: () => measure('together'),
    singly: () => measure('singly'),
  });
  const many = await inTurns(rounds, measures(rate), tell('32 connections'));
  const one = await inTurns(rounds, measures(alone), tell('one connection'));
  for (const caller of [...callers.values()].flat()) caller.close();
  const baseline = (values: readonly number[]) => ({ name: 'each request a call', values });
  return [
    rowOf(
      'ONNX 128-512-512-10, 32 connections, calls shared',
      'requests/s',
      many.together,
      baseline(many.singly),
    ),
    rowOf('the same, one connection, a request', 'µs', one.together, baseline(one.singly)),
  ];
}

/** What is measured without HTTP. */
async function figureRows(context: BenchContext, server: ServerProcess): Promise<Row[]> {
  const { figureRounds, share } = sizes[context.scale];
  const { figures } = await inTurns(
    figureRounds,
    { figures: () => server.ask<Figures>({ ask: 'figures', share }) },
    (round) => context.tell(`serving: without HTTP, round ${round} of ${figureRounds}`),
  );
  const of = (figure: keyof Figures): number[] => figures.map((each) => each[figure]);
  return [
    rowOf('p50 of a worker-thread replica', 'µs', of('threadMicros'), {
      name: 'the same call in process',
      values: of('inlineMicros'),
    }),
    rowOf('p50 of a child-process replica', 'µs', of('processMicros'), {
      name: 'the same call in process',
      values: of('inlineMicros'),
    }),
    rowOf('decoding 1,024 floats as a binary tensor', 'µs', of('binaryMicros'), {
      name: 'as JSON',
      values: of('jsonMicros'),
    }),
    rowOf('routing decision (weights, sticky key, rule)', 'µs', of('pickMicros')),
    rowOf('event loop delay p99, inferences of 200 ms running', 'ms', of('loopDelayMs')),
  ];
}
