import fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { isKeelsonError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';
import { compileExpression } from '../language/conditions.ts';
import { checkDefinition } from './check-definition.ts';
import { definePipeline } from './define-pipeline.ts';
import type { Pipelines } from './pipelines-types.ts';
import type { StepArtifact } from './step-artifact.ts';
import type { StepHandle } from './step-types.ts';

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isKeelsonError(error, 'INVALID')) return error.message;
    throw error;
  }
  throw new Error('Nothing was refused.');
}

const weather = definePipeline(
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
    p.step('list', { many: [scores, scores].slice() }, ({ inputs }) => {
      expectTypeOf(inputs.many).toEqualTypeOf<readonly Score[]>();
    });
    return scores;
  },
);

describe('definePipeline', () => {
  test('types flow from outputs to inputs; the definition says what waits for what', () => {
    const { steps, output } = weather.definition;
    expect(output).toBe('scores');
    expect(steps.map((step) => [step.name, step.dependsOn])).toEqual([
      ['load', []],
      ['train', ['load']],
      ['scores', ['train', 'load']],
      ['list', ['scores']],
    ]);
    expect(steps[2]?.inputs).toEqual({ all: { from: [{ step: 'train' }, { step: 'load' }] } });
  });

  test('what a start must be given, and what it answers, is typed too', () => {
    const never = (pipelines: Pipelines) => {
      const started = pipelines.start(weather, { until: '2012-12-31', kind: 'a' });
      expectTypeOf(pipelines.wait(Awaited(started)))
        .resolves.toHaveProperty('output')
        .toEqualTypeOf<
          { readonly accuracy: number; readonly classes: readonly string[] } | undefined
        >();
      // @ts-expect-error a parameter is missing
      void pipelines.start(weather, { until: '2012-12-31' });
      // @ts-expect-error there is no such kind
      void pipelines.start(weather, { until: '2012-12-31', kind: 'c' });
    };
    expectTypeOf(never).toBeFunction();
  });

  test('what one of several kinds is, and any JSON, pass whole, at once or later', () => {
    const some = (): boolean => process.pid > 0;
    definePipeline('unions', { version: '1.0.0' }, (p) => {
      const text = p.step('text', {}, () => (some() ? 1 : 'x'));
      expectTypeOf(text).toEqualTypeOf<StepHandle<1 | 'x'>>();
      const later = p.step('later', {}, async () => (some() ? { a: 1 } : null));
      expectTypeOf(later).toEqualTypeOf<StepHandle<{ a: number } | null>>();
      const { report } = { report: { a: [1] } as Json };
      const json = p.step('json', {}, ({ parameters }) => parameters['rate'] ?? report);
      expectTypeOf(json).toEqualTypeOf<StepHandle<Json>>();
      const nested = p.step('nested', { json }, ({ inputs }) => ({ report: inputs.json }));
      expectTypeOf(nested).toEqualTypeOf<StepHandle<{ report: Json }>>();
      const three = p.step('three', {}, () => 3);
      expectTypeOf(three).toEqualTypeOf<StepHandle<number>>();
      const items = p.forEach('items', p.value([1, 2]), { later }, ({ inputs: { item, later } }) =>
        item > 1 ? later : 'x',
      );
      expectTypeOf(items).toEqualTypeOf<StepHandle<readonly ('x' | { a: number } | null)[]>>();
    });
  });

  test('a default that does not fit its own schema is refused with the definition', () => {
    const of = (properties: Readonly<Record<string, object>>) => () =>
      definePipeline(
        'defaults',
        {
          version: '1.0.0',
          parameters: {
            type: 'object',
            properties: { given: { type: 'string' }, ...properties },
            required: ['given'],
          },
        },
        (p) => p.step('a', {}, () => 1),
      );
    expect(of({ n: { type: 'integer', default: 3 } })).not.toThrow();
    expect(refusal(of({ n: { type: 'integer', default: 'many' } }))).toMatch(
      /^Pipeline defaults: a default does not fit its own schema: parameters\.n must be integer\.$/,
    );
    const deep = { type: 'object', default: {}, properties: { x: { enum: ['a'], default: 'b' } } };
    expect(refusal(of({ deep }))).toMatch(/parameters\.deep\.x/);
  });

  test('what cannot pass from step to step does not compile', () => {
    const pipeline = definePipeline('refused', { version: '1.0.0' }, (p) => {
      // @ts-expect-error a Date is no JSON
      p.step('date', {}, () => ({ at: new Date() }));
      // @ts-expect-error bytes are artifacts
      p.step('bytes', {}, async () => new Uint8Array());
      // @ts-expect-error functions stay where they are
      p.step('function', {}, () => ({ f: () => 1 }));
      // @ts-expect-error a map is no JSON
      p.step('map', {}, () => [new Map<string, number>()]);
      // @ts-expect-error what is unknown may be no JSON
      p.step('unknown', {}, async () => JSON.parse('1') as unknown);
      p.step('nothing', {}, () => {});
      p.step('numbers', {}, () => [1, Number.NaN, { deep: [null, 'text', true] }]);
    });
    expect(pipeline.definition.steps).toHaveLength(7);
    const name = 'nothing';
    const byName = () =>
      definePipeline('by-name', { version: '1.0.0' }, (p) => {
        // @ts-expect-error a step is no input by its name
        p.step('a', { b: name }, () => 1);
      });
    expect(refusal(byName)).toMatch(
      /step "a", input "b": pass what p.step\(\) of this pipeline returned/,
    );
  });

  test('handles of another pipeline are refused, naming the place', () => {
    let foreign: StepHandle<number> | undefined;
    definePipeline('one', { version: '1.0.0' }, (p) => {
      foreign = p.step('x', {}, () => 1);
    });
    const mixed = () =>
      definePipeline('two', { version: '1.0.0' }, (p) => {
        p.step('y', {}, () => 1, { after: [foreign as StepHandle] });
      });
    expect(refusal(mixed)).toContain('Pipeline two, step "y", after');
  });

  test('equal definitions have equal digests; any difference shows', () => {
    const make = (retries: number, text = 'x') =>
      definePipeline('p', { version: '1.0.0', description: text }, (p) => {
        p.step('a', {}, () => Math.random(), { retries });
      }).digest;
    expect(make(1)).toBe(make(1));
    expect(make(1)).not.toBe(make(2));
    expect(make(1)).not.toBe(make(1, 'y'));
  });

  test('bad options are refused with their place', () => {
    const one = (options: object, step = 'a') =>
      refusal(() =>
        definePipeline('p', { version: '1.0.0', ...options }, (p) => {
          p.step(step, {}, () => 1);
        }),
      );
    expect(one({ versoin: '1' })).toMatch(/no option "versoin"; there are version, parameters/);
    expect(one({ version: '1' })).toMatch(/"p" cannot be used: version must be a semantic version/);
    expect(one({}, 'a/b')).toMatch(/steps\[0\]\.name must be 1–100/);
    expect(one({ parameters: { type: 'string' } })).toMatch(/type "object"/);
    expect(one({ parameters: { type: 'object', propertis: {} } })).toMatch(/propertis/);
    expect(refusal(() => definePipeline('p', { version: '1.0.0' }, () => {}))).toMatch(
      /must have a step/,
    );
    const retries = () =>
      definePipeline('p', { version: '1.0.0' }, (p) => {
        p.step('a', {}, () => 1, { retries: -1, timeoutMs: 0 });
      });
    expect(refusal(retries)).toMatch(/steps\[0\]\.retry\.limit .*; steps\[0\]\.timeoutMs/);
  });
});

