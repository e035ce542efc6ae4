import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import {
  type ModelSignature,
  openPlatform,
  type PredictionRow,
  type PredictionSink,
} from '@keelson/core';
import { InProcessRouter, JavaScriptRuntime, LocalServingSource, serve } from '@keelson/serve';
import { noSink } from '../packages/serve/src/serving-source.ts';

// A process of the benchmark with one server, so that its CPU time is that server's alone, and its compiled code too.

/** What can be put under load; the name is the process's argument. */
export type ServerName =
  | 'echo'
  | 'thread'
  | 'none'
  | 'cached'
  | 'together'
  | 'singly'
  | 'unlogged'
  | 'tenth'
  | 'logged'
  | 'regression';

/** What is measured without HTTP. */
export interface Figures {
  readonly threadMicros: number;
  readonly processMicros: number;
  readonly inlineMicros: number;
  readonly binaryMicros: number;
  readonly jsonMicros: number;
  readonly pickMicros: number;
  readonly loopDelayMs: number;
  /** With an input of 1,024 numbers. */
  readonly hitMicros: number;
  readonly missMicros: number;
}

const model = `
export const load = () => ({
  predict({ x }, { rowCount, parameters }) {
    if (parameters.spin) for (const until = performance.now() + parameters.spin; performance.now() < until; );
    const sum = new Float64Array(rowCount);
    const width = x.shape[1];
    for (let row = 0; row < rowCount; row += 1)
      for (let i = 0; i < width; i += 1) sum[row] += x.data[row * width + i];
    return { sum };
  },
});`;

const directory = await mkdtemp(join(tmpdir(), 'keelson-bench-'));
await writeFile(join(directory, 'model.mjs'), model);

function signature(width: number): ModelSignature {
  return {
    inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, width] }],
    outputs: [{ name: 'sum', datatype: 'FP64', shape: [-1] }],
  };
}

const widths = [4, 490];
const name = process.argv[2] as ServerName;

/** As bounded as a prediction log: the last thousand. */
const kept: PredictionRow[] = [];
let recorded = 0;
const inMemory: PredictionSink = {
  record(row) {
    kept[recorded % 1000] = row;
    recorded += 1;
  },
  flush: () => Promise.resolve(),
  health: () => ({ pending: 0, dropped: 0 }),
};
const platform =
  name === 'tenth' || name === 'logged'
    ? await openPlatform({ dir: join(directory, '.keelson') })
    : undefined;

/** Where predictions go: the embedded store's log, all of them or one in ten; memory; nowhere. */
function sinkOf(): PredictionSink {
  if (name === 'unlogged') return noSink;
  const log = platform?.monitoring.predictions;
  if (log === undefined) return inMemory;
  if (name === 'logged') return log;
  return {
    record(row) {
      recorded += 1;
      if (recorded % 10 === 0) log.record(row);
    },
    flush: (options) => log.flush(options),
    health: () => log.health(),
  };
}

const source = new LocalServingSource({
  models: widths.map((width) => ({
    versionId: `v${width}`,
    name: 'sum',
    version: '1.0.0',
    format: 'JS',
    signature: signature(width),
    directory,
  })),
  sink: sinkOf(),
});
for (const width of widths) {
  source.setRoute(`width-${width}`, {
    generation: 1,
    environment: 'PRODUCTION',
    ...(name === 'cached' ? { serving: { cache: { maxBytes: 2 ** 24 } } } : {}),
    route: {
      deploymentId: `d${width}`,
      targets: [{ versionId: `v${width}`, weightPercent: 100 }],
      rules: [],
      shadows: [],
    },
  });
}

const mlpWidths = [128, 512, 512, 10] as const;

