import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ModelSignature, openPlatform, type Platform, type TensorSpec } from '@keelson/core';
import { InferenceSession } from 'onnxruntime-node';
import { afterAll, beforeAll, expect, test } from 'vitest';

const models = fileURLToPath(new URL('../../core/test/models/onnx/', import.meta.url));

/** What onnxruntime calls the datatypes. */
const datatypes: Readonly<Record<string, TensorSpec['datatype']>> = {
  float32: 'FP32',
  float64: 'FP64',
  float16: 'FP16',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  bool: 'BOOL',
  string: 'BYTES',
};

let platform: Platform;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keelson-onnx-'));
  platform = await openPlatform({ dir });
});

afterAll(async () => {
  await platform.close();
  await rm(dir, { recursive: true, force: true });
});

/** One side as onnxruntime tells it; undefined for types that its JavaScript side does not know. */
function reported(side: InferenceSession['inputMetadata']): object[] | undefined {
  const specs = side.map((each) => {
    const datatype = each.isTensor ? datatypes[each.type] : undefined;
    if (!each.isTensor || datatype === undefined) return undefined;
    const shape = each.shape.map((size) => (typeof size === 'number' && size >= 0 ? size : -1));
    return { name: each.name, datatype, shape };
  });
  return specs.every((spec) => spec !== undefined) ? specs : undefined;
}

const plain = ({ name, datatype, shape }: TensorSpec): object => ({ name, datatype, shape });

test('a signature that is read from a file at registration is what onnxruntime reports of that file', async () => {
  const files = (await readdir(models)).filter((file) => file.endsWith('.onnx'));
  const beside = (await readdir(models)).filter((file) => !/\.(onnx|json)$/.test(file));
  let compared = 0;
  for (const file of files) {
    const session = await InferenceSession.create(join(models, file)).catch(() => undefined);
    const inputs = session && reported(session.inputMetadata);
    const outputs = session && reported(session.outputMetadata);
    await session?.release();
    if (inputs === undefined || outputs === undefined) continue;
    const parts = [file, ...beside].map(async (name) => [name, await readFile(join(models, name))]);
    const { signature } = await platform.registry.register({
      model: file.replace('.onnx', ''),
      from: { files: Object.fromEntries(await Promise.all(parts)) },
    });
    const { inputs: read, outputs: told } = signature as ModelSignature;
    expect({ file, inputs: read.map(plain) }).toEqual({ file, inputs });
    expect({ file, outputs: told.map(plain) }).toEqual({ file, outputs });
    compared += 1;
  }
  expect(compared).toBeGreaterThan(25);
});