describe('checkDefinition', () => {
  const { steps: given, ...rest } = weather.definition;
  const [load, train, scores] = given.slice(0, 3) as [
    (typeof given)[0],
    (typeof given)[0],
    (typeof given)[0],
  ];

  test('a definition survives JSON', () => {
    expect(checkDefinition(JSON.parse(JSON.stringify(weather.definition)))).toEqual(
      weather.definition,
    );
  });

  test('circles are named in full', () => {
    const circle = [{ ...load, dependsOn: ['scores'] }, train, scores];
    expect(refusal(() => checkDefinition({ ...rest, steps: circle }))).toMatch(
      /in a circle: load → scores → (train → )?load/,
    );
    const self = [{ ...load, dependsOn: ['load'] }, train, scores];
    expect(refusal(() => checkDefinition({ ...rest, steps: self }))).toMatch(
      /in a circle: load → load/,
    );
  });

  test('unknown steps, names twice, missing dependencies, unknown members: each with its place', () => {
    const bad = [
      { ...load, dependsOn: ['gone'] },
      { ...train, name: 'load' },
      { ...scores, inputs: { all: { from: [{ step: 'load' }, { step: 'lost' }] } }, dependsOn: [] },
    ];
    const message = refusal(() => checkDefinition({ ...rest, steps: bad, output: 'nowhere' }));
    expect(message).toContain('steps[1].name "load" is already the name of steps[0]');
    expect(message).toContain('steps[0] "load".dependsOn: there is no step "gone"');
    expect(message).toContain('steps[2] "scores".inputs.all: "load" is missing in dependsOn');
    expect(message).toContain('steps[2] "scores".inputs.all: there is no step "lost"');
    expect(message).toContain('output: there is no step "nowhere"');
    expect(refusal(() => checkDefinition({ ...rest, steps: given, stepz: [] }))).toContain('stepz');
    expect(refusal(() => checkDefinition(null))).toContain('the definition');
  });

  test('10,000 steps are checked in well under a second', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => ({
      ...load,
      name: `s${i}`,
      dependsOn: i === 0 ? [] : [`s${i - 1}`],
    }));
    const { output: _, ...bare } = rest;
    const startedAt = performance.now();
    expect(checkDefinition({ ...bare, steps: many }).steps).toHaveLength(10_000);
    expect(performance.now() - startedAt).toBeLessThan(3000);
    const closed = many.map((step, i) => (i === 0 ? { ...step, dependsOn: ['s9999'] } : step));
    expect(refusal(() => checkDefinition({ ...bare, steps: closed }))).toContain('circle');
  });
});

