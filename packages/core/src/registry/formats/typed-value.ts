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

/** One side of a signature, as far as tensors go. */
export interface TensorSide {
  readonly tensors: readonly TensorSpec[];
  /** Whether all that must be there is. */
  readonly complete: boolean;
  /** What is left out, and why. */
  readonly notes: readonly string[];
}

/** Those of the values that are tensors. */
export function tensorsAmong(values: readonly TypedValue[], side: 'Input' | 'Output'): TensorSide {
  const isTensor = (value: TypedValue) => value.datatype !== undefined && value.optional !== true;
  return {
    tensors: values.filter(isTensor).map(({ name, datatype, shape }) => ({
      name,
      datatype: datatype as Datatype,
      ...shapeOf(shape),
    })),
    complete: values.every((value) => isTensor(value) || value.optional === true),
    notes: values
      .filter((value) => !isTensor(value))
      .map((value) => `${side} ${JSON.stringify(value.name)} ${whyNot(value)}.`),
  };
}

/**
 * The signature that typed values make: those which are tensors. There is none when an input that must be given
 * is no tensor, since nobody could call the model by it, nor when no output is one; what is left out is noted.
 */
export function signatureOf(
  inputs: readonly TypedValue[],
  outputs: readonly TypedValue[],
): { readonly signature?: ModelSignature; readonly notes: readonly string[] } {
  const taken = tensorsAmong(inputs, 'Input');
  const given = tensorsAmong(outputs, 'Output');
  const notes = [...taken.notes, ...given.notes];
  const usable = taken.complete && given.tensors.length > 0;
  if (!usable) return { notes: [...notes, 'So there is no signature of tensors.'] };
  const signature = { inputs: taken.tensors, outputs: given.tensors };
  if (notes.length === 0) return { signature, notes };
  return { signature, notes: [...notes, 'The signature leaves out what the notes above name.'] };
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
