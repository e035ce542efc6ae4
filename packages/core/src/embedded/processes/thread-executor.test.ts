import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import type { ModuleContext } from '../../contracts/module-context.ts';
import { definePipeline } from '../../pipelines/define-pipeline.ts';
import type { StepArtifact } from '../../pipelines/step-artifact.ts';
import type { StepContext } from '../../pipelines/step-types.ts';
import { type ExecutorHarness, executorSuite } from '../../testing/executor-suite.ts';
import { runCase } from '../../testing/suite.ts';
import { ThreadExecutor } from './thread-executor.ts';

const module = new URL('../../../test/modules-of-the-suite.ts', import.meta.url).href;

function threadHarness(): ExecutorHarness {
  const executor = new ThreadExecutor();
  const known = ['exit', 'hang', 'print', 'mark', 'fill'];
  return {
    executor,
    entry: (work) =>
      known.includes(work.does)
        ? {
            entry: { type: 'module', module, export: 'perform' },
            input: { parameters: { ...work }, inputs: {}, artifacts: {} } as never,
          }
        : undefined,
    directory: async () => undefined,
    another: async () => undefined,
    [Symbol.asyncDispose]: () => executor.close(),
  };
}

describe('threads keep the promises of Executor', () => {
  for (const suiteCase of executorSuite.cases) {
    test(suiteCase.name, () => runCase(suiteCase, threadHarness));
  }
});

