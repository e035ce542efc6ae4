import type { Json, JsonObject } from '../../json.ts';
import { numpyDatatype } from './numpy-type.ts';
import { objectIn, textIn } from './text-file.ts';
import type { TypedValue } from './typed-value.ts';

/** Inputs and outputs of a Keras model, by its layers. */
export interface KerasTopology {
  readonly inputs: readonly TypedValue[];
  readonly outputs: readonly TypedValue[];
}

type Shape = readonly (number | null)[];

interface Layer {
  readonly kind: string;
  readonly name: string;
  readonly config: JsonObject;
}

/**
 * What a model of Keras's own configuration takes and gives. Sizes of outputs are followed through a sequence of
 * layers that are known (dense, recurrent and normalising ones, those that keep shapes); elsewhere, and in models
 * that are no sequence, outputs are of unknown rank. undefined for configurations that are not known.
 */
export function readTopology(model: JsonObject): KerasTopology | undefined {
  const kind = textIn(model['class_name']) ?? textIn(model['className']);
  const config = model['config'];
  const layers = layersOf(Array.isArray(config) ? config : objectIn(config as Json)['layers']);
  if (layers.length === 0) return undefined;
  if (kind === 'Sequential') return sequence(layers);
  if (kind === 'Model' || kind === 'Functional') return network(objectIn(config), layers);
  return undefined;
}

function layersOf(value: Json | undefined): readonly Layer[] {
  if (!Array.isArray(value)) return [];
  return (value as readonly Json[]).map((each) => {
    const layer = objectIn(each);
    const config = objectIn(layer['config']);
    return {
      kind: textIn(layer['class_name']) ?? textIn(layer['className']) ?? '',
      name: textIn(config['name']) ?? textIn(layer['name']) ?? '',
      config,
    };
  });
}

function sequence(layers: readonly Layer[]): KerasTopology | undefined {
  const first = layers[0] as Layer;
  const last = layers.at(-1) as Layer;
  const start = inputShape(first);
  if (start === undefined) return undefined;
  const name = first.kind === 'InputLayer' ? first.name : `${first.name}_input`;
  const end = layers.reduce<Shape | undefined>(
    (shape, layer) => (shape === undefined ? undefined : shapeAfter(layer, shape)),
    start,
  );
  return {
    inputs: [tensorOf(name, first, start)],
    outputs: [tensorOf(last.name, last, end)],
  };
}

function network(config: JsonObject, layers: readonly Layer[]): KerasTopology | undefined {
  const named = (names: Json | undefined) => {
    // One tensor alone may stand without a list around it.
    const list = Array.isArray(names) && typeof names[0] === 'string' ? [names] : names;
    if (!Array.isArray(list)) return [];
    return list.map((each) => layers.find(({ name }) => Array.isArray(each) && name === each[0]));
  };
  const inputs = named(config['input_layers'] ?? config['inputLayers']);
  const outputs = named(config['output_layers'] ?? config['outputLayers']);
  const shapes = inputs.map((layer) => (layer === undefined ? undefined : inputShape(layer)));
  if (inputs.length === 0 || outputs.length === 0) return undefined;
  if (shapes.includes(undefined) || outputs.includes(undefined)) return undefined;
  return {
    inputs: inputs.map((layer, i) => tensorOf((layer as Layer).name, layer as Layer, shapes[i])),
    outputs: outputs.map((layer) => tensorOf((layer as Layer).name, layer as Layer, undefined)),
  };
}

function tensorOf(name: string, { config }: Layer, shape: Shape | undefined): TypedValue {
  const { dtype } = config;
  const policy = textIn(dtype) ?? textIn(objectIn(objectIn(dtype)['config'])['name']) ?? 'float32';
  // Mixed policies compute in the type that they name.
  const type = policy.replace(/^mixed_/, '');
  const datatype = numpyDatatype(type);
  return {
    name,
    type,
    ...(datatype === undefined ? {} : { datatype }),
    ...(shape === undefined ? {} : { shape }),
  };
}

function inputShape({ config }: Layer): Shape | undefined {
  return shapeIn(config['batch_input_shape'] ?? config['batchInputShape'] ?? config['batch_shape']);
}

function shapeIn(value: Json | undefined): Shape | undefined {
  const isSize = (size: Json) =>
    size === null || (Number.isSafeInteger(size) && (size as number) >= -1);
  if (!Array.isArray(value) || value.length > 64 || !value.every(isSize)) return undefined;
  return (value as Shape).map((size) => (size === -1 ? null : size));
}

const keepsShape: ReadonlySet<string> = new Set([
  'InputLayer',
  'Activation',
  'ReLU',
  'LeakyReLU',
  'ELU',
  'Softmax',
  'Dropout',
  'SpatialDropout1D',
  'GaussianNoise',
  'GaussianDropout',
  'AlphaDropout',
  'BatchNormalization',
  'LayerNormalization',
]);

const recurrent: ReadonlySet<string> = new Set(['LSTM', 'GRU', 'SimpleRNN']);

/** The shape that a layer gives for one that it takes, where that is known. */
function shapeAfter({ kind, config }: Layer, shape: Shape): Shape | undefined {
  if (keepsShape.has(kind)) return shape;
  const units = config['units'];
  if (kind === 'Dense' && typeof units === 'number') return [...shape.slice(0, -1), units];
  if (recurrent.has(kind) && typeof units === 'number' && shape.length === 3) {
    const whole = config['return_sequences'] ?? config['returnSequences'];
    return whole === true ? [...shape.slice(0, 2), units] : [shape[0] ?? null, units];
  }
  if (kind === 'Flatten') {
    const rest = shape.slice(1);
    return [
      shape[0] ?? null,
      rest.includes(null) ? null : (rest as number[]).reduce((a, b) => a * b, 1),
    ];
  }
  const width = config['output_dim'] ?? config['outputDim'];
  if (kind === 'Embedding' && typeof width === 'number') return [...shape, width];
  return undefined;
}
