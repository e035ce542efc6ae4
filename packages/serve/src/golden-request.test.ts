import { afterEach, beforeEach, expect, test } from 'vitest';
import { goldenRequest } from './golden-request.ts';
import { serve } from './serve.ts';
import { ServingBed, weatherBody } from './testing/serving-bed.ts';

let bed: ServingBed;

beforeEach(async () => {
  bed = await ServingBed.open();
});
afterEach(() => bed[Symbol.asyncDispose]());

test('a golden request finds a wrong answer, an error and a server that is gone', async () => {
  await bed.addModel('a');
  bed.setRoute({ a: 100 });
  const server = await serve(bed.source, { deployments: ['weather'], replicas: 1 });
  const golden = {
    ...{ url: server.url, deployment: 'weather', request: JSON.parse(weatherBody([[1, 1]])) },
    expect(answer: unknown) {
      const { outputs } = answer as { readonly outputs: readonly unknown[] };
      if (outputs.length === 0) throw new Error('Nothing was answered.');
    },
  };
  const { signal } = new AbortController();
  expect(await goldenRequest(golden).run(signal)).toMatchObject({ status: 'HEALTHY' });
  const fails = () => {
    throw new Error('It says rain.');
  };
  await expect(goldenRequest({ ...golden, expect: fails }).run(signal)).rejects.toThrow(
    'It says rain.',
  );
  expect(await goldenRequest({ ...golden, deployment: 'none' }).run(signal)).toMatchObject({
    ...{ status: 'UNHEALTHY', message: expect.stringContaining('404') },
  });
  await server.close();
  await expect(goldenRequest(golden).run(signal)).rejects.toThrow(/fetch failed/);
  for (const wrong of [
    { ...golden, url: 'x' },
    { ...golden, expect: 5 },
  ]) {
    expect(() => goldenRequest(wrong as never)).toThrow(
      expect.objectContaining({ code: 'INVALID' }),
    );
  }
});
