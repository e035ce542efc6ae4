import { readFile } from 'node:fs/promises';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openTestPlatform } from '../../test/open-test-platform.ts';
import { isKeelsonError } from '../errors.ts';
import { checkDefinition } from './check-definition.ts';
import { definePipeline } from './define-pipeline.ts';
import { formatPipeline } from './format-pipeline.ts';
import { parsePipeline, pipelineFileSchema } from './pipeline-file.ts';

const train = `
name: train
version: 1.2.0
description: Trains and publishes
parameters:
  type: object
  properties:
    rate: { type: number, default: 0.1 }
    list: { type: array, items: { type: number } }
steps:
  publish:
    module: ./steps/publish.ts#publish
    inputs: { model: { from: fit, output: model } }
    when: metrics.fit.accuracy > 0.9
  load:
    command: [python3, load.py]
    outputs: { rows: dataset, count: { type: parameter, schema: { type: integer } } }
    retries: 2
  fit:
    image: trainer:1
    command: [fit]
    inputs:
      data: { from: load, output: rows, type: dataset }
      rate: { parameter: rate }
      kind: { value: small }
    outputs: { model: model }
    resources: { cpuCores: 2, memoryBytes: 1073741824 }
    cache: { maxAgeMs: 86400000 }
  each:
    function: true
    forEach: { items: { parameter: list }, maxParallel: 2 }
    after: [load]
    onFailure: continue
output: publish
schedule: { cron: 0 6 * * *, timeZone: Europe/Berlin }
triggers:
  - { name: drift, on: drift.detected, parameters: { rate: "0.05" } }
`;

function refusal(text: string): string {
  try {
    parsePipeline(text);
  } catch (error) {
    if (isKeelsonError(error, 'INVALID', 'SYNTAX')) return `${error.code} ${error.message}`;
    throw error;
  }
  throw new Error('Nothing was refused.');
}

