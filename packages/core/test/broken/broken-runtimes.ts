import {
  type InferenceBatch,
  KeelsonError,
  type LoadedModel,
  type ModelRuntime,
  type ModelSource,
  type Tensor,
} from '../../src/index.ts';
import type { ModelRuntimeHarness } from '../../src/testing/model-runtime-suite.ts';

/** Parts of a runtime that a broken one does otherwise. */
interface Faults {
  readonly answer?: (outputs: readonly Tensor[], batch: InferenceBatch) => readonly Tensor[];
  readonly pick?: (inputs: readonly Tensor[]) => readonly (Tensor | undefined)[];
  readonly predict?: (predict: LoadedModel['predict']) => LoadedModel['predict'];
  readonly load?: (load: ModelRuntime['load']) => ModelRuntime['load'];
  readonly model?: (model: LoadedModel) => LoadedModel;
}

const named = (inputs: readonly Tensor[]): readonly (Tensor | undefined)[] =>
  ['a', 'b'].map((name) => inputs.find((input) => input.name === name));

/** A runtime that computes in this file, right but for its faults. */
class PlainRuntime implements ModelRuntime {
  readonly name = 'plain';
  readonly isolation = 'none';
  readonly #faults: Faults;

  constructor(faults: Faults) {
    this.#faults = faults;
    const { load } = faults;
    if (load !== undefined) this.load = load(this.load.bind(this));
  }

  async load(
    source: ModelSource,
    signature: Parameters<ModelRuntime['load']>[1],
    config: Parameters<ModelRuntime['load']>[2],
  ): Promise<LoadedModel> {
    if ('directory' in source && source.directory === '/damaged')
      throw new KeelsonError('FAILED', 'Model file weights.json is damaged.');
    for (const key of Object.keys(config))
      throw new KeelsonError('INVALID', `Config "${key}" is unknown.`);
    for (const name of ['a', 'b']) {
      const spec = signature.inputs.find((input) => input.name === name);
      if (spec === undefined || spec.datatype !== 'FP32' || spec.shape[1] !== 2)
        throw new KeelsonError('INVALID', `Input "${name}" of ${JSON.stringify(signature.inputs)}`);
    }
    for (const { name } of signature.outputs)
      if (name !== 'sum' && name !== 'difference')
        throw new KeelsonError('INVALID', `There is no output "${name}".`);
    const model = this.#loaded();
    return this.#faults.model?.(model) ?? model;
  }

  #loaded(): LoadedModel {
    let closed = false;
    const predict: LoadedModel['predict'] = async (batch, { signal, deadlineAt }) => {
      if (closed) throw new KeelsonError('CLOSED', 'The model is unloaded.');
      if (signal?.aborted) throw new KeelsonError('ABORTED', 'Aborted.');
      if (deadlineAt !== undefined && deadlineAt < Date.now())
        throw new KeelsonError('TIMEOUT', 'Too late.');
      const inputs = (this.#faults.pick ?? named)(batch.inputs);
      const outputs = compute(inputs);
      return this.#faults.answer?.(outputs, batch) ?? outputs;
    };
    return {
      predict: this.#faults.predict?.(predict) ?? predict,
      health: async () => (closed ? { ok: false, message: 'It is unloaded.' } : { ok: true }),
      async unload() {
        closed = true;
      },
    };
  }
}

function compute(inputs: readonly (Tensor | undefined)[]): readonly Tensor[] {
  const rows = inputs[0]?.shape[0];
  inputs.forEach((input, i) => {
    const fits = input?.datatype === 'FP32' && input.shape[1] === 2 && input.shape[0] === rows;
    if (!fits) throw new KeelsonError('INVALID', `Input "${['a', 'b'][i]}" is missing or wrong.`);
  });
  const [x, y] = inputs.map((input) => input?.data as Float32Array);
  const of = (name: string, with_: (p: number, q: number) => number): Tensor => ({
    name,
    datatype: 'FP32',
    shape: [rows as number, 2],
    data: (x as Float32Array).map((p, i) => with_(p, (y as Float32Array)[i] as number)),
  });
  return [of('sum', (p, q) => p + q), of('difference', (p, q) => p - q)];
}

/** What the suite runs on: a runtime that is broken in one way, or in none. */
export function plainHarness(faults: Faults = {}): ModelRuntimeHarness {
  return {
    runtime: new PlainRuntime(faults),
    source: { directory: '/model' },
    config: {},
    damaged: { source: { directory: '/damaged' }, names: 'weights.json', code: 'FAILED' },
    knowsSignature: true,
    async [Symbol.asyncDispose]() {
      // Nothing is open.
    },
  };
}

let kept: readonly Tensor[] | undefined;

/** Broken runtimes: what each does, and the cases that must fail for it, and no others. */
export const brokenRuntimes: Readonly<
  Record<string, { readonly fails: readonly string[]; readonly faults: () => Faults }>
