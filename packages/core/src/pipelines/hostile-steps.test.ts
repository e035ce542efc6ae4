import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../../test/open-test-platform.ts';
import { isZombie, statOf } from '../embedded/processes/process-tree.ts';
import { dataValidationStep } from './data-validation/data-validation-step.ts';
import { definePipeline, type PipelineBuilder } from './define-pipeline.ts';

const v = { version: '1.0.0' };

test('whatever a step throws ends its attempt, also what cannot be looked at', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines } = platform;
  const trap = (): never => {
    throw new Error('a trap');
  };
  const evil = new Error('x');
  Object.defineProperty(evil, 'message', { get: trap });
  const odd = Object.assign(new Error('x'), { message: { a: 1 }, stack: 5, name: Symbol('s') });
  const circle = new Error('a circle');
  circle.cause = circle;
  const thrown: readonly [string, unknown, string][] = [
    [
      'proxy',
      new Proxy({}, { get: trap, getPrototypeOf: trap, ownKeys: trap }),
      'What the step threw cannot be read.',
    ],
    ['getter', evil, 'What the step threw cannot be read.'],
    ['odd', odd, '[object Object]'],
    ['circle', circle, 'a circle'],
    ['nothing', undefined, 'undefined'],
    ['null', null, 'null'],
  ];
  for (const [name, what, message] of thrown) {
    const pipeline = definePipeline(name, v, (p) => {
      p.step('throws', {}, () => {
        throw what;
      });
    });
    const ended = await pipelines.wait(await pipelines.start(pipeline), { timeoutMs: 20_000 });
    expect([name, ended.status, ended.failure?.message]).toEqual([name, 'FAILED', message]);
    expect((await pipelines.steps(ended.id))[0]?.attempt).toBe(1);
  }
});

test('parameters that no event could tell of are refused before anything is there', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines } = platform;
  const pipeline = definePipeline('large', v, (p) => p.step('a', {}, () => 1));
  const given = (letters: number) => ({ text: 'é'.repeat(letters / 2) });
  await expect(pipelines.start(pipeline, given(1_000_000))).rejects.toMatchObject({
    code: 'INVALID',
    message: expect.stringMatching(
      /^Parameters of pipeline large are 1000011 bytes of JSON, and at most/,
    ),
  });
  expect((await pipelines.list()).executions).toEqual([]);
  const { id } = await pipelines.start(pipeline, given(890_000));
  expect((await pipelines.wait(id)).status).toBe('COMPLETED');
});

test('what a command writes is kept as it is, or refused with the reason', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines } = platform;
  const write = async (bytes: string, type: 'parameter' | 'metrics' = 'parameter') => {
    const pipeline = definePipeline(`w${Math.random().toString(36).slice(2)}`, v, (p) =>
      p.command('write', {}, ['/bin/sh', '-c', `printf '${bytes}' > "$KEELSON_OUTPUT_O_PATH"`], {
        outputs: { o: { type } },
      }),
    );
    const { output, failure } = await pipelines.wait(await pipelines.start(pipeline));
    return failure === undefined ? output : `${failure.class} ${failure.message}`;
  };
  expect(await write('9007199254740991')).toEqual({ o: 9007199254740991 });
  expect(await write('{"id":"12345678901234567890","x":1e300}')).toEqual({
    o: { id: '12345678901234567890', x: 1e300 },
  });
  expect(await write('{"id": 12345678901234567890}')).toMatch(
    /^data .*12345678901234567890 is a larger whole number than can be kept; write it as text\.$/,
  );
  expect(await write('\\357\\273\\277[1]')).toEqual({ o: [1] });
  expect(await write('"\\377"')).toMatch(/^data Output "o" of step write is no JSON.*not valid/);
  expect(await write('{"loss": NaN}')).toMatch(/^data .*Unexpected token.*NaN/);
  expect(await write('{"loss": 0.5}', 'metrics')).toEqual({ o: { loss: 0.5 } });
  expect(await write('{"loss": "low"}', 'metrics')).toMatch(
    /^data Output "o" of step write is of type metrics, numbers by their names: loss is "low"\.$/,
  );
  expect(await write('[1]', 'metrics')).toMatch(/of type metrics, numbers by their names: a list/);
});