/** A small network as ONNX: what a call costs beside its rows is much of it. */
async function addNetwork(): Promise<void> {
  const { onnxModel } = await import('../packages/serve/src/testing/onnx-models.ts');
  const weights = mlpWidths.slice(1).map((width, i) => {
    const from = mlpWidths[i] as number;
    const data = Float32Array.from({ length: from * width }, (_, at) => Math.sin(at) / from);
    return { name: `w${i}`, shape: [from, width], data };
  });
  const model = onnxModel({
    inputs: [{ name: 'x', type: 'FP32', shape: [-1, mlpWidths[0]] }],
    outputs: [{ name: 'y', type: 'FP32', shape: [-1, mlpWidths[3]] }],
    nodes: [
      [['x', 'w0'], 'MatMul', ['a']],
      [['a'], 'Relu', ['b']],
      [['b', 'w1'], 'MatMul', ['c']],
      [['c'], 'Relu', ['d']],
      [['d', 'w2'], 'MatMul', ['y']],
    ],
    weights,
  });
  const place = await mkdtemp(join(directory, 'onnx-'));
  await writeFile(join(place, 'model.onnx'), model);
  source.putModel({
    ...{ versionId: 'network', name: 'network', version: '1.0.0', format: 'ONNX' },
    signature: {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, mlpWidths[0]] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, mlpWidths[3]] }],
    },
    directory: place,
  });
  source.setRoute('network', {
    ...{ generation: 1, environment: 'PRODUCTION' },
    serving: { batching: { mode: name === 'singly' ? 'off' : 'adaptive' } },
    route: {
      deploymentId: 'network',
      targets: [{ versionId: 'network', weightPercent: 100 }],
      rules: [],
      shadows: [],
    },
  });
}

function openEcho(): Server {
  return createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = JSON.stringify(JSON.parse(Buffer.concat(chunks).toString()));
      const length = Buffer.byteLength(text);
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': length });
      response.end(text);
    });
  });
}

interface Opened {
  readonly port: number;
  close(): Promise<unknown>;
}

async function openServer(): Promise<Opened> {
  if (name === 'echo') {
    const echo = openEcho();
    // While another side has its turn, its connections are idle.
    echo.keepAliveTimeout = 65_000;
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
    const close = async (): Promise<unknown> => {
      echo.closeAllConnections();
      return echo.close();
    };
    return { port: (echo.address() as AddressInfo).port, close };
  }
  if (name === 'together' || name === 'singly') {
    await addNetwork();
    const server = await serve(source, { deployments: ['network'], replicas: 1 });
    return { port: server.port, close: () => server.close({ timeoutMs: 1000 }) };
  }
  if (name === 'regression') {
    const { addRegression } = await import('./serving-servers.ts');
    await addRegression(source, directory);
    const server = await serve(source, { deployments: ['rain'], replicas: 1 });
    return { port: server.port, close: () => server.close({ timeoutMs: 1000 }) };
  }
  const deployments = widths.map((width) => `width-${width}`);
  const isolation = name === 'none' ? 'none' : 'thread';
  const server = await serve(source, { deployments, replicas: 1, isolation });
  const close = async (): Promise<unknown> => {
    await server.close({ timeoutMs: 1000 });
    return platform?.close();
  };
  return { port: server.port, close };
}

const opened = await openServer();

function p50(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function callMicros(call: () => Promise<unknown>, count: number): Promise<number> {
  for (let i = 0; i < count / 4; i += 1) await call();
  const micros: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const startedAt = performance.now();
    await call();
    micros.push((performance.now() - startedAt) * 1000);
  }
  return p50(micros);
}

function repeatMicros(call: () => unknown, count: number): number {
  const batches: number[] = [];
  for (let batch = 0; batch < 11; batch += 1) {
    const startedAt = performance.now();
    for (let i = 0; i < count; i += 1) call();
    batches.push(((performance.now() - startedAt) * 1000) / count);
  }
  return p50(batches);
}

