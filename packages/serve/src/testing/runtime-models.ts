import type { Isolation, ModelRuntime } from '@keelson/core';
import type { ModelRuntimeHarness } from '@keelson/core/testing';
import { JavaScriptRuntime, OnnxRuntime, TfjsRuntime } from '../runtimes/replica-runtime.ts';
import { onnxModel } from './onnx-models.ts';
import { ServingBed } from './serving-bed.ts';

type Files = Readonly<Record<string, string | Uint8Array>>;

const value = (name: string) => ({ name, type: 'FP32', shape: [-1, 2] }) as const;

/** The model of the suite for `ModelRuntime` (`sum` and `difference` of `a` and `b`), as each runtime takes it. */
export const suiteModels: Readonly<Record<'javascript' | 'onnx' | 'tfjs', Files>> = {
  javascript: {
    'model.mjs': `export const load = () => ({
      predict({ a, b }) {
        return {
          sum: a.data.map((x, i) => x + b.data[i]),
          difference: a.data.map((x, i) => x - b.data[i]),
        };
      },
    });`,
  },
  onnx: {
    'model.onnx': onnxModel({
      inputs: [value('a'), value('b')],
      outputs: [value('sum'), value('difference')],
      nodes: [
        [['a', 'b'], 'Add', ['sum']],
        [['a', 'b'], 'Sub', ['difference']],
      ],
    }),
  },
  tfjs: { 'model.json': JSON.stringify(graphModel()) },
};

/** A graph model of TensorFlow.js, as its converter writes it. */
function graphModel(): object {
  const shape = { dim: [{ size: '-1' }, { size: '2' }] };
  const float = { type: 'DT_FLOAT' };
  const placeholder = (name: string): object => ({
    name,
    op: 'Placeholder',
    attr: { dtype: float, shape: { shape } },
  });
  const node = (name: string, op: string): object => ({
    name,
    op,
    input: ['a', 'b'],
    attr: { T: float },
  });
  const tensor = (name: string): object => ({
    name: `${name}:0`,
    dtype: 'DT_FLOAT',
    tensorShape: shape,
  });
  return {
    format: 'graph-model',
    generatedBy: '2.15.0',
    convertedBy: 'TensorFlow.js Converter v4.22.0',
    signature: {
      inputs: { a: tensor('a'), b: tensor('b') },
      outputs: { sum: tensor('sum'), difference: tensor('difference') },
    },
    modelTopology: {
      node: [placeholder('a'), placeholder('b'), node('sum', 'AddV2'), node('difference', 'Sub')],
      versions: { producer: 1 },
    },
    weightsManifest: [],
  };
}

const damaged: Readonly<Record<keyof typeof suiteModels, Files>> = {
  javascript: { 'model.mjs': 'export const load = {' },
  onnx: { 'model.onnx': (suiteModels.onnx['model.onnx'] as Uint8Array).subarray(0, 40) },
  tfjs: { 'model.json': '{ "modelTopology": ' },
};

const runtimes: Readonly<
  Record<keyof typeof suiteModels, new (isolation: Isolation) => ModelRuntime>
> = { javascript: JavaScriptRuntime, onnx: OnnxRuntime, tfjs: TfjsRuntime };

/** A runtime with the suite's model in a directory of its own. */
export async function runtimeHarness(
  name: keyof typeof suiteModels,
  isolation: Isolation,
): Promise<ModelRuntimeHarness> {
  const bed = await ServingBed.open();
  const [sound, broken] = await Promise.all([
    bed.addModel('sound', suiteModels[name]),
    bed.addModel('damaged', damaged[name]),
  ]);
  const [file] = Object.keys(damaged[name]);
  return {
    runtime: new runtimes[name](isolation),
    source: { directory: sound.directory },
    config: { warmUpRows: 4 },
    damaged: { source: { directory: broken.directory }, names: file as string, code: 'FAILED' },
    knowsSignature: name !== 'javascript',
    [Symbol.asyncDispose]: () => bed[Symbol.asyncDispose](),
  };
}
