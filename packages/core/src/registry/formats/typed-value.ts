import type { Datatype, ModelSignature, TensorSpec } from '../../contracts/model-runtime.ts';
import type { Json, JsonObject } from '../../json.ts';

/** One input or output as a file declares it. */
export interface TypedValue {
  readonly name: string;
  /** In the format's own words, such as `seq(map(int64,tensor(float)))`; `undefined` where there is none. */
  readonly type: string;
  /** Absent for what is no tensor, or one of elements that have no datatype. */
  readonly datatype?: Datatype;
  /** Sizes; names of free ones; null where nothing is said. Absent where even their number is open. */
  readonly shape?: readonly (number | string | null)[];
  /** Whether callers may leave it out. */
  readonly optional?: boolean;
}

/** A value for the details of a model's facts. */
export function describeValue({ name, type, shape, optional }: TypedValue): JsonObject {
  return {
    name,
    type,
    ...(shape === undefined ? {} : { shape: shape as readonly Json[] }),
    ...(optional === true ? { optional } : {}),
  };
}

/**
 * The signature that typed values make: those which are tensors. There is none when an input that must be given
 * is no tensor, since nobody could call the model by it; what is left out is noted.
 */
export function signatureOf(
  inputs: readonly TypedValue[],
  outputs: readonly TypedValue[],
): { readonly signature?: ModelSignature; readonly notes: readonly string[] } {
  const notes: string[] = [];
  let callable = true;
  const tensorsOf = (values: readonly TypedValue[], side: 'Input' | 'Output') =>
    values.flatMap((value): TensorSpec[] => {
      if (value.datatype !== undefined && value.optional !== true)
        return [{ name: value.name, datatype: value.datatype, ...shapeOf(value.shape) }];
      if (side === 'Input' && value.optional !== true) callable = false;
      notes.push(`${side} ${JSON.stringify(value.name)} ${whyNot(value)}.`);
      return [];
    });
  const signature: ModelSignature = {
    inputs: tensorsOf(inputs, 'Input'),
    outputs: tensorsOf(outputs, 'Output'),
  };
  if (notes.length > 0)
    notes.push(
      callable && signature.outputs.length > 0
        ? 'The signature leaves out what the notes above name.'
        : 'So there is no signature of tensors.',
    );
  return callable && signature.outputs.length > 0 ? { signature, notes } : { notes };
}

function shapeOf(shape: TypedValue['shape']): Pick<TensorSpec, 'shape' | 'unranked'> {
  if (shape === undefined) return { shape: [], unranked: true };
  return { shape: shape.map((size) => (typeof size === 'number' && size >= 0 ? size : -1)) };
}

function whyNot({ type, optional }: TypedValue): string {
  if (type === 'undefined') return 'has no type in the file';
  const what =
    optional === true ? 'which may be left out' : 'which no tensor of a signature can be';
  return `is ${article(type)}, ${what}`;
}

function article(type: string): string {
  return `${/^[aeio]/.test(type) ? 'an' : 'a'} ${type}`;
}
