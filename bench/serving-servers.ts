import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { quantile, sorted } from '@keelson/core/statistics';
import type { LocalServingSource } from '@keelson/serve';
import { onnxModel } from '../packages/serve/src/testing/onnx-models.ts';
import { findPython } from '../packages/serve/test/python/interpreter.ts';
import {
  makeModels,
  mlflow,
  mlserver,
  type PythonServer,
} from '../packages/serve/test/python/python-server.ts';
import type { BenchContext } from './benchmark.ts';
import { HttpCaller } from './http-caller.ts';
import { inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';
import { ServerProcess } from './server-process.ts';

const sizes = {
  smallest: { rounds: 1, requests: 40, warmUp: 40 },
  usual: { rounds: 7, requests: 800, warmUp: 800 },
  full: { rounds: 15, requests: 2_000, warmUp: 2_000 },
};
const connections = 8;
/** Ours answers so many times as many in a turn, that both take about as long. */
const factor = 10;

type Contender = 'ours' | 'mlserver' | 'mlflow';

interface Measured {
  readonly rate: number;
  readonly p99Ms: number;
}

/**
 * One logistic regression of two columns: as ONNX here, in scikit-learn by MLServer (no worker of its own) and by MLflow's
 * scoring server (one worker); requests a second and the 99th percentile at eight connections.
 */
export async function benchServingServers(context: BenchContext): Promise<Row[]> {
  const python = findPython();
  if (python === undefined) throw new Error('MLServer and MLflow are missing; see above.');
  const { rounds, requests, warmUp } = sizes[context.scale];
  context.tell('serving-servers: starting MLServer and MLflow');
  await makeModels(python, context.dir);
  const behind: readonly PythonServer[] = [
    await mlserver(python, join(context.dir, 'mlserver')),
    await mlflow(python, join(context.dir, 'mlflow')),
  ];
  const [first, second] = behind as [PythonServer, PythonServer];
  const ours = new ServerProcess('regression');
  try {
    await Promise.all([first.up('/v2/models/rain/ready'), second.up('/ping')]);
    // Opened anew for each turn: uvicorn closes connections that are idle for five seconds.
    const callersOf: Readonly<Record<Contender, () => readonly HttpCaller[]>> = {
      ours: open(await ours.ask<number>({ ask: 'port' }), '/v2/models/rain/infer', tensors('FP32')),
      mlserver: open(first.port, '/v2/models/rain/infer', tensors('FP64')),
      mlflow: open(second.port, '/invocations', table),
    };
    const measure = async (name: Contender, count: number): Promise<Measured> => {
      const tookMs: number[] = [];
      const callers = callersOf[name]();
      const each = Math.ceil(count / connections);
      const startedAt = performance.now();
      await Promise.all(callers.map((caller) => caller.run(each, tookMs)));
      const seconds = (performance.now() - startedAt) / 1000;
      for (const caller of callers) caller.close();
      return { rate: (each * connections) / seconds, p99Ms: quantile(sorted(tookMs), 0.99) };
    };
    for (const name of ['ours', 'mlserver', 'mlflow'] as const) {
      context.tell(`serving-servers: warming up ${name}`);
      await measure(name, name === 'ours' ? warmUp * factor : warmUp);
    }
    const measured = await inTurns(
      rounds,
      {
        ours: () => measure('ours', requests * factor),
        mlserver: () => measure('mlserver', requests),
        mlflow: () => measure('mlflow', requests),
      },
      (round) => context.tell(`serving-servers: round ${round} of ${rounds}`),
    );
    return rows(measured);
  } finally {
    await Promise.all([ours.close(), ...behind.map((server) => server.kill())]);
  }
}

function rows(measured: Readonly<Record<Contender, readonly Measured[]>>): Row[] {
  const of = (name: Contender, what: keyof Measured): number[] =>
    measured[name].map((each) => each[what]);
  return (['mlserver', 'mlflow'] as const).flatMap((name) => {
    const called = name === 'mlserver' ? 'MLServer' : "MLflow's scoring server";
    const baseline = (what: keyof Measured) => ({ name: called, values: of(name, what) });
    return [
      {
        ...rowOf(
          '8 connections, one row a request',
          'requests/s',
          of('ours', 'rate'),
          baseline('rate'),
        ),
        goal: { leastRatio: 5 },
      },
      {
        ...rowOf('the same, p99', 'ms', of('ours', 'p99Ms'), baseline('p99Ms')),
        goal: { mostRatio: 1 },
      },
    ];
  });
}

function open(port: number, path: string, body: string): () => readonly HttpCaller[] {
  return () => Array.from({ length: connections }, () => new HttpCaller(port, path, body));
}

function tensors(datatype: string): string {
  return JSON.stringify({ inputs: [{ name: 'x', shape: [1, 2], datatype, data: [4, 3] }] });
}

const table = JSON.stringify({ dataframe_split: { columns: ['wind', 'cloud'], data: [[4, 3]] } });

/** Adds the regression to a source, and its deployment `rain`. */
export async function addRegression(source: LocalServingSource, place: string): Promise<void> {
  const weight = (name: string, shape: readonly number[], ...data: number[]) => ({
    ...{ name, shape, data: Float32Array.from(data) },
  });
  const value = (name: string, size: number) =>
    ({ name, type: 'FP32', shape: [-1, size] }) as const;
  const model = onnxModel({
    inputs: [value('x', 2)],
    outputs: [value('rain', 1)],
    nodes: [
      [['x', 'w'], 'MatMul', ['a']],
      [['a', 'b'], 'Add', ['c']],
      [['c'], 'Sigmoid', ['rain']],
    ],
    weights: [weight('w', [2, 1], 2.1, 2.1), weight('b', [1], -11.5)],
  });
  const directory = join(place, 'regression');
  await mkdir(directory);
  await writeFile(join(directory, 'model.onnx'), model);
  source.putModel({
    ...{ versionId: 'rain', name: 'rain', version: '1.0.0', format: 'ONNX', directory },
    signature: {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'rain', datatype: 'FP32', shape: [-1, 1] }],
    },
  });
  source.setRoute('rain', {
    ...{ generation: 1, environment: 'PRODUCTION' },
    route: {
      deploymentId: 'rain',
      targets: [{ versionId: 'rain', weightPercent: 100 }],
      ...{ rules: [], shadows: [] },
    },
  });
}