describe('steps that can never run', () => {
  const parameters = {
    type: 'object',
    properties: {
      mode: { enum: ['slow', 'exact'] },
      dry: { type: 'boolean', default: false },
      rate: { type: 'number' },
    },
  };
  const base = { format: 1, name: 'p', version: '1.0.0', description: '', parameters };
  const step = (name: string, more: object = {}) => {
    const retry = { limit: 0, delayMs: 0, factor: 1, maxDelayMs: 0, on: [] };
    return { name, run: { type: 'function' }, inputs: {}, dependsOn: [], retry, ...more };
  };
  const refused = (...steps: readonly object[]): string | undefined => {
    try {
      checkDefinition({ ...base, steps });
      return undefined;
    } catch (error) {
      if (isKeelsonError(error, 'INVALID')) return error.message;
      throw error;
    }
  };

  test.each([
    ['false', 'it is never true, so that the step can never run: false'],
    ['1 > 2', 'so that the step can never run: 1 > 2'],
    ['1 + 1', 'The condition "1 + 1" is a number, not true or false'],
    ['1 / 0 == 1', 'The condition "1 / 0 == 1" cannot be evaluated'],
    ['parameters.mode == "fast"', 'never true for any parameters that the schema allows'],
    ['parameters.mode == "slow" && parameters.mode == "exact"', 'never true'],
    ['outputs.load > 1 && parameters.mode.startsWith("f")', 'never true'],
    ['false && registry("m@production") != null', 'never true'],
    ['parameters.rate > 1.0 && parameters.mode == "fast"', 'never true'],
    ['has(parameters.rate) && parameters.dry && !parameters.dry', 'never true'],
  ])('%s is refused, with the step named', (when, why) => {
    const told = refused(step('load'), step('fit', { dependsOn: ['load'], when }));
    expect(told).toContain('Pipeline "p" cannot be used: steps[1] "fit".when: ');
    expect(told).toContain(why);
  });

  test.each([
    'true',
    'parameters.mode == "slow"',
    '!has(parameters.mode)',
    '!parameters.dry',
    'parameters.rate > 1.0',
    'has(parameters.rate)',
    'outputs.load > 1',
    '!(outputs.load > 1)',
    'registry("m@production") != null',
    'registry("m@production") == null',
    'parameters == {}',
    '"mode" in parameters',
    'parameters.mode == "fast" || metrics.load.x > 1',
    '[1, 2].exists(n, outputs.load == n)',
  ])('%s may be true', (when) => {
    expect(refused(step('load'), step('fit', { dependsOn: ['load'], when }))).toBeUndefined();
  });

  test('what depends on one is named too, unless it joins what has ended', () => {
    const told = refused(
      step('fit', { when: 'false' }),
      step('test', { dependsOn: ['fit'] }),
      step('publish', { dependsOn: ['test'] }),
      step('tell', { dependsOn: ['publish'], join: 'ended' }),
      step('after', { dependsOn: ['tell'] }),
    );
    expect(told).toContain('steps[1] "test": it can never run either, since it depends on "fit"');
    expect(told).toContain(
      'steps[2] "publish": it can never run either, since it depends on "test"',
    );
    expect(told).not.toMatch(/"tell":|"after":/);
    // A failure that is tolerated lets others go on without its value.
    const tolerated = { when: '1 / 0 == 1', onFailure: 'continue' };
    expect(refused(step('fit', tolerated), step('test', { dependsOn: ['fit'] }))).not.toContain(
      '"test"',
    );
  });

  test('no condition that some parameters make true is refused', () => {
    const leaf = fc.constantFrom(
      ...['parameters.mode == "slow"', 'parameters.mode == "fast"', 'parameters.dry', 'false'],
      ...[
        'has(parameters.mode)',
        'parameters.rate < 1.0',
        'outputs.load == 1',
        'true',
        '1 / 0 == 1',
      ],
      ...[
        'has(outputs.load.x)',
        'registry("m@production") == null',
        '"mode" in parameters',
        '[1, 2].exists(n, outputs.load == n)',
      ],
    );
    const { tree } = fc.letrec<{ readonly tree: string }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf,
        tie('tree').map((of) => `!(${of})`),
        fc
          .tuple(tie('tree'), fc.constantFrom('&&', '||', '==', '!='), tie('tree'))
          .map(([a, operator, b]) => `(${a}) ${operator} (${b})`),
        fc
          .tuple(tie('tree'), tie('tree'), tie('tree'))
          .map(([a, b, c]) => `(${a}) ? (${b}) : (${c})`),
      ),
    }));
    const ways = ['slow', 'exact', undefined].flatMap((mode) =>
      [true, false].flatMap((dry) =>
        [0, 2, undefined].flatMap((rate) =>
          [1, { x: 1 }].flatMap((load) =>
            [null, 'm@3'].map((model) => {
              const some = Object.entries({ mode, dry, rate }).filter(([, v]) => v !== undefined);
              return {
                variables: { parameters: Object.fromEntries(some), outputs: { load } },
                model,
              };
            }),
          ),
        ),
      ),
    );
    let told = 0;
    fc.assert(
      fc.property(tree, (when) => {
        if (refused(step('load'), step('fit', { dependsOn: ['load'], when })) === undefined) return;
        told += 1;
        const condition = compileExpression(when, { functions: ['registry'] });
        const isTrue = ways.some(({ variables, model }) => {
          try {
            return condition.test(
              variables as JsonObject,
              condition.calls.map(() => model),
            );
          } catch {
            return false;
          }
        });
        expect(isTrue).toBe(false);
      }),
      { numRuns: 300 },
    );
    expect(told).toBeGreaterThan(20);
  });
});

/** The type of what a promise resolves with. */
function Awaited<T>(promise: Promise<T>): T {
  return promise as unknown as T;
}
