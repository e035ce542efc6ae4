import type { BenchContext } from './benchmark.ts';
import { HttpCaller } from './http-caller.ts';
import { inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';
import { ServerProcess } from './server-process.ts';
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
  'cached',
  'together',
  'singly',
  'unlogged',
  'tenth',
  'logged',
] as const satisfies readonly ServerName[];
type Name = (typeof names)[number];
const paths = ['echo', 'thread', 'none', 'cached'] as const;
const manyConnections = 32;

type Servers = Readonly<Record<Name, ServerProcess>>;

/** Figures of serving: the full path beside a bare echo, replicas beside a call in process, codec, routing. */
export async function benchServing(context: BenchContext): Promise<Row[]> {
  const servers = Object.fromEntries(
    names.map((name) => [name, new ServerProcess(name)]),
  ) as Servers;
  try {
    return [
      ...(await comparePaths(context, servers, 4)),
      ...(await comparePaths(context, servers, 490)),
      ...(await compareBatching(context, servers)),
      ...(await compareLogging(context, servers)),
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
  const callers = new Map<Name, readonly HttpCaller[]>();
  for (const name of paths) {
    const port = await servers[name].ask<number>({ ask: 'port' });
    const open = (): HttpCaller => new HttpCaller(port, `/v2/models/width-${width}/infer`, body);
    callers.set(name, Array.from({ length: connections }, open));
  }
  const load = (name: Name, count: number): Promise<unknown> =>
    Promise.all(
      (callers.get(name) ?? []).map((caller) => caller.run(Math.ceil(count / connections))),
    );
  for (const name of paths) {
    context.tell(`serving: warming up, ${what}, ${name}`);
    await load(name, width > 100 ? warmUp / 4 : warmUp);
  }
  const measure = async (name: Name): Promise<number> => {
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
      cached: () => measure('cached'),
    },
    (round) => context.tell(`serving: ${what}, round ${round} of ${rounds}`),
  );
  for (const caller of [...callers.values()].flat()) caller.close();
  const baseline = { name: 'node:http JSON echo of the same body', values: micros.echo };
  const row = (where: string, values: readonly number[]): Row => ({
    ...rowOf(`CPU of a request, ${what}, ${where}`, 'µs', values, baseline),
    goal: { mostRatio: 1.6 },
  });
  return [
    row('worker-thread replica', micros.thread),
    row('in-process replica', micros.none),
    row('from the result cache', micros.cached),
  ];
}

function bodyOf(width: number, datatype = 'FP64'): string {
  // Of a small body, numbers as people send them.
  const digits = width > 100 ? 17 : 7;
  const data = Array.from({ length: width }, (_, i) => Number(Math.sin(i + 1).toFixed(digits)));
  return JSON.stringify({ inputs: [{ name: 'x', shape: [1, width], datatype, data }] });
}

/** An ONNX network whose requests share calls, beside the same one called request by request. */
async function compareBatching(context: BenchContext, servers: Servers): Promise<Row[]> {
  const { rounds, requests, warmUp } = sizes[context.scale];
  const body = bodyOf(128, 'FP32');
  const ways = ['together', 'singly'] as const;
  const callers = new Map<Name, readonly HttpCaller[]>();
  for (const way of ways) {
    const port = await servers[way].ask<number>({ ask: 'port' });
    const open = (): HttpCaller => new HttpCaller(port, '/v2/models/network/infer', body);
    callers.set(way, Array.from({ length: manyConnections }, open));
  }
  const load = async (way: Name, count: number, share: number): Promise<number> => {
    const some = (callers.get(way) ?? []).slice(0, share);
    const startedAt = performance.now();
    await Promise.all(some.map((caller) => caller.run(Math.ceil(count / share))));
    return performance.now() - startedAt;
  };
  for (const way of ways) {
    context.tell(`serving: warming up, ONNX, ${way}`);
    await load(way, warmUp / 4, manyConnections);
  }
  const rate = async (way: Name): Promise<number> =>
    (1000 * requests) / (await load(way, requests, manyConnections));
  const alone = async (way: Name): Promise<number> =>
    (1000 * (await load(way, requests / 10, 1))) / (requests / 10);
  const tell = (what: string) => (round: number) =>
    context.tell(`serving: ONNX, ${what}, round ${round} of ${rounds}`);
  const measures = (measure: (way: Name) => Promise<number>) => ({
    together: () => measure('together'),
    singly: () => measure('singly'),
  });
  const many = await inTurns(rounds, measures(rate), tell('32 connections'));
  const one = await inTurns(rounds, measures(alone), tell('one connection'));
  for (const caller of [...callers.values()].flat()) caller.close();
  const baseline = (values: readonly number[]) => ({ name: 'each request a call', values });
  const shared = 'ONNX 128-512-512-10, 32 connections, calls shared';
  return [
    {
      ...rowOf(shared, 'requests/s', many.together, baseline(many.singly)),
      goal: { leastRatio: 2 },
    },
    {
      ...rowOf('the same, one connection, a request', 'µs', one.together, baseline(one.singly)),
      goal: { mostRatio: 1.1 },
    },
  ];
}

/** Requests a second with predictions in the embedded store's log, and what that costs the thread that answers HTTP. */
async function compareLogging(context: BenchContext, servers: Servers): Promise<Row[]> {
  const { rounds, requests, warmUp } = sizes[context.scale];
  const ways = ['unlogged', 'tenth', 'logged'] as const;
  const callers = new Map<Name, readonly HttpCaller[]>();
  for (const way of ways) {
    const port = await servers[way].ask<number>({ ask: 'port' });
    const open = (): HttpCaller => new HttpCaller(port, '/v2/models/width-4/infer', bodyOf(4));
    callers.set(way, Array.from({ length: connections }, open));
    context.tell(`serving: warming up, prediction log, ${way}`);
    await load(way, warmUp / 2);
  }
  async function load(way: Name, count: number): Promise<number> {
    const all = callers.get(way) ?? [];
    const startedAt = performance.now();
    await Promise.all(all.map((caller) => caller.run(Math.ceil(count / connections))));
    return performance.now() - startedAt;
  }
  const measure = async (way: Name): Promise<{ rate: number; micros: number }> => {
    const before = await servers[way].ask<number>({ ask: 'threadCpu' });
    const count = requests * 2;
    const tookMs = await load(way, count);
    const used = (await servers[way].ask<number>({ ask: 'threadCpu' })) - before;
    return { rate: (1000 * count) / tookMs, micros: used / count };
  };
  const measured = await inTurns(
    rounds,
    {
      unlogged: () => measure('unlogged'),
      tenth: () => measure('tenth'),
      logged: () => measure('logged'),
    },
    (round) => context.tell(`serving: prediction log, round ${round} of ${rounds}`),
  );
  for (const caller of [...callers.values()].flat()) caller.close();
  const rates = (way: (typeof ways)[number]): number[] => measured[way].map(({ rate }) => rate);
  const baseline = { name: 'without a prediction log', values: rates('unlogged') };
  const added = measured.logged.map(
    ({ micros }, round) => micros - (measured.unlogged[round]?.micros ?? Number.NaN),
  );
  return [
    {
      ...rowOf('one request in ten logged', 'requests/s', rates('tenth'), baseline),
      goal: { leastRatio: 0.95 },
    },
    rowOf('every request logged', 'requests/s', rates('logged'), baseline),
    {
      ...rowOf('HTTP thread: what logging adds to a request', 'µs', added),
      goal: { most: 5 },
    },
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
  const inline = { name: 'the same call in process', values: of('inlineMicros') };
  const more = (figure: keyof Figures): number[] =>
    figures.map((each) => each[figure] - each.inlineMicros);
  const thread = { name: 'a call of a worker-thread replica', values: of('threadMicros') };
  return [
    rowOf('p50 of a worker-thread replica', 'µs', of('threadMicros'), inline),
    { ...rowOf('what the thread adds', 'µs', more('threadMicros')), goal: { most: 60 } },
    rowOf('p50 of a child-process replica', 'µs', of('processMicros'), inline),
    { ...rowOf('what the process adds', 'µs', more('processMicros')), goal: { most: 100 } },
    {
      ...rowOf('decoding 1,024 floats as a binary tensor', 'µs', of('binaryMicros'), {
        name: 'as JSON',
        values: of('jsonMicros'),
      }),
      goal: { mostRatio: 1 / 20 },
    },
    {
      ...rowOf('result cache: a hit, 1,024 floats', 'µs', of('hitMicros'), thread),
      goal: { mostRatio: 1 },
    },
    rowOf('result cache: what a miss adds', 'µs', of('missMicros'), thread),
    {
      ...rowOf('routing decision (weights, sticky key, rule)', 'µs', of('pickMicros')),
      goal: { most: 1 },
    },
    {
      ...rowOf('event loop delay p99, inferences of 200 ms running', 'ms', of('loopDelayMs')),
      goal: { most: 20 },
    },
  ];
}
