import fc from 'fast-check';
import { expect, test } from 'vitest';
import { filesOf, type MemoryFiles, modelIn } from '../../../test/models/model-files.ts';
import { isKeelsonError } from '../../errors.ts';
import { encodeJson } from '../../json.ts';
import { readModelFacts } from './read-model-facts.ts';

const sources = await Promise.all(
  [
    modelIn('onnx', 'metadata.onnx'),
    modelIn('onnx', 'zipmap.onnx'),
    modelIn('onnx', 'external.onnx'),
    modelIn('onnx', 'sparse-constant.onnx'),
    modelIn('onnx', 'optional-input.onnx'),
    modelIn('tensorflow/several', 'saved_model.pb'),
    modelIn('mlflow/every-type', 'MLmodel'),
    modelIn('xgboost', 'named.json'),
    modelIn('xgboost', 'named.ubj'),
    modelIn('pytorch', 'script.pt'),
    modelIn('pytorch', 'net.pt2'),
    modelIn('pickle', 'p2.pkl'),
    modelIn('pickle', 'mz.joblib'),
  ].map(async (files: MemoryFiles) => {
    const path = files.files[0]?.path as string;
    return { path, bytes: await files.read(path) };
  }),
);

/** Bytes flipped, cut off, doubled, left out or overwritten. */
const damage = fc.oneof(
  fc.record({ kind: fc.constant('flip'), at: fc.nat(), bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('set'), at: fc.nat(), bit: fc.constantFrom(0, 0x7f, 0x80, 0xff) }),
  fc.record({ kind: fc.constantFrom('cut', 'leave', 'double'), at: fc.nat(), bit: fc.nat(200) }),
);

function damaged(
  bytes: Uint8Array,
  { kind, at: place, bit }: { readonly kind: string; readonly at: number; readonly bit: number },
): Uint8Array {
  const at = place % Math.max(1, bytes.length);
  const before = bytes.subarray(0, at);
  if (kind === 'cut') return before;
  if (kind === 'leave') return Buffer.concat([before, bytes.subarray(at + bit)]);
  if (kind === 'double')
    return Buffer.concat([before, bytes.subarray(at, at + bit), bytes.subarray(at)]);
  const changed = Uint8Array.from(bytes);
  changed[at] = kind === 'set' ? bit : (bytes[at] ?? 0) ^ (1 << bit);
  return changed;
}

test('damaged models are read or refused, naming the file, and what is read can be stored', async () => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...sources),
      fc.array(damage, { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      async ({ path, bytes }, faults, renamed) => {
        const name = renamed && path !== 'MLmodel' ? 'anything' : path;
        const content = faults.reduce(damaged, bytes);
        try {
          const facts = await readModelFacts(filesOf({ [name]: content }));
          encodeJson(facts ?? null);
        } catch (error) {
          if (!isKeelsonError(error, 'CORRUPT', 'INVALID')) throw error;
          expect(error.details['file']).toBe(name);
          expect(error.message).toContain(name);
          refused += 1;
        }
      },
    ),
    { numRuns: 2_000 },
  );
  expect(refused).toBeGreaterThan(200);
}, 120_000);

test('what is cut off anywhere is read or refused', async () => {
  for (const { path, bytes } of sources.filter(({ bytes: { length } }) => length < 4_000)) {
    for (let end = 0; end < bytes.length; end += 7) {
      const result = await readModelFacts(filesOf({ [path]: bytes.subarray(0, end) })).catch(
        (error: unknown) => error,
      );
      if (result instanceof Error) expect(isKeelsonError(result, 'CORRUPT', 'INVALID')).toBe(true);
    }
  }
}, 60_000);
