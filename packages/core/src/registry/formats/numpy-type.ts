import type { Datatype } from '../../contracts/model-runtime.ts';

const datatypes: Readonly<Record<string, Datatype>> = {
  bool: 'BOOL',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  float16: 'FP16',
  bfloat16: 'BF16',
  float32: 'FP32',
  float64: 'FP64',
  str: 'BYTES',
  string: 'BYTES',
  bytes: 'BYTES',
  object: 'BYTES',
};

/** The datatype of a dtype by NumPy's, Keras's or TensorFlow's name, such as `float32` or `<U7`; none for complex numbers and times. */
export function numpyDatatype(name: string): Datatype | undefined {
  if (/^[<>|=]?[US]\d*$/.test(name)) return 'BYTES';
  return Object.hasOwn(datatypes, name) ? datatypes[name] : undefined;
}
