import type { ModelSignature, Tensor, TensorSpec } from '@keelson/core';
import { datatypeFacts } from '../protocol/datatypes.ts';
import { roundedInteger } from '../protocol/elements.ts';
import { readJsonBody } from '../protocol/json-body.ts';
import { ModelFault } from '../runtimes/model-fault.ts';
import { outputTensor } from '../runtimes/output-tensor.ts';

/**
 * Reads a JSON answer, numbers exactly. `pick` finds the values of an output in it, nested row by row; a missing one,
 * and one that is not what the signature says, is a ModelFault (FAILED).
 */
export function tensorsOfJson(
  bytes: Uint8Array,
  { outputs }: ModelSignature,
  rowCount: number,
  pick: (value: unknown, spec: TensorSpec) => unknown,
): readonly Tensor[] {
  return readJsonBody(bytes, (value, unsafe) =>
    outputs.map((spec) => {
      const found = elementsOf(spec, pick(value, spec), unsafe);
      return outputTensor(spec, fitRank(spec, found, rowCount), rowCount);
    }),
  );
}

/** Numbers that are texts as numbers, bytes in base64 as bytes, rounded integers as cause to read again. */
function elementsOf(spec: TensorSpec, value: unknown, unsafe: 'throw' | 'fault'): unknown {
  if (Array.isArray(value)) return value.map((item) => elementsOf(spec, item, unsafe));
  const { kind } = datatypeFacts(spec.datatype);
  if (kind === 'float') return floatOf(value);
  if (kind === 'bigint' && typeof value === 'number' && unsafe === 'throw') {
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw roundedInteger;
  }
  if (kind === 'boolean' && (value === 0 || value === 1)) return value === 1;
  if (kind === 'bytes' && typeof value === 'object' && value !== null) {
    const { b64 } = value as { readonly b64?: unknown };
    if (typeof b64 === 'string') return new Uint8Array(Buffer.from(b64, 'base64'));
  }
  // Labels that are numbers to the server's library.
  if (kind === 'bytes' && typeof value === 'number') return String(value);
  return value;
}

function floatOf(value: unknown): unknown {
  switch (value) {
    case 'NaN':
    case 'nan':
      return Number.NaN;
    case 'Infinity':
      return Number.POSITIVE_INFINITY;
    case '-Infinity':
      return Number.NEGATIVE_INFINITY;
    default:
      return typeof value === 'bigint' ? Number(value) : value;
  }
}

/** Servers differ in whether a value of each row is `[v, …]` or `[[v], …]`: where that is all, it is as the signature has it. */
function fitRank(spec: TensorSpec, value: unknown, rowCount: number): unknown {
  if (!Array.isArray(value)) {
    if (value !== undefined && value !== null && spec.shape.length === 0) return [value];
    if (typeof value === 'object' || value === undefined) {
      throw new ModelFault(
        'FAILED',
        `The server's answer has no list for the output "${spec.name}".`,
      );
    }
    return value;
  }
  // Rows are counted where they stand: a flat list of a wrong length could be taken for rows of another width.
  if (spec.shape[0] === -1 && value.length !== rowCount) {
    throw new ModelFault(
      'FAILED',
      `The server answered ${value.length} rows of "${spec.name}" for ${rowCount} input rows.`,
    );
  }
  if (spec.shape.length === 1 && value.every((item) => Array.isArray(item) && item.length === 1)) {
    return value.map((item) => (item as readonly unknown[])[0]);
  }
  if (spec.shape.length === 2 && value.every((item) => !Array.isArray(item))) {
    return value.map((item) => [item]);
  }
  return value;
}
