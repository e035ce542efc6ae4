import type {
  InferenceBatch,
  LoadedModel,
  ModelRuntime,
  ModelSignature,
  ModelSource,
  Tensor,
} from '../contracts/model-runtime.ts';
import { KeelsonError } from '../errors.ts';
import type { Json } from '../json.ts';
import { defined, equal, ok, rejects } from './assertions.ts';
import type { Case, Suite } from './suite.ts';

/** What every runtime of the suite must be able to run: the sum and the difference of two inputs, row by row. */
const suiteSignature: ModelSignature = {
  inputs: [
    { name: 'a', datatype: 'FP32', shape: [-1, 2] },
    { name: 'b', datatype: 'FP32', shape: [-1, 2] },
  ],
  outputs: [
    { name: 'sum', datatype: 'FP32', shape: [-1, 2] },
    { name: 'difference', datatype: 'FP32', shape: [-1, 2] },
  ],
};

/** What an adapter gives the suite: a runtime, and the suite's model as that runtime takes it. */
export interface ModelRuntimeHarness extends AsyncDisposable {
  readonly runtime: ModelRuntime;
  /** The model of {@link suiteSignature}. */
  readonly source: ModelSource;
  /** What `load` is called with beside it. */
  readonly config: Readonly<Record<string, Json>>;
  /** A model that cannot be loaded, and what the error must name: a file, or an address. */
  readonly damaged: {
    readonly source: ModelSource;
    readonly names: string;
    readonly code: 'FAILED' | 'UNAVAILABLE';
  };
  /** Whether the files themselves say what the model takes, so that a wrong signature is noticed. */
  readonly knowsSignature: boolean;
}

type Numbers = readonly (readonly [number, number])[];

function tensor(name: string, rows: Numbers): Tensor {
  return { name, datatype: 'FP32', shape: [rows.length, 2], data: new Float32Array(rows.flat()) };
}

function batch(a: Numbers, b: Numbers): InferenceBatch {
  return { inputs: [tensor('a', a), tensor('b', b)] };
}

function load(harness: ModelRuntimeHarness): Promise<LoadedModel> {
  return harness.runtime.load(harness.source, suiteSignature, harness.config);
}

async function withModel(
  harness: ModelRuntimeHarness,
  use: (model: LoadedModel) => Promise<void>,
): Promise<void> {
  const model = await load(harness);
  try {
    await use(model);
  } finally {
    await model.unload();
  }
}

function rowsOf(count: number, seed: number): [number, number][] {
  return Array.from({ length: count }, (_, i) => [seed + i, seed * 10 - i]);
}

/** Sum and difference in 32 bits, as the model has to answer them. */
function expected(a: Numbers, b: Numbers): readonly Tensor[] {
  const combine = (name: string, of: (x: number, y: number) => number): Tensor => {
    const other = b.flat();
    const data = new Float32Array(a.flat().map((x, i) => of(x, other[i] as number)));
    return { name, datatype: 'FP32', shape: [a.length, 2], data };
  };
  return [combine('sum', (x, y) => x + y), combine('difference', (x, y) => x - y)];
}

function promised(
  name: string,
  promise: string,
  run: (harness: ModelRuntimeHarness) => Promise<void>,
): Case<ModelRuntimeHarness> {
  return { name, promise, run };
}

