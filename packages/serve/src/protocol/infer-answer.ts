import type { Tensor } from '@keelson/core';
import { tensorToBytes } from './binary-tensors.ts';
import type { RequestedOutput } from './infer-request.ts';
import { hasJsonForm, tensorToJson } from './json-tensors.ts';
import { malformed } from './refusal.ts';

/** What an answer of `POST …/infer` says. */
export interface InferAnswer {
  readonly modelName: string;
  readonly modelVersion: string;
  /** Echoed as the caller gave it; undefined where it gave none. */
  readonly id: string | undefined;
  readonly outputs: readonly Tensor[];
  /** Which outputs the caller asked for, in its order; undefined for all. */
  readonly requested: readonly RequestedOutput[] | undefined;
  readonly binaryOutputs: boolean;
  /** Said of the answer as a whole. */
  readonly parameters?: Readonly<Record<string, string>> | undefined;
}

/** An answer, ready to be sent. */
export interface EncodedAnswer {
  /** JSON as text; with binary tensors behind it, bytes. */
  readonly body: string | Uint8Array;
  /** The length of the JSON part where binary tensors follow it. */
  readonly headerLength: number | undefined;
}

/**
 * Encodes an answer. Outputs without a JSON form (FP16, BF16, BYTES that are no UTF-8) are answered as binary
 * tensor data whatever was asked. INVALID (400) for a requested output that the model does not have.
 */
export function encodeInferAnswer(answer: InferAnswer): EncodedAnswer {
  const binaries: Uint8Array[] = [];
  const outputs = chooseOutputs(answer).map(({ tensor, binary }) => {
    const head = `{"name":${JSON.stringify(tensor.name)},"shape":[${tensor.shape}],"datatype":"${tensor.datatype}"`;
    if (!binary && hasJsonForm(tensor)) return `${head},"data":${tensorToJson(tensor)}}`;
    const bytes = tensorToBytes(tensor);
    binaries.push(bytes);
    return `${head},"parameters":{"binary_data_size":${bytes.byteLength}}}`;
  });
  const id = answer.id === undefined ? '' : `,"id":${JSON.stringify(answer.id)}`;
  const parameters =
    answer.parameters === undefined ? '' : `,"parameters":${JSON.stringify(answer.parameters)}`;
  const header = `{"model_name":${JSON.stringify(answer.modelName)},"model_version":${JSON.stringify(answer.modelVersion)}${id}${parameters},"outputs":[${outputs.join(',')}]}`;
  if (binaries.length === 0) return { body: header, headerLength: undefined };
  const bytes = Buffer.from(header);
  return { body: Buffer.concat([bytes, ...binaries]), headerLength: bytes.byteLength };
}

function chooseOutputs(answer: InferAnswer): readonly { tensor: Tensor; binary: boolean }[] {
  const { requested, outputs, binaryOutputs } = answer;
  if (requested === undefined) return outputs.map((tensor) => ({ tensor, binary: binaryOutputs }));
  return requested.map((output, i) => {
    const tensor = outputs.find(({ name }) => name === output.name);
    if (tensor === undefined) throw unknownOutput(i, output.name, outputs);
    return { tensor, binary: output.binary ?? binaryOutputs };
  });
}

/** INVALID (400) for a requested output which is none of those that the model has. */
export function unknownOutput(
  index: number,
  name: string,
  outputs: readonly { readonly name: string }[],
): ReturnType<typeof malformed> {
  const names = outputs.map((output) => JSON.stringify(output.name)).join(', ');
  return malformed(`outputs[${index}].name`, `one of ${names}`, JSON.stringify(name.slice(0, 60)));
}