describe('parsePipeline', () => {
  test('gives the stored form, in any order of the steps', () => {
    const { steps, ...rest } = parsePipeline(train);
    expect(rest).toMatchObject({
      format: 1,
      name: 'train',
      output: 'publish',
      schedule: { cron: '0 6 * * *' },
    });
    expect(steps.map(({ name, run, dependsOn }) => [name, run.type, dependsOn])).toEqual([
      ['publish', 'module', ['fit']],
      ['load', 'command', []],
      ['fit', 'image', ['load']],
      ['each', 'function', ['load']],
    ]);
    expect(steps[2]?.inputs).toEqual({
      data: { from: { step: 'load', output: 'rows' }, type: 'dataset' },
      rate: { from: { parameter: 'rate' } },
      kind: { from: { value: 'small' } },
    });
    expect(steps[1]?.retry.limit).toBe(2);
    expect(steps[3]?.forEach).toEqual({ items: { parameter: 'list' }, as: 'item', maxParallel: 2 });
  });

  test('JSON is taken too, and what is written out comes back the same', () => {
    const definition = parsePipeline(train);
    expect(parsePipeline(formatPipeline(definition))).toEqual(definition);
    const built = definePipeline('built', { version: '1.0.0' }, (p) => {
      const a = p.step('a', {}, () => ({ n: [1] }), { version: '2' });
      const b = p.command('b', { n: a.pick('n'), all: [a, a] }, ['true'], {
        env: { A: 'b' },
        timeoutMs: 5,
      });
      p.forEach('c', a.pick('n'), { b }, ({ inputs }) => inputs.item, { stopWhen: 'output > 3' });
    }).definition;
    expect(parsePipeline(formatPipeline(built))).toEqual(built);
    expect(
      parsePipeline(
        JSON.stringify({ name: 'j', version: '1.0.0', steps: { a: { command: ['true'] } } }),
      ).steps[0]?.run,
    ).toEqual({ type: 'command', command: ['true'] });
  });

  test('what is none is refused with its place', () => {
    expect(refusal('name: [a')).toMatch(/^SYNTAX Line 1, column \d+: /);
    expect(refusal('name: a\nname: b')).toMatch(
      /^SYNTAX Line 2, column 1: Map keys must be unique/,
    );
    expect(refusal('a: &x [1]\nb: *x')).toMatch(
      /^INVALID Line 1, column \d+: an anchor of YAML is not taken/,
    );
    expect(refusal('a: !!js/function x')).toMatch(/^SYNTAX Line 1, column 4: Unresolved tag/);
    const bomb = [
      'a0: &a0 [x, x]',
      ...Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`),
    ].join('\n');
    expect(refusal(bomb)).toMatch(/anchor of YAML is not taken/);
    expect(refusal(`${'['.repeat(50_000)}1${']'.repeat(50_000)}`)).toMatch(
      /nested too deeply|SYNTAX|This is no pipeline/,
    );
    expect(refusal('x'.repeat(9 * 2 ** 20))).toMatch(/at most 8388608 characters/);
    expect(refusal('name: a\nversion: 1.0.0\nsteps: { s: { comand: [x] } }')).toMatch(
      /steps\.s \(line 3\): there is no "comand"/,
    );
    expect(
      refusal('name: a\nversion: 1.0.0\nsteps: { s: { command: [x], module: ./a#b } }'),
    ).toMatch(/Step s says in several ways what it runs/);
    expect(refusal('name: a\nversion: 1.0.0\nsteps: { s: { } }')).toMatch(
      /Step s says not what it runs/,
    );
    expect(refusal('name: a\nversion: 1.0.0\nsteps: { s: { module: ./a.ts } }')).toMatch(
      /named with its export/,
    );
    expect(
      refusal('name: a\nversion: 1.0.0\nsteps: { s: { command: [x], inputs: { y: t } } }'),
    ).toMatch(/there is no step "t"/);
    expect(
      refusal(
        'name: a\nversion: 1.0.0\nsteps: { s: { command: [x], after: [t] }, t: { command: [x], after: [s] } }',
      ),
    ).toMatch(/in a circle: s → t → s|in a circle: t → s → t/);
  });

  test('cycles of 10,000 steps are named in full, and 10,000 steps are read', () => {
    const steps = Array.from(
      { length: 10_000 },
      (_, i) => `  s${i}: { command: [x]${i === 0 ? '' : `, after: [s${i - 1}]`} }`,
    );
    const text = (all: readonly string[]) => `name: a\nversion: 1.0.0\nsteps:\n${all.join('\n')}`;
    expect(parsePipeline(text(steps)).steps).toHaveLength(10_000);
    const circle = text(['  s0: { command: [x], after: [s9999] }', ...steps.slice(1)]);
    expect(refusal(circle)).toContain('steps wait for one another in a circle: s0 → s9999 → s9998');
    try {
      parsePipeline(circle);
    } catch (error) {
      const [fault = ''] = (error as { details: { faults: string[] } }).details.faults;
      expect(fault.split(' → ')).toHaveLength(10_001);
    }
    expect(refusal(text([...steps, '  more: { command: [x] }']))).toMatch(/steps .*10000|Too big/);
  }, 30_000);

  test('the published schema says the same: of random changes, both take or refuse', async () => {
    const schema = pipelineFileSchema();
    const published = JSON.parse(
      await readFile(new URL('../../schemas/pipeline.schema.json', import.meta.url), 'utf8'),
    );
    expect(
      published,
      'update it: node --conditions=keelson:source tools/pipeline-schema.ts',
    ).toEqual(schema);
    const validate = new Ajv2020({ strict: false }).compile(schema);
    const base = {
      name: 'a',
      version: '1.0.0',
      steps: {
        s: { command: ['x'], outputs: { n: 'parameter' }, retries: 1 },
        t: { command: ['y'], inputs: { n: { from: 's', output: 'n' } } },
      },
    };
    expect(validate(base)).toBe(true);
    const paths = fc.constantFrom(
      'name',
      'version',
      'steps.s.command',
      'steps.s.retries',
      'steps.s.outputs.n',
      'steps.t.inputs.n',
      'steps.s.extra',
      'steps.s.cache',
      'steps.t.onFailure',
      'parameters',
    );
    const values = fc.constantFrom<unknown>(
      1,
      'x',
      true,
      [],
      {},
      ['a'],
      { type: 'model' },
      { limit: 2 },
      false,
      null,
      { from: 's' },
      'fail',
    );
    const formOf = (value: unknown): boolean => {
      try {
        parsePipeline(JSON.stringify(value));
        return true;
      } catch (error) {
        if (!isKeelsonError(error)) throw error;
        // What only the check of the whole sees is not the form's.
        return !error.message.startsWith('This is no pipeline');
      }
    };
    fc.assert(
      fc.property(fc.array(fc.tuple(paths, values), { maxLength: 3 }), (changes) => {
        const value = structuredClone(base) as Record<string, unknown>;
        for (const [path, to] of changes) {
          let at: Record<string, unknown> = value;
          const keys = path.split('.');
          for (const key of keys.slice(0, -1)) {
            if (typeof at[key] !== 'object' || at[key] === null) at[key] = {};
            at = at[key] as Record<string, unknown>;
          }
          at[keys.at(-1) as string] = to;
        }
        expect(validate(value), JSON.stringify(value)).toBe(formOf(value));
      }),
      { numRuns: 300 },
    );
  });

  test('a pipeline of a file runs', async () => {
    const { platform } = await openTestPlatform();
    const definition = parsePipeline(`
name: file
version: 1.0.0
steps:
  count:
    command: [/bin/sh, -c, 'echo 4 > $KEELSON_OUTPUT_N_PATH']
    outputs: { n: { type: parameter, schema: { type: integer } } }
  big: { command: [/bin/sh, -c, 'echo yes > $KEELSON_OUTPUT_WORD_PATH'], outputs: { word: artifact }, after: [count], when: outputs.count.n > 3 }
  small: { command: ['false'], after: [count], when: outputs.count.n <= 3 }
output: big
`);
    await platform.pipelines.putDefinition(definition);
    const done = await platform.pipelines.wait(await platform.pipelines.start('file'));
    expect(done).toMatchObject({ status: 'COMPLETED', output: { word: { name: 'word' } } });
    const steps = await platform.pipelines.steps(done.id);
    expect(steps.map(({ step, status }) => `${step} ${status}`)).toEqual([
      'count COMPLETED',
      'big COMPLETED',
      'small SKIPPED',
    ]);
  });
});

describe('checkDefinition', () => {
  const faults = (steps: object[], more: object = {}): string => {
    const retry = { limit: 0, delayMs: 1, factor: 1, maxDelayMs: 1, on: [] };
    const whole = steps.map((step) => ({
      inputs: {},
      dependsOn: [],
      retry,
      run: { type: 'command', command: ['x'] },
      ...step,
    }));
    try {
      checkDefinition({
        format: 1,
        name: 'p',
        version: '1.0.0',
        description: '',
        steps: whole,
        ...more,
      });
    } catch (error) {
      if (isKeelsonError(error)) return error.message;
      throw error;
    }
    return 'none';
  };

  test('what does not fit together is told, all at once', () => {
    const outputs = {
      rows: { type: 'dataset' },
      n: { type: 'parameter', schema: { type: 'string' } },
    };
    const parameters = { type: 'object', properties: { rate: { type: 'number', maximum: 1 } } };
    const message = faults(
      [
        { name: 'load', outputs },
        {
          name: 'fit',
          dependsOn: ['load'],
          inputs: {
            a: { from: { step: 'load', output: 'nothing' } },
            b: { from: { step: 'load', output: 'rows' }, type: 'model' },
            c: { from: { step: 'load', output: 'n' }, schema: { type: 'integer' } },
            d: { from: { parameter: 'rat' } },
            e: { from: { parameter: 'rate' }, schema: { type: 'number', minimum: 2 } },
          },
          when: 'outputs.other.x > 1',
        },
        { name: 'odd', when: 'params.x', dependsOn: ['load'] },
        { name: 'bad', when: '1 +' },
      ],
      {
        parameters,
        schedule: { cron: '99 * * * *' },
        triggers: [{ name: 't', on: 'x', when: 'nothing' }],
      },
    );
    for (const part of [
      'steps[1] "fit".inputs.a: step "load" puts out no nothing; it puts out rows, n',
      '.inputs.b: it takes a model, and step "load" puts out a dataset',
      '.inputs.c: what is put out does not fit its schema: value is string, and integer is asked for',
      '.inputs.d: there is no parameter rat (did you mean rate?); there are rate',
      '.inputs.e: what is put out does not fit its schema: value is at most 1, and at least 2 is asked for',
      '.when: there is no step "other"; there are load, fit, odd, bad',
      'steps[2] "odd".when: The condition "params.x" looks at params, which is not there; there are parameters, outputs, metrics',
      'steps[3] "bad".when: The condition "1 +" is no CEL expression',
      'schedule: The schedule "99 * * * *" in UTC cannot be used',
      'triggers[0].when: The condition "nothing" looks at nothing, which is not there; there are event',
    ])
      expect(message).toContain(part);
  });

  test('parameters that are not declared are told wherever they are named', () => {
    const parameters = { type: 'object', properties: { rate: { type: 'number' } } };
    const message = faults([{ name: 'fit', cache: { parameters: ['rtae'] } }], {
      parameters,
      schedule: { cron: '0 * * * *', parameters: { ratee: 1 } },
      triggers: [{ name: 't', on: 'x', parameters: { other: 'event.type' } }],
    });
    for (const part of [
      'steps[0] "fit".cache.parameters: there is no parameter rtae (did you mean rate?); there are rate',
      'schedule.parameters: there is no parameter ratee (did you mean rate?); there are rate',
      'triggers[0].parameters: there is no parameter other; there are rate',
    ])
      expect(message).toContain(part);
  });

  test('conditions may look at what is declared, and at what nobody can know before', () => {
    const outputs = { rows: { type: 'dataset' } };
    const closed = { type: 'object', properties: { rate: { type: 'number' } } };
    const of = (when: string, parameters: object = closed, load: object = { outputs }): string =>
      faults(
        [
          { name: 'load', ...load },
          { name: 'fit', dependsOn: ['load'], when },
        ],
        { parameters },
      );
    expect(of('has(parameters.rate) && outputs.load.rows == 1')).toBe('none');
    expect(of('metrics.load.whatever > 1')).toBe('none');
    expect(of('parameters.other > 1', { ...closed, additionalProperties: true })).toBe('none');
    expect(of('parameters.other > 1', { type: 'object' })).toBe('none');
    expect(of('outputs.load.any > 1', closed, {})).toBe('none');
    const each = { outputs, forEach: { items: { value: [1] }, as: 'item' } };
    expect(of('outputs.load[0].rows == 1 && outputs.load.size() > 0', closed, each)).toBe('none');
    expect(of('parameters.rat > 0.1 && outputs.load.row == 1')).toContain(
      'steps[1] "fit".when: step "load" puts out no row; it puts out rows; steps[1] "fit".when: there is no parameter rat (did you mean rate?); there are rate.',
    );
    expect(of('parameters.constructor == 1')).toMatch(/there is no parameter constructor/);
    expect(of('outputs["load"]["constructor"] == 1')).toMatch(/puts out no constructor/);
    expect(of('outputs.a-b.x > 1')).toContain(
      'looks at b, which is not there; there are parameters, outputs, metrics (a name with a hyphen is written in brackets: outputs["a-b"])',
    );
    expect(of('metrics.fit.loss > 1')).toMatch(/step "fit", which the step does not depend on/);
  });
});

describe('the words of what is wrong with a text', () => {
  test.each([
    [
      'steps:\n  - command: [x]',
      'steps (line 4): steps are written by name, as "load: { command: […] }", not as a list',
    ],
    [
      'steps:\n  s:\n    command: python3 fit.py',
      'steps.s.command (line 5): a command is a list of texts, such as [python3, fit.py]',
    ],
    [
      'steps:\n  s: { command: [x], outputs: { m: modell } }',
      'steps.s.outputs.m (line 4): an output is its type (dataset, model,',
    ],
    [
      'steps:\n  s: { command: [x], outputs: { m: { type: model, shema: {} } } }',
      'steps.s.outputs.m (line 4): there is no "shema"',
    ],
    [
      'steps:\n  s: { command: [x], retries: { limit: 2, delay: 5 } }',
      'steps.s.retries (line 4): there is no "delay" (times are in milliseconds: delayMs)',
    ],
    [
      'steps:\n  s:\n    run: x\n    dependsOn: [t]',
      'steps.s (line 5): there is no "run", "dependsOn" (a step says what it runs by module, command, image or function; steps whose values it does not take are named in after)',
    ],
    [
      'steps:\n  s: { command: [x], inputs: { a: 3 } }',
      'steps.s.inputs.a (line 4): an input is a step, { from, output }, { parameter }, { value } or a list',
    ],
    [
      'steps:\n  s: { command: [x], timeoutMs: 5s }',
      'steps.s.timeoutMs (line 4): a number belongs here',
    ],
    [
      'steps:\n  s: { image: i, isolation: thread, files: [a] }',
      'Step s: files, isolation mean nothing to a step that runs an image; leave it out.',
    ],
    [
      'steps:\n  s: { module: "./a.ts#b", network: none }',
      'Step s: network means nothing to a step that runs a module',
    ],
    [
      'steps:\n  s: { command: [x], inputs: { m: t.model } }\n  t: { command: [x], outputs: { model: model } }',
      'cannot be used: steps[0] "s".inputs.m: there is no step "t.model"; a field of what "t" puts out is { from: t, output: model }.',
    ],
    ['steps: {}\nsteps: {}', 'Line 4, column 1: Map keys must be unique; "steps" is there twice.'],
    [
      'steps:\n  1: { command: [x] }\n  "1": { command: [x] }',
      'Line 5, column 3: Map keys must be unique; "1" is there twice.',
    ],
  ])('%s', (text, told) => {
    expect(refusal(`name: a\nversion: 1.0.0\n${text}`)).toContain(told);
  });

  test('a version that YAML takes for a number is told how to be written', () => {
    expect(refusal('name: a\nversion: 1.0\nsteps: { s: { command: [x] } }')).toContain(
      'version (line 2): a text such as "1.0.0" belongs here',
    );
  });

  test('a text of very many keys takes time by their number, not by its square', () => {
    const text = Array.from({ length: 100_000 }, (_, i) => `k${i}: 1`).join('\n');
    const before = process.cpuUsage().user;
    expect(refusal(text)).toMatch(/^INVALID This is no pipeline/);
    // Comparing each with each other one takes minutes.
    expect((process.cpuUsage().user - before) / 1e6).toBeLessThan(15);
  });
});