const predictCases: readonly Case<ModelRuntimeHarness>[] = [
  promised(
    'predict: outputs by the names, datatypes, shapes and order of the signature',
    'predict answers every output of the signature, in its order.',
    (harness) =>
      withModel(harness, async (model) => {
        const [a, b]: Numbers[] = [[[1, 2]], [[10, 20]]];
        equal(
          await model.predict(batch(a as Numbers, b as Numbers), {}),
          expected(a as Numbers, b as Numbers),
          'One row',
        );
      }),
  ),
  promised(
    'predict: as many output rows as input rows',
    'A call with n rows answers n rows, whatever n is, in the order of the inputs.',
    (harness) =>
      withModel(harness, async (model) => {
        for (const count of [1, 2, 3, 17, 100]) {
          const [a, b] = [rowsOf(count, 1), rowsOf(count, 7)];
          equal(await model.predict(batch(a, b), {}), expected(a, b), `${count} rows`);
        }
      }),
  ),
  promised(
    'predict: inputs are taken by name',
    'The order in which inputs are given does not matter.',
    (harness) =>
      withModel(harness, async (model) => {
        const [a, b] = [rowsOf(3, 2), rowsOf(3, 5)];
        const inputs = batch(a, b).inputs.toReversed();
        equal(await model.predict({ inputs }, {}), expected(a, b), 'Inputs in another order');
      }),
  ),
  promised(
    'predict: each of many calls at once gets its own answer',
    'Calls at the same time do not mix.',
    (harness) =>
      withModel(harness, async (model) => {
        const calls = Array.from(
          { length: 60 },
          (_, i) => [rowsOf(1 + (i % 4), i), rowsOf(1 + (i % 4), i * 3)] as const,
        );
        const answers = await Promise.all(calls.map(([a, b]) => model.predict(batch(a, b), {})));
        equal(
          answers,
          calls.map(([a, b]) => expected(a, b)),
          'Answers in the order of the calls',
        );
      }),
  ),
  promised(
    'predict: numbers that are not finite go through',
    'NaN, ±Infinity and −0 reach the model and come back.',
    (harness) =>
      withModel(harness, async (model) => {
        const a: Numbers = [
          [Number.NaN, Number.POSITIVE_INFINITY],
          [Number.NEGATIVE_INFINITY, -0],
        ];
        const b: Numbers = [
          [1, 1],
          [1, -0],
        ];
        equal((await model.predict(batch(a, b), {}))[0], expected(a, b)[0], 'Sums');
      }),
  ),
  promised(
    'predict: leaves the inputs of its caller as they are',
    'What was given can be used again afterwards.',
    (harness) =>
      withModel(harness, async (model) => {
        const [a, b] = [rowsOf(5, 4), rowsOf(5, 6)];
        const given = batch(a, b);
        const first = await model.predict(given, {});
        equal(given, batch(a, b), 'The inputs after a call');
        equal(await model.predict(given, {}), first, 'The same inputs again');
      }),
  ),
  promised(
    'predict: an answer stays what it is',
    'A later call does not change what an earlier one answered.',
    (harness) =>
      withModel(harness, async (model) => {
        const [a, b] = [rowsOf(6, 1), rowsOf(6, 2)];
        const first = await model.predict(batch(a, b), {});
        for (let i = 0; i < 5; i += 1) await model.predict(batch(rowsOf(6, i), rowsOf(6, i)), {});
        equal(first, expected(a, b), 'The first answer after others');
      }),
  ),
];

const refusalCases: readonly Case<ModelRuntimeHarness>[] = [
  promised(
    'predict: inputs that the signature does not take are refused by name',
    'A missing input, another datatype or another shape is INVALID and named; the model works on.',
    (harness) =>
      withModel(harness, async (model) => {
        const [a, b] = [tensor('a', [[1, 2]]), tensor('b', [[3, 4]])];
        const wrong: readonly (readonly Tensor[])[] = [
          [a],
          [a, { ...b, datatype: 'FP64', data: new Float64Array(2) }],
          [a, { ...b, shape: [2, 1] }],
          [
            a,
            {
              ...tensor('b', [
                [1, 2],
                [3, 4],
              ]),
            },
          ],
        ];
        for (const inputs of wrong)
          await rejects(
            'INVALID',
            () => model.predict({ inputs }, {}),
            'Inputs against the signature',
          );
        await rejects('INVALID', () => model.predict({ inputs: [a] }, {}), 'Without b', ['b']);
        equal(
          await model.predict({ inputs: [a, b] }, {}),
          expected([[1, 2]], [[3, 4]]),
          'Afterwards',
        );
      }),
  ),
  promised(
    'predict: a call that its caller has given up rejects with ABORTED',
    'A signal that is aborted, before or during the call, ends it.',
    (harness) =>
      withModel(harness, async (model) => {
        const signal = AbortSignal.abort(new KeelsonError('ABORTED', 'Given up.'));
        await rejects(
          'ABORTED',
          () => model.predict(batch([[1, 2]], [[3, 4]]), { signal }),
          'Aborted before',
        );
      }),
  ),
  promised(
    'predict: a call whose deadline has passed rejects with TIMEOUT',
    'deadlineAt in the past is TIMEOUT, and the model works on.',
    (harness) =>
      withModel(harness, async (model) => {
        const late = { deadlineAt: Date.now() - 1000 };
        await rejects('TIMEOUT', () => model.predict(batch([[1, 2]], [[3, 4]]), late), 'Too late');
        equal(
          await model.predict(batch([[1, 2]], [[3, 4]]), { deadlineAt: Date.now() + 20_000 }),
          expected([[1, 2]], [[3, 4]]),
          'In time',
        );
      }),
  ),
];