> = {
  'answers its outputs by other names for a single row': {
    fails: ['predict: outputs by the names, datatypes, shapes and order of the signature'],
    faults: () => ({
      answer: (outputs, { inputs }) =>
        inputs[0]?.shape[0] === 1 && inputs[0].data[0] === 1 && inputs[1]?.data[0] === 10
          ? outputs.map((output) => ({ ...output, name: output.name.toUpperCase() }))
          : outputs,
    }),
  },
  'drops rows of large batches': {
    fails: ['predict: as many output rows as input rows'],
    faults: () => ({
      answer: (outputs) =>
        outputs.map((output) =>
          (output.shape[0] as number) > 16
            ? { ...output, shape: [16, 2], data: (output.data as Float32Array).slice(0, 32) }
            : output,
        ),
    }),
  },
  'takes inputs by their place': {
    fails: ['predict: inputs are taken by name'],
    faults: () => ({
      pick: (inputs) => (inputs.length === 2 ? inputs : named(inputs)),
    }),
  },
  'mixes calls that come at once': {
    fails: ['predict: each of many calls at once gets its own answer'],
    faults: () => {
      let open = 0;
      let last: readonly Tensor[] | undefined;
      return {
        predict: (predict) => async (batch, options) => {
          open += 1;
          const answer = await predict(batch, options);
          await new Promise((resolve) => setImmediate(resolve));
          const mixed = open > 30 && last !== undefined ? last : answer;
          last = answer;
          return mixed;
        },
      };
    },
  },
  'takes NaN for 0': {
    fails: ['predict: numbers that are not finite go through'],
    faults: () => ({
      answer: (outputs) =>
        outputs.map((output) => ({
          ...output,
          data: (output.data as Float32Array).map((x) => (Number.isNaN(x) ? 0 : x)),
        })),
    }),
  },
  'writes into the inputs': {
    fails: ['predict: leaves the inputs of its caller as they are'],
    faults: () => ({
      answer: (outputs, { inputs }) => {
        if (inputs[0]?.shape[0] === 5) (inputs[0].data as Float32Array).fill(0);
        return outputs;
      },
    }),
  },
  'answers the same buffer again': {
    fails: ['predict: an answer stays what it is'],
    faults: () => {
      kept = undefined;
      return {
        answer: (outputs) => {
          if (outputs[0]?.shape[0] !== 6) return outputs;
          kept ??= outputs;
          for (const [i, output] of kept.entries())
            (output.data as Float32Array).set(outputs[i]?.data as Float32Array);
          return kept;
        },
      };
    },
  },
  'takes a missing input for the other one': {
    fails: ['predict: inputs that the signature does not take are refused by name'],
    faults: () => ({
      pick: (inputs) => named(inputs).map((input) => input ?? inputs[0]),
    }),
  },
  'does not know signals': {
    fails: ['predict: a call that its caller has given up rejects with ABORTED'],
    faults: () => ({
      predict:
        (predict) =>
        (batch, { deadlineAt }) =>
          predict(batch, deadlineAt === undefined ? {} : { deadlineAt }),
    }),
  },
  'does not know deadlines': {
    fails: ['predict: a call whose deadline has passed rejects with TIMEOUT'],
    faults: () => ({
      predict:
        (predict) =>
        (batch, { signal }) =>
          predict(batch, signal === undefined ? {} : { signal }),
    }),
  },
  'does not say which file is damaged': {
    fails: ['load: what cannot be loaded is named'],
    faults: () => ({
      load: (load) => async (source, signature, config) => {
        if ('directory' in source && source.directory === '/damaged')
          throw new KeelsonError('FAILED', 'It does not work.');
        return load(source, signature, config);
      },
    }),
  },
  'believes any signature': {
    fails: ['load: a signature that the files contradict is refused'],
    faults: () => ({
      load: (load) => (source, _signature, config) =>
        load(
          source,
          {
            inputs: ['a', 'b'].map((name) => ({ name, datatype: 'FP32', shape: [-1, 2] })),
            outputs: [],
          },
          config,
        ),
    }),
  },
  'passes over configuration that it does not know': {
    fails: ['load: configuration that is none is refused'],
    faults: () => ({ load: (load) => (source, signature) => load(source, signature, {}) }),
  },
  'is healthy for ever': {
    fails: ['health: ok while the model is loaded, and not afterwards'],
    faults: () => ({ model: (model) => ({ ...model, health: async () => ({ ok: true }) }) }),
  },
  'answers after it was unloaded': {
    fails: ['unload: finishes calls that are under way, takes no more, twice is fine'],
    faults: () => ({
      predict: (predict) => (batch, options) =>
        predict(batch, options).catch((error: unknown) => {
          if ((error as KeelsonError).code === 'CLOSED') return compute(named(batch.inputs));
          throw error;
        }),
    }),
  },
  'unloads what others have loaded too': {
    fails: ['unload: other loaded models go on'],
    faults: () => {
      const all: LoadedModel[] = [];
      return {
        model: (model) => {
          all.push(model);
          return {
            ...model,
            async unload() {
              for (const each of all) await each.unload();
            },
          };
        },
      };
    },
  },
};
