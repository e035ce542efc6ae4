import type { Datatype } from '../../contracts/model-runtime.ts';

/** DataType of TensorFlow's types.proto, by number: its name, and the datatype where there is one. */
const types: Readonly<Record<number, readonly [name: string, datatype?: Datatype]>> = {
  1: ['FLOAT', 'FP32'],
  2: ['DOUBLE', 'FP64'],
  3: ['INT32', 'INT32'],
  4: ['UINT8', 'UINT8'],
  5: ['INT16', 'INT16'],
  6: ['INT8', 'INT8'],
  7: ['STRING', 'BYTES'],
  8: ['COMPLEX64'],
  9: ['INT64', 'INT64'],
  10: ['BOOL', 'BOOL'],
  11: ['QINT8'],
  12: ['QUINT8'],
  13: ['QINT32'],
  14: ['BFLOAT16', 'BF16'],
  15: ['QINT16'],
  16: ['QUINT16'],
  17: ['UINT16', 'UINT16'],
  18: ['COMPLEX128'],
  19: ['HALF', 'FP16'],
  20: ['RESOURCE'],
  21: ['VARIANT'],
  22: ['UINT32', 'UINT32'],
  23: ['UINT64', 'UINT64'],
  24: ['FLOAT8_E5M2'],
  25: ['FLOAT8_E4M3FN'],
  29: ['INT4'],
  30: ['UINT4'],
};

/** Type and datatype by the number that binary files have, or by the name that JSON has (`DT_FLOAT`). */
export function tensorflowType(type: number | string): {
  readonly type: string;
  readonly datatype?: Datatype;
} {
  const name = typeof type === 'string' ? type.replace(/^DT_/, '') : undefined;
  const found =
    typeof type === 'number' ? types[type] : Object.values(types).find(([each]) => each === name);
  const [word, datatype] = found ?? [name ?? `data type ${type}`];
  return { type: word.toLowerCase(), ...(datatype === undefined ? {} : { datatype }) };
}
