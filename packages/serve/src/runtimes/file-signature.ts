import type { TensorSpec } from '@keelson/core';
import { ModelFault } from './model-fault.ts';

/** A tensor as a model's file declares it. */
export interface DeclaredTensor {
  readonly name: string;
  /** As the file's runtime calls it; undefined where the file does not say. */
  readonly type: string | undefined;
  /** −1 is a free size; undefined where the file does not say. */
  readonly shape: readonly number[] | undefined;
}

/**
 * Holds one tensor of a signature against the file's own word. ModelFault (INVALID), naming the tensor, where they
 * contradict: another type, another number of dimensions, another size, or a size that the signature leaves free and
 * an input of the file does not.
 */
export function assertDeclared(
  side: 'input' | 'output',
  spec: TensorSpec,
  declared: DeclaredTensor,
  typeOfDatatype: string | undefined,
  file: string,
): void {
  const refuse = (what: string): never => {
    throw new ModelFault(
      'INVALID',
      `The signature contradicts ${file}: ${side} "${spec.name}" ${what}.`,
    );
  };
  const { shape, type = typeOfDatatype } = declared;
  if (typeOfDatatype === undefined || typeOfDatatype !== type) {
    refuse(`has the datatype ${spec.datatype}, and the file says ${type ?? 'nothing of it'}`);
  }
  if (shape === undefined || spec.unranked) return;
  const fits =
    shape.length === spec.shape.length &&
    shape.every((size, d) => {
      const wanted = spec.shape[d] as number;
      if (size === -1 || size === wanted) return true;
      // What comes out is looked at in each answer; what goes in must be taken in every size that is promised.
      return side === 'output' && wanted === -1;
    });
  if (!fits) refuse(`has the shape [${spec.shape}], and the file says [${shape}] (−1 is any size)`);
}

/** ModelFault (INVALID) where the names of a side do not cover the file's inputs, or name what the file does not have. */
export function assertNames(
  side: 'input' | 'output',
  specs: readonly TensorSpec[],
  names: readonly string[],
  file: string,
): void {
  const quoted = (list: readonly string[]): string =>
    list
      .slice(0, 20)
      .map((name) => `"${name}"`)
      .join(', ') || 'none';
  const unknown = specs.find(({ name }) => !names.includes(name));
  if (unknown !== undefined) {
    throw new ModelFault(
      'INVALID',
      `The signature contradicts ${file}: there is no ${side} "${unknown.name}"; its ${side}s are ${quoted(names)}.`,
    );
  }
  const missing = names.find((name) => !specs.some((spec) => spec.name === name));
  if (side === 'input' && missing !== undefined) {
    throw new ModelFault(
      'INVALID',
      `The signature contradicts ${file}: it lacks the input "${missing}"; the file's inputs are ${quoted(names)}.`,
    );
  }
  if (side === 'output' && specs.length === 0) {
    throw new ModelFault(
      'INVALID',
      `The signature has no outputs as tensors; those of ${file} are ${quoted(names)}.`,
    );
  }
}