/** `share` of the calls; less than 1 only to see that it works. */
async function figures(share: number): Promise<Figures> {
  const { decodeInferRequest } = await import('../packages/serve/src/protocol/infer-request.ts');
  const inputs = [
    { name: 'x', datatype: 'FP64', shape: [1, 4], data: new Float64Array([1, 2, 3, 4]) },
  ] as const;
  const loaded = await new JavaScriptRuntime().load({ directory }, signature(4), {});
  const threadMicros = await callMicros(() => loaded.predict({ inputs }, {}), 4000 * share);
  const microsOf = async (isolation: 'process' | 'none'): Promise<number> => {
    const other = await new JavaScriptRuntime(isolation).load({ directory }, signature(4), {});
    const micros = await callMicros(() => other.predict({ inputs }, {}), 4000 * share);
    await other.unload();
    return micros;
  };
  const processMicros = await microsOf('process');
  const inlineMicros = await microsOf('none');

  const data = Float64Array.from({ length: 1024 }, (_, i) => Math.sin(i));
  const tensor = { name: 'x', shape: [1, 1024], datatype: 'FP64' };
  const json = Buffer.from(JSON.stringify({ inputs: [{ ...tensor, data: [...data] }] }));
  const header = Buffer.from(
    JSON.stringify({ inputs: [{ ...tensor, parameters: { binary_data_size: 8192 } }] }),
  );
  const binary = Buffer.concat([header, Buffer.from(data.buffer)]);

  const router = new InProcessRouter();
  router.applyNow({
    generation: 1,
    route: {
      deploymentId: 'd',
      targets: [
        { versionId: '0198a000-0000-7000-8000-000000000001', weightPercent: 90 },
        { versionId: '0198a000-0000-7000-8000-000000000002', weightPercent: 10 },
      ],
      rules: [{ match: { header: 'x-tester', equals: 'yes' }, versionId: 'tested' }],
      sticky: { header: 'x-user', salt: 's' },
      shadows: [],
    },
  });
  let user = 0;
  const asked = {
    requestId: 'r',
    header: (name: string) => (name === 'x-user' ? `user-${user}` : undefined),
    attribute: () => undefined,
  };
  const alive = (): boolean => true;
  const pickMicros = repeatMicros(() => {
    user += 1;
    return router.pick('d', asked, alive);
  }, 20_000 * share);

  const cacheMicros = await cacheFigures(share);

  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const parameters = { spin: 200 * share };
  await Promise.all(Array.from({ length: 10 }, () => loaded.predict({ inputs, parameters }, {})));
  delay.disable();
  await loaded.unload();
  return {
    threadMicros,
    processMicros,
    inlineMicros,
    pickMicros,
    ...cacheMicros,
    binaryMicros: repeatMicros(() => decodeInferRequest(binary, header.length), 2000 * share),
    jsonMicros: repeatMicros(() => decodeInferRequest(json), 500 * share),
    // The histogram counts the resolution itself as delay.
    loopDelayMs: delay.percentile(99) / 1e6 - 5,
  };
}

/** What the result cache adds to a call that it does not know, and what one takes that it knows. */
async function cacheFigures(share: number): Promise<Pick<Figures, 'hitMicros' | 'missMicros'>> {
  const { ResultCache } = await import('../packages/serve/src/caching/result-cache.ts');
  const cache = new ResultCache({ maxBytes: 2 ** 24 });
  const data = Float64Array.from({ length: 1024 }, (_, i) => Math.sin(i));
  const inputs = [{ name: 'x', datatype: 'FP64', shape: [1, 1024], data }] as const;
  const outputs = [
    { name: 'sum', datatype: 'FP64', shape: [1], data: new Float64Array(1) },
  ] as const;
  const facts = { replica: 'r', queueMs: 0, inferenceMs: 0, attempts: 1, batchRows: 1 };
  const run = () => Promise.resolve({ outputs, ...facts });
  const ask = () => cache.predict({ inputs, parameters: {}, timeoutMs: 30_000 }, run);
  let asked = 0;
  const missMicros = await callMicros(() => {
    asked += 1;
    data[0] = asked;
    return ask();
  }, 4000 * share);
  const hitMicros = await callMicros(ask, 4000 * share);
  return { hitMicros, missMicros };
}

type Question =
  | { readonly ask: 'port' | 'cpu' | 'threadCpu' }
  | { readonly ask: 'figures'; readonly share: number };

process.on('message', async (question: Question) => {
  if (question.ask === 'port') process.send?.(opened.port);
  if (question.ask === 'figures') process.send?.(await figures(question.share));
  if (question.ask === 'threadCpu') {
    const { user, system } = process.threadCpuUsage();
    process.send?.(user + system);
  }
  if (question.ask === 'cpu') {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  }
});

process.on('disconnect', async () => {
  await opened.close();
  await rm(directory, { recursive: true, force: true });
});