test('variables that no system takes, or that are not the step’s to set, are refused by name', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines } = platform;
  const command = (
    name: string,
    options: { readonly retries?: number; readonly env?: Record<string, string> } = {},
  ) =>
    definePipeline(name, v, (p) =>
      p.command('c', { large: p.parameter('large') }, ['/bin/sh', '-c', 'exit 0'], options),
    );
  const long = await pipelines.start(command('long', { retries: 3 }), {
    large: 'x'.repeat(300_000),
  });
  const ended = await pipelines.wait(long);
  expect(ended.failure).toMatchObject({
    class: 'data',
    message: expect.stringMatching(
      /longer than this system takes.*take a long parameter as an input/,
    ),
  });
  expect((await pipelines.steps(ended.id))[0]?.attempt).toBe(1);
  for (const [key, why] of [
    ['A=B', /must be the name of a variable/],
    ['', /must be the name of a variable/],
    ['KEELSON_OUTPUT_O_PATH', /must not begin with KEELSON_/],
  ] as const) {
    expect(() => command('env', { env: { [key]: 'x' } })).toThrow(why);
  }
  expect(() => command('env', { env: { A: 'x\0' } })).toThrow(/contains U\+0000/);
});

test('what would come out as one variable is refused with the definition, naming both', async () => {
  const { platform } = await openTestPlatform();
  const run = ['true'];
  const faults = (build: Parameters<typeof definePipeline>[2], properties = {}): string => {
    try {
      definePipeline('p', { ...v, parameters: { type: 'object', properties } }, build);
      return 'none';
    } catch (error) {
      return (error as Error).message;
    }
  };
  const inputs =
    (...names: readonly string[]) =>
    (p: PipelineBuilder<unknown>) => {
      p.command('c', Object.fromEntries(names.map((name) => [name, p.value(1)])), run);
    };
  expect(faults(inputs('a-b', 'a_b', 'other'))).toBe(
    'Pipeline "p" cannot be used: steps[0] "c".inputs: "a-b" and "a_b" would both be the variable KEELSON_INPUT_A_B_PATH; rename one.',
  );
  expect(faults(inputs('data', 'Data'))).toContain('"data" and "Data" would both be');
  expect(faults(inputs('data', 'data_path'))).toContain(
    '"data" and "data_path" would both be the variable KEELSON_INPUT_DATA_PATH',
  );
  expect(faults(inputs('data', 'data_b'))).toBe('none');
  const port = { type: 'model' } as const;
  const made =
    (outputs: Record<string, typeof port>, more: object) => (p: PipelineBuilder<unknown>) => {
      const fit = p.command('fit', {}, run, { outputs });
      p.command('c', { fit, ...more }, run);
    };
  expect(faults(made({ 'a-b': port, a_b: port }, {}))).toContain(
    'steps[0] "fit".outputs: "a-b" and "a_b" would both be the variable KEELSON_OUTPUT_A_B_PATH',
  );
  expect(
    faults((p) => {
      const fit = p.command('fit', {}, run, { outputs: { model: port, path: port } });
      p.command('c', { fit, fit_model: fit.pick('path') }, run);
      // As a file it has no variable for its value.
      p.command('d', { x: fit.pick('path'), x_path: fit.pick('model') }, run);
    }),
  ).toBe(
    'Pipeline "p" cannot be used: steps[1] "c".inputs: "fit.model" and "fit_model" would both be the variable KEELSON_INPUT_FIT_MODEL_PATH; rename one.',
  );
  const alike = { 'a-b': {}, a_b: {} };
  expect(faults(inputs(), alike)).toContain(
    'parameters: "a-b" and "a_b" would both be the variable KEELSON_PARAM_A_B',
  );
  expect(faults((p) => p.step('c', { 'a-b': p.value(1), a_b: p.value(2) }, () => 1), alike)).toBe(
    'none',
  );
  expect(
    faults((p) => {
      p.module(
        'c',
        { 'a-b': p.value(1), a_b: p.value(2) },
        { module: './m.ts', export: 'm', isolation: 'process' },
      );
    }),
  ).toContain('KEELSON_INPUT_A_B_PATH');

  // Names that no schema has declared show at the start.
  const open = definePipeline('open', v, (p) => p.command('c', {}, run));
  await expect(platform.pipelines.start(open, { 'a-b': 1, a_b: 2 })).rejects.toMatchObject({
    code: 'INVALID',
    message: expect.stringContaining(
      '"a-b" and "a_b" would both be the variable KEELSON_PARAM_A_B',
    ),
  });
  const functions = definePipeline('functions', v, (p) => p.step('c', {}, () => 1));
  expect((await platform.pipelines.start(functions, { 'a-b': 1, a_b: 2 })).status).toBe('PENDING');
});