describe('a module as a step', () => {
  test('gives the same here, in a thread and in a process', async () => {
    const { platform } = await openTestPlatform();
    const file = join(await temporaryDirectory(), 'steps.ts');
    await writeFile(
      file,
      `
export async function work({ inputs, outputs, parameters, run, step }: any) {
  run.logMetric('size', (await inputs.text.text()).length, { step: 1 });
  const note = await outputs.artifact('note.txt', new TextEncoder().encode(parameters.word + inputs.n));
  return { step, n: inputs.n + 1, note, nan: NaN };
}
export function fails() {
  throw Object.assign(new Error('row 7'), { name: 'StepError', failure: 'data' });
}
`,
    );
    for (const isolation of ['inline', 'thread', 'process'] as const) {
      const pipeline = definePipeline(
        `module-${isolation}`,
        {
          version: '1.0.0',
          parameters: {
            type: 'object',
            properties: { word: { type: 'string', default: 'n=' } },
          } as const,
        },
        (p) => {
          const text = p.step('text', {}, ({ outputs }) =>
            outputs.artifact('t.txt', new TextEncoder().encode('four')),
          );
          return p.module<{ n: number; note: { text(): Promise<string> } }>(
            'work',
            { text, n: p.value(3) },
            { module: pathToFileURL(file), export: 'work', isolation },
          );
        },
      );
      const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline, {}));
      expect(done, isolation).toMatchObject({
        status: 'COMPLETED',
        output: { step: 'work', n: 4, nan: Number.NaN },
      });
      expect(await done.output?.note.text()).toBe('n=3');
      const { runs } = await platform.tracking.searchRuns({
        filter: `tags.\`keelson.execution\` = '${done.id}' AND metrics.size = 4`,
      });
      expect(runs.map(({ name }) => name)).toEqual(['work']);
      const bad = definePipeline(`bad-${isolation}`, { version: '1.0.0' }, (p) => {
        p.module(
          'work',
          {},
          { module: pathToFileURL(file), export: 'fails', isolation },
          { retries: 3 },
        );
      });
      const failed = await platform.pipelines.wait(await platform.pipelines.start(bad));
      expect(failed.failure, isolation).toMatchObject({ class: 'data', message: 'row 7' });
    }
  });

  test('has what its types say: checkpoints of the attempt before, and its run', async () => {
    const { platform } = await openTestPlatform();
    const file = join(await temporaryDirectory(), 'goes-on.ts');
    await writeFile(
      file,
      `
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
export function work({ attempt, checkpointDir, checkpointPath, run }: any) {
  if (checkpointPath !== undefined) {
    run.logMetric('one', 1, { timestamp: new Date(5) });
    run.logMetrics({ two: 2 }, { step: 7 });
    run.logParams({ a: 1, b: { c: 2 } });
    run.setTags({ isolation: 'x' });
    run.progress(0.5, 'half');
    return [attempt, readFileSync(checkpointPath, 'utf8')];
  }
  writeFileSync(checkpointDir + '/v1.tmp', 'first');
  renameSync(checkpointDir + '/v1.tmp', checkpointDir + '/v1');
  throw new Error('again');
}
`,
    );
    for (const isolation of ['thread', 'process'] as const) {
      const pipeline = definePipeline(`goes-on-${isolation}`, { version: '1.0.0' }, (p) =>
        p.module(
          'work',
          {},
          { module: pathToFileURL(file), export: 'work', isolation },
          { retries: { limit: 1, delayMs: 1 } },
        ),
      );
      const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
      expect(done).toMatchObject({ status: 'COMPLETED', output: [2, 'first'] });
      const { runs } = await platform.tracking.searchRuns({
        filter: `tags.\`keelson.execution\` = '${done.id}' AND tags.isolation = 'x'`,
      });
      expect(runs[0]).toMatchObject({ params: { a: 1, 'b.c': 2 } });
      const id = runs[0]?.id ?? '';
      const [one, two] = await Promise.all(
        ['one', 'two'].map((name) => platform.tracking.getMetricHistory(id, name)),
      );
      expect([...(one?.timestamps ?? [])]).toEqual([5]);
      expect([...(two?.steps ?? [])]).toEqual([7]);
    }
  });

  test('typed by ModuleContext runs inline as well', async () => {
    const work = ({ run, outputs, step }: ModuleContext): unknown => {
      run?.logMetrics({ one: 1 });
      return outputs.json('step.json', step);
    };
    // The compiler refuses it where a step's context is not a module's.
    const asStep: (context: StepContext<never, never>) => unknown = work;
    const { platform } = await openTestPlatform();
    const pipeline = definePipeline('typed', { version: '1.0.0' }, (p) =>
      p.step('work', {}, asStep as () => StepArtifact),
    );
    const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
    expect(await done.output?.json()).toBe('work');
  });

  test('reads its artifacts the same everywhere, and what looks like a reference is none', async () => {
    const { platform } = await openTestPlatform();
    const file = join(await temporaryDirectory(), 'reads.mjs');
    await writeFile(
      file,
      `
const textOf = async (stream) => Buffer.concat(await Array.fromAsync(stream)).toString();
const refused = (work) => work.then(() => 'taken', ({ code }) => code);
export async function work({ inputs: { value, text } }) {
  return {
    json: await value.json(),
    methods: ['open', 'bytes', 'text', 'json', 'toJSON'].filter((name) => typeof value[name] !== 'function'),
    facts: value.toJSON(),
    ranges: [
      await textOf(await text.open()),
      await textOf(await text.open({ start: 1, end: 3 })),
      await textOf(await text.open({ start: 2 })),
      await textOf(await text.open({ start: 2, end: 2 })),
      await refused(text.open({ start: 0, end: 99 })),
      await refused(text.open({ start: 3, end: 1 })),
      await refused(text.open({ start: 0.5 })),
      await refused(text.json()),
    ],
    like: { $output: { name: 'x' }, $artifact: 1, deep: [{ $artifact: 2 }, { $output: 3 }, { $$output: 4 }] },
  };
}
export const dates = () => ({ at: new Date(0) });
`,
    );
    const outputs: unknown[] = [];
    for (const isolation of ['inline', 'thread', 'process'] as const) {
      const pipeline = definePipeline(`reads-${isolation}`, { version: '1.0.0' }, (p) => {
        const value = p.step('value', {}, ({ outputs: { json } }) =>
          json('v.json', {
            nan: Number.NaN,
            zero: -0,
            big: 2 ** 53 - 1,
            tagged: { $number: 'NaN' },
          }),
        );
        const text = p.step('text', {}, ({ outputs: { artifact } }) =>
          artifact('t.txt', new TextEncoder().encode('größer')),
        );
        return p.module(
          'work',
          { value, text },
          { module: pathToFileURL(file), export: 'work', isolation },
        );
      });
      const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
      const { facts, ...output } = done.output as { facts: { path: string } };
      expect(facts.path).toMatch(/outputs\/v\.json$/);
      outputs.push(output);
      const dates = definePipeline(`dates-${isolation}`, { version: '1.0.0' }, (p) =>
        p.module('work', {}, { module: pathToFileURL(file), export: 'dates', isolation }),
      );
      const bad = await platform.pipelines.wait(await platform.pipelines.start(dates));
      expect(bad.failure?.message, isolation).toMatch(/at.*Date/);
    }
    expect(outputs[0]).toEqual({
      json: { nan: Number.NaN, zero: -0, big: 2 ** 53 - 1, tagged: { $number: 'NaN' } },
      methods: [],
      ranges: ['größer', 'r\u{fffd}', '\u{f6}ßer', '', 'INVALID', 'INVALID', 'INVALID', 'CORRUPT'],
      like: {
        $output: { name: 'x' },
        $artifact: 1,
        deep: [{ $artifact: 2 }, { $output: 3 }, { $$output: 4 }],
      },
    });
    expect(outputs[1]).toEqual(outputs[0]);
    expect(outputs[2]).toEqual(outputs[0]);
  });

  test('that puts a link in the place of its output fails', async () => {
    const { platform } = await openTestPlatform();
    const dir = await temporaryDirectory();
    await writeFile(join(dir, 'secret'), 'hidden');
    const file = join(dir, 'links.ts');
    await writeFile(
      file,
      `
import { rmSync, symlinkSync } from 'node:fs';
export async function work({ outputs }: any) {
  const note = await outputs.artifact('note.txt', new TextEncoder().encode('n'));
  const path = process.env.KEELSON_WORK_DIR + '/out/note.txt';
  rmSync(path);
  symlinkSync(${JSON.stringify(join(dir, 'secret'))}, path);
  return note;
}
`,
    );
    const pipeline = definePipeline('links', { version: '1.0.0' }, (p) =>
      p.module('work', {}, { module: pathToFileURL(file), export: 'work', isolation: 'process' }),
    );
    const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
    expect(done.failure).toMatchObject({
      class: 'data',
      message: expect.stringContaining('"note.txt" of a module must be a file of its own'),
    });
  });
});