const loadCases: readonly Case<ModelRuntimeHarness>[] = [
  promised(
    'load: what cannot be loaded is named',
    'load rejects with FAILED, naming the file and what is wrong with it, or UNAVAILABLE, naming the server.',
    async (harness) => {
      const { source, names, code } = harness.damaged;
      await rejects(
        code,
        () => harness.runtime.load(source, suiteSignature, harness.config),
        'Damaged',
        [names],
      );
      await withModel(harness, async (model) => {
        ok((await model.health()).ok, 'A sound model should load afterwards');
      });
    },
  ),
  promised(
    'load: a signature that the files contradict is refused',
    'Where the files say what the model takes, load rejects with INVALID, naming the input or output.',
    async (harness) => {
      if (!harness.knowsSignature) return;
      const [a, b] = suiteSignature.inputs;
      const refused = async (signature: Partial<ModelSignature>, naming: string): Promise<void> => {
        const whole = { ...suiteSignature, ...signature };
        await rejects(
          'INVALID',
          () => harness.runtime.load(harness.source, whole, harness.config),
          `A wrong ${naming}`,
          [naming],
        );
      };
      await refused(
        { inputs: [defined(a, 'a'), { name: 'c', datatype: 'FP32', shape: [-1, 2] }] },
        'c',
      );
      await refused({ inputs: [defined(a, 'a')] }, 'b');
      await refused({ inputs: [defined(a, 'a'), { ...defined(b, 'b'), datatype: 'INT32' }] }, 'b');
      await refused({ inputs: [defined(a, 'a'), { ...defined(b, 'b'), shape: [-1, 3] }] }, 'b');
      await refused(
        { outputs: [{ name: 'product', datatype: 'FP32', shape: [-1, 2] }] },
        'product',
      );
    },
  ),
  promised(
    'load: configuration that is none is refused',
    'An unknown key of config is INVALID and named.',
    async (harness) => {
      const config = { ...harness.config, 'no such key': 1 };
      await rejects(
        'INVALID',
        () => harness.runtime.load(harness.source, suiteSignature, config),
        'An unknown key',
        ['no such key'],
      );
    },
  ),
];

const lifeCases: readonly Case<ModelRuntimeHarness>[] = [
  promised(
    'health: ok while the model is loaded, and not afterwards',
    'health tells whether calls will be answered; it never rejects.',
    async (harness) => {
      const model = await load(harness);
      ok((await model.health()).ok, 'It should be healthy when it is loaded');
      await model.unload();
      const after = await model.health();
      ok(!after.ok && typeof after.message === 'string', 'It should say why it is not, unloaded');
    },
  ),
  promised(
    'unload: finishes calls that are under way, takes no more, twice is fine',
    'What was called before unload is answered; what is called afterwards is CLOSED.',
    async (harness) => {
      const model = await load(harness);
      const [a, b] = [rowsOf(2, 3), rowsOf(2, 4)];
      const running = Array.from({ length: 20 }, () => model.predict(batch(a, b), {}));
      const unloaded = model.unload();
      equal(
        await Promise.all(running),
        running.map(() => expected(a, b)),
        'Calls under way',
      );
      await unloaded;
      await rejects('CLOSED', () => model.predict(batch(a, b), {}), 'A call after unload');
      await model.unload();
    },
  ),
  promised(
    'unload: other loaded models go on',
    'A model that is loaded twice is two models.',
    async (harness) => {
      const first = await load(harness);
      await withModel(harness, async (second) => {
        await first.unload();
        const [a, b] = [rowsOf(2, 8), rowsOf(2, 9)];
        equal(await second.predict(batch(a, b), {}), expected(a, b), 'The other one');
      });
    },
  ),
];

/** The promises of `ModelRuntime`. */
export const modelRuntimeSuite: Suite<ModelRuntimeHarness> = {
  contract: 'ModelRuntime',
  cases: [...predictCases, ...refusalCases, ...loadCases, ...lifeCases],
};
