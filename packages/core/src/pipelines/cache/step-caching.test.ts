import { mkdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../../test/child-program.ts';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import { openTestScope } from '../../../test/open-test-scope.ts';
import { pipelinesKinds } from '../../contracts/kinds/pipelines-kinds.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { definePipeline } from '../define-pipeline.ts';
import type { CachePolicy } from '../definition.ts';
import { createPipelines } from '../pipelines.ts';
import type { StepState } from '../step-execution.ts';
import { StepError } from '../step-policy.ts';
import { explainMiss, type KeyParts } from './explain-key.ts';
import { ModuleDigests } from './module-digest.ts';
import { createStepCaching } from './step-caching.ts';

const parameters = {
  type: 'object',
  properties: { epochs: { type: 'number', default: 3 }, seed: { type: 'number', default: 1 } },
} as const;

async function world() {
  const t = await openTestScope({ kinds: pipelinesKinds });
  const pipelines = createPipelines(t.scope);
  const ran: string[] = [];
  /** A pipeline whose steps note that they ran; `of` sets what may change between two of its versions. */
  const pipeline = (
    of: { version?: string; data?: number; code?: string; maxAgeMs?: number; off?: boolean } = {},
  ) => {
    const { version = '1.0.0', data = 1, code = '1', maxAgeMs, off } = of;
    return definePipeline('cached', { version, parameters }, (p) => {
      const load = p.step('load', {}, ({ step, outputs }) => {
        ran.push(step);
        return outputs.artifact('rows', new Uint8Array([data]));
      });
      return p.step(
        'train',
        { data: load },
        async ({ inputs, step, parameters: { epochs } }) => {
          ran.push(step);
          return { sum: (await inputs.data.bytes())[0] as number, epochs };
        },
        {
          version: code,
          ...(off
            ? { cache: false }
            : {
                cache: { parameters: ['epochs'], ...(maxAgeMs === undefined ? {} : { maxAgeMs }) },
              }),
        },
      );
    });
  };
  return {
    t,
    pipelines,
    pipeline,
    async run(
      of: Parameters<typeof pipeline>[0] = {},
      given: { epochs?: number; seed?: number } = {},
    ) {
      ran.length = 0;
      const done = await pipelines.wait(await pipelines.start(pipeline(of), given));
      expect(done.status).toBe('COMPLETED');
      const explained = await pipelines.explainCache(done.id, 'train');
      return { id: done.id, output: done.output, ran: [...ran], explained };
    },
    async [Symbol.asyncDispose]() {
      await pipelines.close();
      await t[Symbol.asyncDispose]();
    },
  };
}

describe('caching', () => {
  test('the same again is taken from the first, and says why; each change says what it is', async () => {
    await using w = await world();
    const first = await w.run();
    expect(first.ran).toEqual(['load', 'train']);
    expect(first.explained).toMatchObject({
      outcome: 'miss',
      explanation: 'computed: it was never computed before',
    });
    const again = await w.run({}, { seed: 9 });
    expect(again.ran).toEqual(['load']);
    expect(again.output).toEqual(first.output);
    expect(again.explained).toMatchObject({
      outcome: 'hit',
      explanation: expect.stringMatching(
        new RegExp(
          `^same as step train of execution ${first.id}, which completed at .*, because code, definition, inputs and parameters are the same$`,
        ),
      ),
      cachedFrom: { executionId: first.id, step: 'train', attempt: 1 },
    });
    expect((await w.pipelines.explainCache(first.id, 'load')).explanation).toBe(
      'not cached: it is a function without a version',
    );
    const reasons: string[] = [];
    for (const [of, given] of [
      [{ data: 2, version: '2.0.0' }, {}],
      [{}, { epochs: 5 }],
      [{ code: '2', version: '3.0.0' }, {}],
      [{ off: true, version: '4.0.0' }, {}],
    ] as const) {
      const run = await w.run(of, given);
      expect(run.ran).toEqual(['load', 'train']);
      reasons.push(run.explained.explanation);
    }
    expect(reasons).toEqual([
      'computed: input `data` changed',
      'computed: input `data` changed; parameter `epochs` changed from 3 to 5',
      'computed: the code of step train changed; parameter `epochs` changed from 5 to 3',
      'not cached: its definition says so',
    ]);
    const events = await w.t.scope.metadata.readEvents({ workspace: 'default', limit: 1000 });
    const hit = events.events.filter(
      ({ type, payload }) => type === 'step.completed' && payload['cachedFrom'] !== undefined,
    );
    expect(hit.map(({ payload }) => payload['cachedFrom'])).toEqual([
      { executionId: first.id, step: 'train', attempt: 1 },
    ]);
  });

  test('an age limit, cleared results, and contents that are gone', async () => {
    await using w = await world();
    await w.run({ maxAgeMs: 3_600_000 });
    expect((await w.run({ maxAgeMs: 3_600_000 })).ran).toEqual(['load']);
    const old = await w.run({ maxAgeMs: 0, version: '1.0.1' });
    expect(old.explained.explanation).toMatch(/^computed: the result of .* is older than 0 ms$/);
    expect(await w.pipelines.clearCache({ pipeline: 'cached' })).toBe(1);
    expect((await w.run({ version: '1.0.2' })).explained.explanation).toBe(
      'computed: it was never computed before',
    );
    const large = (n: number) =>
      definePipeline('large', { version: `${n}.0.0` }, (p) =>
        p.step('big', {}, () => 'x'.repeat(50_000), { version: '1' }),
      );
    const one = await w.pipelines.wait(await w.pipelines.start(large(1)));
    const step = (await w.pipelines.steps(one.id))[0];
    const content = step?.artifacts[0]?.sha256 ?? '';
    await w.t.scope.artifacts.remove(content);
    const two = await w.pipelines.wait(await w.pipelines.start(large(2)));
    expect(two.output).toHaveLength(50_000);
    expect((await w.pipelines.explainCache(two.id, 'big')).explanation).toMatch(
      /output\.json, which the earlier result has, is gone/,
    );
  });

  test('a failed computation leaves nothing behind, and the next one computes', async () => {
    await using w = await world();
    let works = false;
    const pipeline = definePipeline('fails', { version: '1.0.0' }, (p) =>
      p.step(
        'x',
        {},
        () => {
          if (!works) throw new StepError('permanent', 'not yet');
          return 1;
        },
        { version: '1' },
      ),
    );
    expect((await w.pipelines.wait(await w.pipelines.start(pipeline))).status).toBe('FAILED');
    works = true;
    expect((await w.pipelines.wait(await w.pipelines.start(pipeline))).output).toBe(1);
  });

  test('eight at once, in two engines: computed once, and the others say whom they wait for', async () => {
    await using w = await world();
    const other = createPipelines(w.t.scope);
    let ran = 0;
    const gate = Promise.withResolvers<void>();
    const pipeline = definePipeline('once', { version: '1.0.0' }, (p) =>
      p.step(
        'x',
        {},
        async () => {
          ran += 1;
          await gate.promise;
          return ran;
        },
        { version: '1' },
      ),
    );
    const started = await Promise.all(Array.from({ length: 8 }, () => w.pipelines.start(pipeline)));
    other.add(pipeline);
    const waiting = started.map(({ id }, i) => (i % 2 === 0 ? w.pipelines : other).wait(id));
    await expect
      .poll(
        async () => {
          const steps = await Promise.all(started.map(({ id }) => w.pipelines.steps(id)));
          return steps
            .flat()
            .filter(({ waitsFor }) =>
              waitsFor?.startsWith('the same is computed by step x of execution'),
            ).length;
        },
        { timeout: 5000 },
      )
      .toBe(7);
    gate.resolve();
    const done = await Promise.all(waiting);
    expect(done.map(({ output }) => output)).toEqual(Array(8).fill(1));
    expect(ran).toBe(1);
    await other.close();
  });

  test('what is reserved is what was seen: a result that came between is not put aside', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    const caching = createStepCaching(t.scope, {
      records: { stepById: async () => undefined },
      loadModule: async () => undefined,
    });
    const parts = { definition: 'd', runs: 'x', code: '1', inputs: {}, parameters: {} };
    const key = { key: 'of equal steps', parts };
    const of = (id: string) =>
      ({
        ...{ id, executionId: id, pipeline: 'p', step: 'x', mapKey: '', attempt: 1 },
        cacheKey: key.key,
      }) as StepState;
    const seenBy = async (id: string, policy?: CachePolicy) => {
      const look = await caching.look(key, policy, of(id));
      if (look.found !== 'miss') throw new Error(`It was ${look.found}.`);
      return caching.reserve(key, of(id), look.revision);
    };
    const complete = async (id: string) => {
      const changes = await caching.fill(of(id), { output: { digest: id }, artifacts: [] });
      await commitChanges(t.scope, changes);
    };
    const late = await seenBy('late');
    await commitChanges(t.scope, await seenBy('quick'));
    await complete('quick');
    await expect(commitChanges(t.scope, late)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await caching.look(key, undefined, of('late'))).toMatchObject({ found: 'hit' });
    // One that is too old is computed anew by whoever comes first.
    const old = { maxAgeMs: -1 };
    const later = await seenBy('later', old);
    await commitChanges(t.scope, await seenBy('quicker', old));
    await complete('quicker');
    await expect(commitChanges(t.scope, later)).rejects.toMatchObject({ code: 'STALE' });
    expect(await caching.look(key, undefined, of('late'))).toMatchObject({
      ...{ found: 'hit', output: { digest: 'quicker' } },
    });
  });

  test('a command is cached by its version and files', async () => {
    const { platform } = await openTestPlatform();
    const dir = await temporaryDirectory();
    const script = join(dir, 'work.sh');
    const pipeline = definePipeline('command', { version: '1.0.0' }, (p) =>
      p.command('x', {}, ['/bin/sh', script], {
        files: [script],
        outputs: { n: { type: 'parameter' } },
      }),
    );
    const run = async () => {
      const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
      return { output: done.output, ...(await platform.pipelines.explainCache(done.id, 'x')) };
    };
    await writeFile(script, 'echo 1 > $KEELSON_OUTPUT_N_PATH');
    expect(await run()).toMatchObject({ output: { n: 1 }, outcome: 'miss' });
    expect(await run()).toMatchObject({ output: { n: 1 }, outcome: 'hit' });
    await writeFile(script, 'echo 2 > $KEELSON_OUTPUT_N_PATH');
    expect(await run()).toMatchObject({
      output: { n: 2 },
      outcome: 'miss',
      explanation: expect.stringMatching(/the code of .*work\.sh changed/),
    });
  });
});

