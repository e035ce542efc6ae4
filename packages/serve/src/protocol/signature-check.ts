import type { ModelSignature, Tensor, TensorSpec } from '@keelson/core';
import { unknownOutput } from './infer-answer.ts';
import type { RequestedOutput } from './infer-request.ts';
import { malformed, refusal } from './refusal.ts';

/** Inputs that a signature accepts, in its order. */
export interface CheckedInputs {
  readonly inputs: readonly Tensor[];
  readonly rowCount: number;
}

/** Holds requests against one signature; compiled once per model version. */
export interface SignatureCheck {
  readonly signature: ModelSignature;
  /** Rejects with INVALID (422), naming input and expectation, what the signature does not accept. */
  check(inputs: readonly Tensor[]): CheckedInputs;
  /** INVALID (400) for a requested output that there is none of. */
  checkOutputs(requested: readonly RequestedOutput[] | undefined): void;
}

/** Compiles the check of a signature. −1 in a shape is a free size; a free first one is the number of rows. */
export function compileSignature(signature: ModelSignature): SignatureCheck {
  const places = new Map(signature.inputs.map((spec, i) => [spec.name, i]));
  return {
    signature,
    check: (inputs) => checkInputs(signature.inputs, places, inputs),
    checkOutputs(requested) {
      requested?.forEach(({ name }, i) => {
        if (!signature.outputs.some((output) => output.name === name)) {
          throw unknownOutput(i, name, signature.outputs);
        }
      });
    },
  };
}

function checkInputs(
  specs: readonly TensorSpec[],
  places: ReadonlyMap<string, number>,
  inputs: readonly Tensor[],
): CheckedInputs {
  const ordered: Tensor[] = new Array(specs.length);
  let rowCount: number | undefined;
  for (let i = 0; i < inputs.length; i += 1) {
    const tensor = inputs[i] as Tensor;
    const place = places.get(tensor.name);
    if (place === undefined)
      throw contradiction(`inputs[${i}].name`, `one of ${names(specs)}`, quote(tensor.name));
    if (ordered[place] !== undefined)
      throw malformed(`inputs[${i}].name`, 'each input once', quote(tensor.name));
    const spec = specs[place] as TensorSpec;
    checkTensor(spec, tensor, i);
    if (spec.shape[0] === -1) {
      rowCount ??= tensor.shape[0] as number;
      if (tensor.shape[0] !== rowCount) {
        throw contradiction(
          `inputs[${i}].shape`,
          `${rowCount} rows, as the inputs before it have`,
          `${tensor.shape[0]}`,
        );
      }
    }
    ordered[place] = tensor;
  }
  if (inputs.length < specs.length) {
    const missing = specs.filter((_, place) => ordered[place] === undefined);
    throw contradiction('inputs', `${names(specs)}`, `a request without ${names(missing)}`);
  }
  return { inputs: ordered, rowCount: rowCount ?? ordered[0]?.shape[0] ?? 1 };
}

function checkTensor(spec: TensorSpec, tensor: Tensor, index: number): void {
  if (tensor.datatype !== spec.datatype) {
    throw contradiction(
      `inputs[${index}].datatype`,
      `${spec.datatype} for ${quote(spec.name)}`,
      tensor.datatype,
    );
  }
  const { shape } = tensor;
  let fits = shape.length === spec.shape.length;
  for (let d = 0; fits && d < shape.length; d += 1)
    fits = spec.shape[d] === -1 || spec.shape[d] === shape[d];
  if (!fits && spec.unranked !== true) {
    throw contradiction(
      `inputs[${index}].shape`,
      `[${spec.shape}] for ${quote(spec.name)} (−1 is any size)`,
      `[${shape}]`,
    );
  }
}

function contradiction(
  path: string,
  expectation: string,
  found: string,
): ReturnType<typeof refusal> {
  return refusal(422, 'INVALID', `${path}: the model expects ${expectation}, not ${found}.`, {
    path,
  });
}

function names(specs: readonly TensorSpec[]): string {
  return specs.map(({ name }) => quote(name)).join(', ');
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
