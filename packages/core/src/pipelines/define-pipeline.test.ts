import { describe, expect, expectTypeOf, test } from 'vitest';
import { isKeelsonError } from '../errors.ts';
import { checkDefinition } from './check-definition.ts';
import { definePipeline } from './define-pipeline.ts';
import type { StepArtifact } from './step-artifact.ts';
import type { StepHandle } from './step-types.ts';

function message(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isKeelsonError(error, 'INVALID')) return error.message;
    throw error;
  }
  throw new Error('Nothing was refused.');
}

describe('definePipeline', () => {
  test('types flow from outputs to inputs, and from the schema to the parameters', () => {
    const pipeline = definePipeline(
      'weather',
      {
        version: '1.0.0',
        parameters: {
          type: 'object',
          properties: {
            until: { type: 'string' },
            trees: { type: 'integer', default: 50 },
            kind: { enum: ['a', 'b'] },
            note: { type: 'string' },
          },
          required: ['until', 'kind'],
        },
      },
      (p) => {
        const load = p.step('load', {}, async ({ parameters, outputs }) => {
          expectTypeOf(parameters).toEqualTypeOf<{
            readonly until: string;
            readonly trees: number;
            readonly kind: 'a' | 'b';
            readonly note?: string;
          }>();
          const rows = await outputs.artifact('rows.csv', new Uint8Array());
          return { rows, count: 3, maybe: undefined as number | undefined };
        });
        expectTypeOf(load).toEqualTypeOf<
          StepHandle<{ rows: StepArtifact; count: number; maybe: number | undefined }>
        >();
        const model = p.step('train', { load }, ({ inputs, outputs }) => {
          expectTypeOf(inputs.load.count).toEqualTypeOf<number>();
          expectTypeOf(inputs.load.rows).toEqualTypeOf<StepArtifact>();
          // @ts-expect-error there is no such input
          void inputs.data;
          return outputs.artifact('model.json', new Uint8Array());
        });
        expectTypeOf(model).toEqualTypeOf<StepHandle<StepArtifact>>();
        interface Score {
          readonly accuracy: number;
          readonly classes: readonly string[];
        }
        const scores = p.step('scores', { all: [model, load] as const }, ({ inputs }): Score => {
          expectTypeOf(inputs.all[0]).toEqualTypeOf<StepArtifact>();
          return { accuracy: inputs.all[1].count, classes: [] };
        });
        expectTypeOf(scores).toEqualTypeOf<StepHandle<Score>>();
        return scores;
      },
    );
    expectTypeOf(pipeline).toExtend<{ readonly digest: string }>();
    expectTypeOf<NonNullable<typeof pipeline extends { [k: symbol]: infer T } ? T : never>>();
    expect(pipeline.definition.output).toBe('scores');
    expect(pipeline.definition.steps[2]?.dependsOn).toEqual(['train', 'load']);
  });

  test('what cannot pass from step to step does not compile', () => {
    definePipeline('refused', { version: '1.0.0' }, (p) => {
      // @ts-expect-error a Date is no JSON
      p.step('date', {}, () => ({ at: new Date() }));
      // @ts-expect-error bytes are artifacts
      p.step('bytes', {}, async () => new Uint8Array());
      // @ts-expect-error functions stay where they are
      p.step('function', {}, () => ({ f: () => 1 }));
      // @ts-expect-error no more than maps
      p.step('map', {}, () => [new Map<string, number>()]);
      p.step('nothing', {}, () => {});
      // @ts-expect-error a step is no input by its name
      p.step('by name', { date: 'date' }, () => null, { after: [] }).step;
    });
  });
});