describe('a module step', () => {
  /** A pipeline of one module step, and how one execution of it went. */
  async function moduleWorld(isolation: 'inline' | 'process', ending = 'ts') {
    const { platform, dir } = await openTestPlatform();
    const at = await temporaryDirectory();
    const file = join(at, `step.${ending}`);
    const pipeline = definePipeline('module', { version: '1.0.0' }, (p) =>
      p.module<number>('x', {}, { module: pathToFileURL(file), export: 'work', isolation }),
    );
    const run = async () => {
      const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
      return { output: done.output, ...(await platform.pipelines.explainCache(done.id, 'x')) };
    };
    return { platform, dir, at, file, pipeline, run };
  }

  test('is kept under the code that this process has imported, whatever its file is by now', async () => {
    const { at, file, run } = await moduleWorld('inline');
    const lazy = (n: number) => writeFile(join(at, 'lazy.ts'), `export const more = ${n};\n`);
    const eager = (n: number) => writeFile(join(at, 'eager.ts'), `export const base = ${n};\n`);
    await lazy(0);
    await eager(1);
    await writeFile(
      file,
      `import { base } from './eager.ts';
export async function work() { return base + (await import('./lazy.ts')).more; }\n`,
    );
    const first = await run();
    expect(first).toMatchObject({ output: 1, outcome: 'miss' });
    await eager(2);
    expect(await run()).toMatchObject({ output: 1, outcome: 'hit', key: first.key });
    await lazy(1);
    expect(await run()).toMatchObject({
      output: 1,
      outcome: 'off',
      explanation: expect.stringMatching(/^not cached: .*lazy\.ts was changed while this process/),
    });
  });

  test('in a process of its own has the code of the disk', async () => {
    const { file, run } = await moduleWorld('process');
    await writeFile(file, 'export const work = () => 1;\n');
    expect(await run()).toMatchObject({ output: 1, outcome: 'miss' });
    await writeFile(file, 'export const work = () => 2;\n');
    expect(await run()).toMatchObject({ output: 2, outcome: 'miss' });
    expect(await run()).toMatchObject({ output: 2, outcome: 'hit' });
  });

  test('that is no TypeScript which can be read is not cached, and says so', async () => {
    const { file, run } = await moduleWorld('inline');
    await writeFile(file, 'enum A { B }\nexport const work = () => A.B;\n');
    // Vitest transforms it, which Node does not.
    expect(await run()).toMatchObject({
      output: 0,
      outcome: 'off',
      explanation: expect.stringMatching(/^not cached: .*step\.ts cannot be read/),
    });
  });

  test('begun anew after its process died is kept under the code that it then ran', async () => {
    const { platform, dir, at, file, pipeline } = await moduleWorld('inline', 'mjs');
    const code = (n: number, wait: string) =>
      writeFile(
        file,
        `export const work = async () => { process.stdout.write('working\\n'); ${wait}; return ${n}; };\n`,
      );
    await code(1, 'await new Promise((resolve) => setTimeout(resolve, 600_000))');
    const definition = join(at, 'definition.json');
    await writeFile(definition, JSON.stringify(pipeline.definition));
    const child = new ChildProgram(childFile('run-definition'), [dir, definition]);
    const [, id = ''] = (await child.line(/^started /)).split(' ');
    await child.line(/^working$/);
    await child.kill();
    await code(2, '');
    expect(await platform.pipelines.wait(id)).toMatchObject({ status: 'COMPLETED', output: 2 });
    expect(await platform.pipelines.explainCache(id, 'x')).toMatchObject({
      outcome: 'off',
      explanation: 'not cached: what it is made of has changed since its process died',
    });
    const next = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
    expect((await platform.pipelines.explainCache(next.id, 'x')).outcome).toBe('miss');
  });
});