test('patterns of schemas keep no thread busy, and are refused with the definition where nobody could match them so', async () => {
  const { platform } = await openTestPlatform();
  const name = { type: 'string', pattern: '^(a+)+$' };
  const parameters = {
    type: 'object',
    properties: { name },
    patternProperties: { '^x_(b+)+$': {} },
  };
  const worst = `${'a'.repeat(40)}!`;
  const pipeline = definePipeline('slow', { ...v, parameters }, (p) => p.step('s', {}, () => 1));
  await platform.pipelines.start(pipeline, { name: 'aaa', x_bb: 1 });
  const startedAt = performance.now();
  await expect(platform.pipelines.start(pipeline, { name: worst })).rejects.toThrow(
    /parameters\.name must match pattern "\^\(a\+\)\+\$"/,
  );
  await expect(platform.pipelines.start(pipeline, { [`x_${'b'.repeat(40)}!`]: 1 })).rejects.toThrow(
    /there is no parameter x_b/,
  );
  expect(performance.now() - startedAt).toBeLessThan(1000);

  const behind = { type: 'string', pattern: '^(?=a)a' };
  expect(() =>
    definePipeline(
      'ahead',
      { ...v, parameters: { type: 'object', properties: { n: behind } } },
      (p) => p.step('s', {}, () => 1),
    ),
  ).toThrow(
    /Pipeline ahead: parameters is no valid JSON Schema: The pattern "\^\(\?=a\)a" is not taken/,
  );
  const port = (schema: object) => () =>
    definePipeline('port', v, (p) => {
      const outputs = { o: { type: 'parameter', schema: schema as never } } as const;
      p.command('c', {}, ['true'], { outputs });
    });
  expect(port({ type: 'object', properties: { pattern: { type: 'string' } } })).not.toThrow();
  expect(port({ enum: [{ pattern: '(?=a)' }] })).not.toThrow();
  for (const schema of [
    behind,
    { type: 'array', items: { anyOf: [behind] } },
    { type: 'object', properties: { enum: behind } },
    { type: 'object', patternProperties: { '(?=a)': true } },
  ]) {
    expect(port(schema)).toThrow(
      /steps\[0\] "c"\.outputs\.o\.schema is no valid JSON Schema: The pattern .* looking ahead/,
    );
  }
  expect(port({ type: 'text' })).toThrow(
    /steps\[0\] "c"\.outputs\.o\.schema is no valid JSON Schema/,
  );
  expect(() => dataValidationStep({ schema: behind })).toThrow(/The pattern .* looking ahead/);
});

