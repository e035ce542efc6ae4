import type { ModelSignature, Tensor } from '@keelson/core';
import { expect, test } from 'vitest';
import { compileSignature } from './signature-check.ts';

const tensor = (...shape: readonly number[]): Tensor => ({
  name: 'x',
  datatype: 'FP32',
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
});
const signature = (unranked: boolean): ModelSignature => ({
  inputs: [{ name: 'x', datatype: 'FP32', shape: [], ...(unranked ? { unranked } : {}) }],
  outputs: [],
});

test('an input of unknown rank takes tensors of any shape, a scalar does not', () => {
  for (const given of [tensor(), tensor(3), tensor(2, 2)]) {
    expect(compileSignature(signature(true)).check([given]).inputs).toEqual([given]);
  }
  expect(compileSignature(signature(false)).check([tensor()]).rowCount).toBe(1);
  expect(() => compileSignature(signature(false)).check([tensor(3)])).toThrow(/expects \[\]/);
});