describe('the code of a module', () => {
  test('is that of all it imports: a change shows, a touch does not', async () => {
    const dir = await temporaryDirectory();
    await mkdir(join(dir, 'lib'));
    await writeFile(
      join(dir, 'entry.ts'),
      "import { a } from './lib/a.ts';\nexport const run = (x: number): number => a + x;\n",
    );
    await writeFile(
      join(dir, 'lib', 'a.ts'),
      "import './b.js';\nimport fs from 'node:fs';\nexport const a: number = 1; void fs;\n",
    );
    await writeFile(join(dir, 'lib', 'b.ts'), "import '../entry.ts';\nexport const b = 2;\n");
    const digests = new ModuleDigests();
    const of = () => digests.of(pathToFileURL(join(dir, 'entry.ts')).href);
    const first = await of();
    expect(first).toMatchObject({ files: 3 });
    await utimes(join(dir, 'lib', 'b.ts'), new Date(), new Date(0));
    expect(await of()).toEqual(first);
    await writeFile(join(dir, 'lib', 'b.ts'), "import '../entry.ts';\nexport const b = 3;\n");
    const second = await of();
    expect(second).not.toEqual(first);
    await writeFile(join(dir, 'lib', 'a.ts'), 'export const a = await import(`./${1}.ts`);\n');
    expect(await of()).toEqual({
      unknown: expect.stringMatching(/a\.ts imports something that is computed/),
    });
    await writeFile(join(dir, 'lib', 'a.ts'), "export { x as a } from 'no-such-package-at-all';\n");
    expect(await of()).toEqual({
      unknown: expect.stringMatching(/imports no-such-package-at-all, which is not found/),
    });
    await rm(join(dir, 'entry.ts'));
    await expect(of()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('of packages counts by version and lock file', async () => {
    const dir = await temporaryDirectory();
    await mkdir(join(dir, 'node_modules', 'dep'), { recursive: true });
    await writeFile(join(dir, 'entry.js'), "import dep from 'dep';\nexport default dep;\n");
    const version = (text: string) =>
      writeFile(
        join(dir, 'node_modules', 'dep', 'package.json'),
        JSON.stringify({ name: 'dep', version: text }),
      );
    const of = () => new ModuleDigests().of(pathToFileURL(join(dir, 'entry.js')).href);
    await version('1.0.0');
    const first = await of();
    expect(first).toMatchObject({ files: 1 });
    await version('1.0.1');
    const second = await of();
    expect(second).not.toEqual(first);
    await writeFile(join(dir, 'package-lock.json'), '{}');
    expect(await of()).not.toEqual(second);
  });
});

describe('explainMiss', () => {
  const part = fc.constantFrom('a', 'b', 'c');
  const parts: fc.Arbitrary<KeyParts> = fc.record({
    definition: part,
    runs: fc.constant('step x'),
    code: part,
    inputs: fc.dictionary(fc.constantFrom('p', 'q'), part),
    parameters: fc.dictionary(fc.constantFrom('r', 's'), fc.integer({ min: 0, max: 2 })),
  });

  test('names each part that differs, and no other', () => {
    fc.assert(
      fc.property(parts, parts, (now, then) => {
        const text = explainMiss(now, then);
        expect(text.includes('the code of')).toBe(now.code !== then.code);
        expect(text.includes('the definition')).toBe(now.definition !== then.definition);
        for (const name of ['p', 'q'])
          expect(text.includes(`input \`${name}\``)).toBe(now.inputs[name] !== then.inputs[name]);
        for (const name of ['r', 's']) {
          expect(text.includes(`parameter \`${name}\``)).toBe(
            now.parameters[name] !== then.parameters[name],
          );
        }
      }),
    );
  });
});

test('a fan-out says of how many items the results were there, and each item why', async () => {
  const { pipelines } = await world();
  const fan = (list: readonly number[], version: string, off = false) =>
    definePipeline('fan', { version }, (p) =>
      p.forEach('each', p.value(list), {}, ({ inputs }) => Number(inputs.item) * 2, {
        version: '1',
        ...(off ? { cache: false } : {}),
      }),
    );
  const run = async (pipeline: ReturnType<typeof fan>) => {
    const done = await pipelines.wait(await pipelines.start(pipeline));
    return {
      of: (item?: number) =>
        pipelines.explainCache(done.id, 'each', item === undefined ? {} : { item }),
    };
  };
  expect(await (await run(fan([1, 2, 3], '1.0.0'))).of()).toEqual({
    outcome: 'miss',
    explanation: 'each item on its own: 0 of 3 taken from earlier ones; name one with { item }',
  });
  const second = await run(fan([1, 5, 3], '1.1.0'));
  expect((await second.of()).explanation).toMatch(/^each item on its own: 2 of 3 taken/);
  expect(await second.of(0)).toMatchObject({ outcome: 'hit' });
  expect(await second.of(1)).toMatchObject({ outcome: 'miss' });
  await expect(second.of(3)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(second.of(-1)).rejects.toMatchObject({ code: 'INVALID' });
  expect(await (await run(fan([1, 5, 3], '1.2.0'))).of()).toMatchObject({ outcome: 'hit' });
  expect(await (await run(fan([1], '1.3.0', true))).of()).toEqual({
    outcome: 'off',
    explanation: 'not cached: its definition says so',
  });
});