test('a cancel ends what a command has started in sessions of its own, however deaf', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines } = platform;
  const pids = join(await temporaryDirectory(), 'pids');
  const pipeline = definePipeline('deaf', v, (p) =>
    p.command('c', {}, [
      '/bin/sh',
      '-c',
      `trap "" TERM; setsid sh -c 'echo $$ >> ${pids}; trap "" TERM; sleep 300' & setsid -f sh -c 'echo $$ >> ${pids}; sleep 300'; while [ $(wc -l < ${pids}) -lt 2 ]; do sleep 0.05; done; echo begun; sleep 300`,
    ]),
  );
  const { id } = await pipelines.start(pipeline);
  const waiting = pipelines.wait(id);
  await expect
    .poll(async () => (await pipelines.steps(id))[0]?.externalId, { timeout: 20_000 })
    .toBeDefined();
  for await (const { text } of pipelines.logs(id, 'c', { follow: true })) {
    if (text.includes('begun')) break;
  }
  await pipelines.cancel(id);
  expect((await waiting).status).toBe('CANCELLED');
  const started = (await readFile(pids, 'utf8')).trim().split('\n').map(Number);
  expect(started).toHaveLength(2);
  for (const pid of started) {
    await expect
      .poll(
        async () => {
          const stat = await statOf(pid);
          return stat !== undefined && !isZombie(stat);
        },
        { timeout: 20_000 },
      )
      .toBe(false);
  }
});

test('what a command leaves running in sessions of its own is ended when it has ended, and its log says so', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines } = platform;
  const at = await temporaryDirectory();
  const leave = (file: string, end: string) => [
    ...['/bin/sh', '-c'],
    `setsid -f sh -c 'echo $$ > ${at}/${file}.new; mv ${at}/${file}.new ${at}/${file}; trap "" TERM; exec sleep 300'; while [ ! -e ${at}/${file} ]; do sleep 0.02; done; ${end}`,
  ];
  const pipeline = definePipeline('leaves', v, (p) => {
    p.command('well', {}, leave('well', 'echo done'));
    p.command('badly', {}, leave('badly', 'exit 3'), { onFailure: 'continue' });
    // Whoever means it takes the mark off.
    p.command('meant', {}, [
      ...['/bin/sh', '-c'],
      `env -u KEELSON_TASK_DIR setsid -f sh -c 'echo $$ > ${at}/meant.new; mv ${at}/meant.new ${at}/meant; exec sleep 300'; while [ ! -e ${at}/meant ]; do sleep 0.02; done`,
    ]);
  });
  const { id } = await pipelines.start(pipeline);
  expect((await pipelines.wait(id)).status).toBe('COMPLETED');
  const pidOf = async (file: string) => Number(await readFile(join(at, file), 'utf8'));
  const isLiving = async (file: string): Promise<boolean> => {
    const stat = await statOf(await pidOf(file));
    return stat !== undefined && !isZombie(stat);
  };
  for (const step of ['well', 'badly'] as const) {
    expect(await isLiving(step)).toBe(false);
    const chunks = await Array.fromAsync(pipelines.logs(id, step));
    const told = chunks.filter(({ stream }) => stream === 'stderr').map(({ text }) => text);
    expect(told.join('')).toBe(
      `[keelson] The command has ended and left processes in sessions of their own, which were ended too: sleep (pid ${await pidOf(step)})\n`,
    );
  }
  expect(await isLiving('meant')).toBe(true);
  process.kill(await pidOf('meant'), 'SIGKILL');
  expect(await Array.fromAsync(pipelines.logs(id, 'meant'))).toEqual([]);
});

test('a command that names a file of this directory is told that it runs in another one', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines } = platform;
  const failure = async (command: readonly string[], options: { readonly cwd?: string } = {}) => {
    const pipeline = definePipeline(`f${Math.random().toString(36).slice(2)}`, v, (p) =>
      p.command('c', {}, command, options),
    );
    return (await pipelines.wait(await pipelines.start(pipeline))).failure?.message;
  };
  expect(await failure(['cat', 'package.json'])).toContain(
    `It ran in a directory of its own, without the package.json of ${process.cwd()}: name the file by its whole path, or say cwd.`,
  );
  expect(await failure(['cat', 'no-such-file'])).not.toContain('directory of its own');
  expect(await failure(['cat', 'package.json', '/none'], { cwd: process.cwd() })).not.toContain(
    'directory of its own',
  );
});
