import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../../test/open-test-platform.ts';
import { isZombie, statOf } from '../embedded/processes/process-tree.ts';
import { definePipeline } from './define-pipeline.ts';

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
