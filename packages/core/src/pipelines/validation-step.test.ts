import { expect, test } from 'vitest';
import { openTestPlatform } from '../../test/open-test-platform.ts';
import { RuleRuntime, ruleSignature } from '../../test/rule-runtime.ts';
import { definePipeline } from './define-pipeline.ts';
import { validationStep } from './validation-step.ts';

test('a pipeline registers, validates, and goes on with what passed', async () => {
  const { platform } = await openTestPlatform();
  const { registry, pipelines } = platform;
  const runtime = new RuleRuntime();
  await registry.createModel({ name: 'm' });
  await registry.setValidationSuite('m', {
    name: 'golden',
    tests: [{ test: 'golden', cases: [{ inputs: { a: 1, b: 0 }, expected: { label: 'yes' } }] }],
  });
  const pipeline = definePipeline('train', { version: '1.0.0', parameters }, (p) => {
    const registered = p.step('register', {}, async ({ parameters: { weight } }) => {
      const files = { 'model.json': Buffer.from(JSON.stringify({ a: weight })) };
      const version = { model: 'm', from: { files }, format: 'CUSTOM' } as const;
      return { id: (await registry.register({ ...version, signature: ruleSignature })).id };
    });
    return p.step(
      'validate',
      { version: registered },
      validationStep(registry, 'golden', { runtime }),
    );
  });
  const good = await pipelines.wait(await pipelines.start(pipeline, { weight: 1 }));
  expect(good.output).toMatchObject({ outcome: 'PASSED', failed: [] });
  const { reportId } = good.output as { readonly reportId: string };
  expect((await registry.getValidation(reportId)).outcome).toBe('PASSED');
  const bad = await pipelines.wait(await pipelines.start(pipeline, { weight: -1 }));
  expect(bad.status).toBe('FAILED');
  expect(JSON.stringify(bad.failure)).toMatch(
    /1\.\d\.0 of m failed suite golden .* golden: 1 of 1/,
  );
});

const parameters = {
  type: 'object',
  properties: { weight: { type: 'number' } },
  required: ['weight'],
} as const;
