import type { Datatype, ModelSignature } from '@keelson/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { datatypes } from '../src/protocol/datatypes.ts';
import { type InferenceServer, serve } from '../src/serve.ts';
import { ServingBed } from '../src/testing/serving-bed.ts';
import { findPython, runChecks, type ScriptCheck } from './python/interpreter.ts';

const python = findPython();

const echoModule = `
export const load = () => ({
  predict: (inputs) => Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => [name.replace('x', 'y'), { data, shape }]),
  ),
});
`;
const files = {
  'model.mjs': echoModule,
  'keelson-model.json': JSON.stringify({ bytes: 'raw' }),
};

function echoSignature(names: readonly (readonly [string, Datatype])[]): ModelSignature {
  const specs = (prefix: string): ModelSignature['inputs'] =>
    names.map(([name, datatype]) => ({ name: `${prefix}${name}`, datatype, shape: [-1, 2] }));
  return { inputs: specs('x'), outputs: specs('y') };
}

describe.skipIf(python === undefined)('real clients', () => {
  let bed: ServingBed;
  let echoes: InferenceServer;
  let every: InferenceServer;

  beforeAll(async () => {
    bed = await ServingBed.open();
    for (const datatype of datatypes) {
      const id = datatype.toLowerCase();
      await bed.addModel(id, files, echoSignature([['', datatype]]));
      bed.setRoute({ [id]: 100 }, {}, `echo-${id}`);
    }
    await bed.addModel(
      'every',
      files,
      echoSignature(datatypes.map((datatype) => [`-${datatype}`, datatype])),
    );
    bed.setRoute({ every: 100 }, {}, 'every');
    echoes = await serve(bed.source, {
      deployments: datatypes.map((datatype) => `echo-${datatype.toLowerCase()}`),
      isolation: 'none',
      modelControl: 'explicit',
    });
    every = await serve(bed.source, { deployments: ['every'], maxBodyBytes: 100_000 });
  });

  afterAll(async () => {
    await echoes?.close();
    await every?.close();
    await bed?.[Symbol.asyncDispose]();
  });

  function addresses(): readonly string[] {
    return [echoes, every].map(({ url }) => url.replace('http://', ''));
  }

  function faultsOf(checks: readonly ScriptCheck[]): readonly string[] {
    return checks.flatMap(({ group, name, error }) =>
      error === null ? [] : [`${group}: ${name}: ${error}`],
    );
  }

  function countsOf(checks: readonly ScriptCheck[]): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { group } of checks) counts[group] = (counts[group] ?? 0) + 1;
    return counts;
  }

  test('tritonclient: every datatype in every form, compression, errors, repository, 20 at once', async () => {
    const checks = await runChecks(python as string, 'triton_checks.py', ...addresses());
    expect(faultsOf(checks)).toEqual([]);
    expect(countsOf(checks)).toEqual({
      datatypes: 79,
      'empty tensors': 78,
      compression: 54,
      'ids, versions, parameters': 4,
      'health and metadata': 5,
      repository: 4,
      errors: 8,
      'all datatypes in one request, 20 at once': 2,
      'limits and control': 6,
    });
  }, 120_000);

  test('KServe: v2 with every datatype, v1', async () => {
    const checks = await runChecks(python as string, 'kserve_checks.py', ...addresses());
    expect(faultsOf(checks)).toEqual([]);
    expect(countsOf(checks)).toEqual({ v2: 56, v1: 3 });
  }, 120_000);
});
