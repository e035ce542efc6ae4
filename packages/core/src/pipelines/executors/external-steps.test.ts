import { createHash } from 'node:crypto';
import { chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../../test/child-program.ts';
import type { CommandPipelineArgument } from '../../../test/children/command-pipelines.ts';
import { commandPipeline } from '../../../test/command-pipeline.ts';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import { testBackends } from '../../../test/test-backends.ts';
import { ProcessExecutor } from '../../embedded/processes/process-executor.ts';
import { isZombie, statOf } from '../../embedded/processes/process-tree.ts';
import { openPlatform, type Platform } from '../../open-platform.ts';
import { killLoop } from '../../testing/faults/kill-loop.ts';
import { seedOf } from '../../testing/faults/seed.ts';
import { definePipeline } from '../define-pipeline.ts';
import { parsePipeline } from '../pipeline-file.ts';
import type { StepOptions } from '../step-options.ts';

const kills = Number(process.env['KEELSON_KILLS'] ?? 12);
const seed = seedOf();
const v = { version: '1.0.0' };

async function run(platform: Platform, script: string, options: StepOptions = {}) {
  const name = `p${Math.random().toString(36).slice(2)}`;
  const pipeline = definePipeline(name, v, (p) =>
    p.command('work', {}, ['/bin/sh', '-c', script], options as object),
  );
  const execution = await platform.pipelines.start(pipeline);
  const done = await platform.pipelines.wait(execution);
  const [step] = await platform.pipelines.steps(done.id);
  return { done, step, output: done.output as Record<string, unknown> | undefined };
}

async function textOf(platform: Platform, id: string, stream: string): Promise<string> {
  const chunks = await Array.fromAsync(platform.pipelines.logs(id, 'work'));
  return chunks
    .filter((chunk) => chunk.stream === stream)
    .map(({ text }) => text)
    .join('');
}

describe('a step in Python, with nothing but variables and files', () => {
  test('inputs, parameters, outputs, metrics, params, tags, logs and progress', async () => {
    const { platform, dir } = await openTestPlatform();
    const script = `
import json, os, sys
env = os.environ
rows = json.load(open(env['KEELSON_INPUT_ROWS_PATH']))
text = open(env['KEELSON_INPUT_NOTES_PATH']).read()
assert json.loads(env['KEELSON_INPUT_ROWS']) == rows
assert sorted(os.listdir(env['KEELSON_INPUT_PARTS_PATH'])) == ['00000-a.txt', '00001-b.txt']
with open(env['KEELSON_METRICS_PATH'], 'a') as out:
    for step in range(3):
        out.write(json.dumps({'metric': 'loss', 'value': 1.0 / (step + 1), 'step': step}) + '\\n')
    out.write(json.dumps({'metric': 'odd', 'value': 'NaN'}) + '\\nno json at all\\n')
    out.write(json.dumps({'param': 'rate', 'value': float(env['KEELSON_PARAM_RATE'])}) + '\\n')
    out.write(json.dumps({'tag': 'kind', 'value': 'python'}) + '\\n')
    out.write(json.dumps({'progress': 0.5, 'message': 'half'}))
os.mkdir(env['KEELSON_OUTPUT_MODEL_PATH'])
os.mkdir(env['KEELSON_OUTPUT_MODEL_PATH'] + '/deep')
open(env['KEELSON_OUTPUT_MODEL_PATH'] + '/deep/weights.bin', 'wb').write(bytes(range(256)))
json.dump({'rows': len(rows), 'text': text}, open(env['KEELSON_OUTPUT_REPORT_PATH'], 'w'))
print('trained'); print('a warning', file=sys.stderr)
`;
    const schema = {
      type: 'object',
      properties: { rows: { type: 'integer' } },
      required: ['rows'],
    } as const;
    const pipeline = definePipeline(
      'python',
      {
        ...v,
        parameters: {
          type: 'object',
          properties: { rate: { type: 'number', default: 0.1 } },
        } as const,
      },
      (p) => {
        const rows = p.step('load', {}, () => [
          [1, 2],
          [3, 4],
        ]);
        const notes = p.step('notes', {}, ({ outputs }) =>
          outputs.artifact('notes.txt', new TextEncoder().encode('größer')),
        );
        const part = (name: string) =>
          p.step(name, {}, ({ outputs }) =>
            outputs.artifact(`${name}.txt`, new TextEncoder().encode(name)),
          );
        const parts = [part('a'), part('b')];
        const model = p.command('work', { rows, notes, parts }, ['python3', '-c', script], {
          outputs: { model: { type: 'model' }, report: { type: 'parameter', schema } },
        });
        const again = p.command(
          'again',
          { model: model.pick('model') },
          [
            '/bin/sh',
            '-c',
            'wc -c < "$KEELSON_INPUT_MODEL_PATH/deep/weights.bin" > "$KEELSON_OUTPUT_SIZE_PATH"',
          ],
          {
            outputs: { size: { type: 'parameter', schema: { type: 'integer' } } },
          },
        );
        return p.step('end', { again, report: model.pick('report') }, ({ inputs }) => ({
          size: inputs.again.size,
          ...inputs.report,
        }));
      },
    );
    const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline, {}));
    expect(done).toMatchObject({
      status: 'COMPLETED',
      output: { size: 256, rows: 2, text: 'größer' },
    });
    expect(await textOf(platform, done.id, 'stdout')).toBe('trained\n');
    expect(await textOf(platform, done.id, 'stderr')).toBe('a warning\n');
    const { runs } = await platform.tracking.searchRuns({ filter: "tags.kind = 'python'" });
    expect(runs[0]).toMatchObject({ name: 'work', params: { rate: 0.1 }, status: 'COMPLETED' });
    const history = await platform.tracking.getMetricHistory(runs[0]?.id ?? '', 'loss');
    expect([[...history.steps], [...history.values]]).toEqual([
      [0, 1, 2],
      [1, 0.5, 1 / 3],
    ]);
    const step = (await platform.pipelines.steps(done.id)).find(
      ({ step: name }) => name === 'work',
    );
    expect(step).toMatchObject({
      exitCode: 0,
      executor: 'process',
      log: { mimeType: 'application/jsonl' },
    });
    // Nothing of it is left where it ran.
    expect(await readdir(join(dir, 'executors', 'process'))).toEqual([]);
    expect(
      (await readdir(join(dir, 'work', 'default'), { recursive: true })).filter((name) =>
        name.includes('/a1'),
      ),
    ).toEqual([]);
  });
});

describe('failures are told apart', () => {
  test('by exit code and reason, with the end of stderr', async () => {
    const { platform } = await openTestPlatform();
    const failures: Record<string, unknown> = {};
    for (const [name, script, options] of [
      ['data', 'echo "row 7 is bad" >&2; exit 65', { retries: 3 }],
      ['permanent', 'no-such-command', {}],
      ['transient', 'exit 75', {}],
      [
        'oom',
        'x=$(head -c 200000000 /dev/zero | tr "\\0" a); sleep 5',
        { resources: { memoryBytes: 64 * 2 ** 20 } },
      ],
      ['time', 'sleep 30', { timeoutMs: 200 }],
      ['missing', 'true', { outputs: { model: { type: 'model' } } }],
      [
        'schema',
        'echo 3 > $KEELSON_OUTPUT_N_PATH',
        { outputs: { n: { type: 'parameter', schema: { type: 'string' } } } },
      ],
      ['json', 'echo { > $KEELSON_OUTPUT_N_PATH', { outputs: { n: { type: 'parameter' } } }],
    ] as const) {
      const { done, step } = await run(platform, script, options as StepOptions);
      expect(done.status).toBe('FAILED');
      failures[name] = [
        done.failure?.class,
        step?.attempt,
        done.failure?.message.split('\n').join(' | '),
      ];
    }
    expect(failures).toEqual({
      data: ['data', 1, 'Step work failed. It ended with exit code 65. | row 7 is bad'],
      permanent: [
        'permanent',
        1,
        expect.stringMatching(
          /exit code 127: the command was not found.*no-such-command: not found/,
        ),
      ],
      transient: ['transient', 1, 'Step work failed. It ended with exit code 75.'],
      oom: ['resource', 1, expect.stringMatching(/It used \d+ MiB of memory and was given 64 MiB/)],
      time: ['transient', 1, 'Step work took longer than its 200 ms.'],
      missing: [
        'data',
        1,
        expect.stringMatching(
          /has not written its output "model": it belongs at the path in KEELSON_OUTPUT_MODEL_PATH/,
        ),
      ],
      schema: [
        'data',
        1,
        expect.stringMatching(
          /Output "n" of step work does not fit its schema: value must be string/,
        ),
      ],
      json: ['data', 1, expect.stringMatching(/Output "n" of step work is no JSON/)],
    });
  });

  test('an output that is or holds a link fails the step and names the link', async () => {
    const { platform } = await openTestPlatform();
    const secret = join(await temporaryDirectory(), 'secret.json');
    await writeFile(secret, '{"password":7}');
    const model = { outputs: { out: { type: 'model' } } } as const;
    const out = '"$KEELSON_OUTPUT_OUT_PATH"';
    for (const [script, options, names] of [
      [`ln -s ${secret} ${out}`, model, `/out/out leads to ${secret}`],
      [`ln -s /etc ${out}`, model, '/out/out leads to /etc'],
      [`ln -s nowhere ${out}`, model, '/out/out leads to nowhere'],
      [
        `mkdir -p ${out}/a; echo 1 > ${out}/a/b; ln -s ${secret} ${out}/a/c`,
        model,
        '/out/out/a/c leads',
      ],
      [`mkdir ${out}; ln -s .. ${out}/up`, model, '/out/out/up leads to ..'],
      [`mkdir ${out}; mkfifo ${out}/pipe`, model, '/out/out/pipe is neither'],
      [
        `ln -s ${secret} ${out}`,
        { outputs: { out: { type: 'parameter' } } },
        `/out/out leads to ${secret}`,
      ],
      [
        `ln -s ${secret} ${out}`,
        { outputs: { out: { type: 'metrics' } } },
        `/out/out leads to ${secret}`,
      ],
      [
        `mkdir elsewhere; echo 1 > elsewhere/out; rmdir $KEELSON_WORK_DIR/out; ln -s $PWD/elsewhere $KEELSON_WORK_DIR/out`,
        { ...model, retries: 3 },
        'replaced the directory of its outputs',
      ],
    ] as const) {
      const { done, step } = await run(platform, script, options as StepOptions);
      expect(done.failure, script).toMatchObject({
        class: 'data',
        message: expect.stringContaining(names),
      });
      expect([step?.attempt, step?.artifacts], script).toEqual([1, []]);
    }
  });

  test('a file of metrics that is a link is not followed', async () => {
    const { platform, logs } = await openTestPlatform();
    const other = join(await temporaryDirectory(), 'other.jsonl');
    await writeFile(other, '{"tag":"from","value":"elsewhere"}\n');
    const { done } = await run(platform, `ln -s ${other} "$KEELSON_METRICS_PATH"`);
    expect(done.status).toBe('COMPLETED');
    const { runs } = await platform.tracking.searchRuns({ filter: "tags.`from` = 'elsewhere'" });
    expect(runs).toEqual([]);
    expect(logs.map(({ message }) => message).join()).toContain('a link leads to');
  });

  test('a failed attempt leaves its log, and the next one gets its checkpoint', async () => {
    const { platform } = await openTestPlatform();
    const script = `
if [ -n "$KEELSON_CHECKPOINT_PATH" ]; then cat "$KEELSON_CHECKPOINT_PATH"; exit 0; fi
echo "attempt $KEELSON_ATTEMPT"
echo first > $KEELSON_CHECKPOINT_DIR/v1; echo half > $KEELSON_CHECKPOINT_DIR/v3.tmp; echo second > $KEELSON_CHECKPOINT_DIR/v2
exit 75`;
    const { done, step } = await run(platform, script, { retries: { limit: 1, delayMs: 1 } });
    expect(done.status).toBe('COMPLETED');
    expect(step?.attempt).toBe(2);
    expect(await textOf(platform, done.id, 'stdout')).toBe('second\n');
    const before = await Array.fromAsync(platform.pipelines.logs(done.id, 'work', { attempt: 1 }));
    expect(before.map(({ text }) => text).join('')).toBe('attempt 1\n');
  });

  test('secrets in the environment of this process and in what is written stay out', async () => {
    const { platform } = await openTestPlatform();
    process.env['SUPER_SECRET'] = 'do-not-show';
    const { done } = await run(platform, 'echo "[$SUPER_SECRET] postgres://u:hunter2@db/x"');
    delete process.env['SUPER_SECRET'];
    expect(await textOf(platform, done.id, 'stdout')).toBe('[] postgres://u:[redacted]@db/x\n');
  });
});

describe('stopSiblings of a module', () => {
  for (const isolation of ['inline', 'thread', 'process'] as const) {
    test(`ends the other items (${isolation}): those that run and those that do not yet`, async () => {
      const { platform } = await openTestPlatform({ pipelines: { concurrency: 3 } });
      const at = await temporaryDirectory();
      const module = join(at, 'search.mjs');
      await writeFile(
        module,
        `
import { readdirSync, writeFileSync } from 'node:fs';
export async function work({ inputs, item, stopSiblings, signal }) {
  writeFileSync(${JSON.stringify(at)} + '/' + item, String(process.pid));
  // Whichever comes first once two of them run.
  const wins = () => {
    if (readdirSync(${JSON.stringify(at)}).filter((name) => /^[0-9]$/.test(name)).length < 2) return false;
    try {
      writeFileSync(${JSON.stringify(join(at, 'winner'))}, '', { flag: 'wx' });
      return true;
    } catch {
      return false;
    }
  };
  while (!signal.aborted && !wins()) await new Promise((resolve) => setTimeout(resolve, 10));
  signal.throwIfAborted();
  stopSiblings('good enough');
  return inputs.item;
}
`,
      );
      const definition = parsePipeline(`
name: search
version: 1.0.0
parameters:
  type: object
  properties: { list: { type: array, default: [0, 10, 20, 30, 40, 50, 60, 70] } }
steps:
  each:
    module: "${module}#work"
    isolation: ${isolation}
    forEach: { items: { parameter: list }, maxParallel: 3 }
    resources: { cpuCores: 0.1 }
    onFailure: continue
output: each
`);
      await platform.pipelines.putDefinition(definition);
      const { id } = await platform.pipelines.start('search');
      const done = await platform.pipelines.wait(id);
      expect(done.status).toBe('COMPLETED');
      expect((done.output as unknown[]).filter((value) => value !== null)).toHaveLength(1);
      const items = await platform.pipelines.items(id, 'each');
      expect(items.map(({ status, skipReason }) => skipReason ?? status).toSorted()).toEqual([
        'COMPLETED',
        ...Array(7).fill('good enough'),
      ]);
      if (isolation !== 'process') return;
      const begun = (await readdir(at)).filter((name) => /^\d+$/.test(name));
      for (const name of begun) {
        const pid = Number(await readFile(join(at, name), 'utf8'));
        await expect.poll(() => lives(pid)).toBe(false);
      }
    });
  }
});

describe('cancel', () => {
  test('reaches the process and all that it has started, and shows at once', async () => {
    const { platform } = await openTestPlatform();
    const pids = join(await temporaryDirectory(), 'pids');
    const pipeline = definePipeline('long', v, (p) => {
      p.command('work', {}, [
        '/bin/sh',
        '-c',
        `sleep 100 & echo $! >> ${pids}; echo $$ >> ${pids}; echo begun; wait`,
      ]);
    });
    const { id } = await platform.pipelines.start(pipeline);
    const waiting = platform.pipelines.wait(id);
    for (;;) {
      await expect
        .poll(async () => (await platform.pipelines.steps(id))[0]?.externalId)
        .toBeDefined();
      const logs = platform.pipelines.logs(id, 'work', { follow: true });
      for await (const { text } of logs) if (text.includes('begun')) break;
      break;
    }
    const before = performance.now();
    await platform.pipelines.cancel(id);
    expect((await waiting).status).toBe('CANCELLED');
    expect(performance.now() - before).toBeLessThan(2000);
    const all = (await readFile(pids, 'utf8')).trim().split('\n').map(Number);
    expect(all).toHaveLength(2);
    for (const pid of all) expect(await lives(pid)).toBe(false);
  });
});

describe('cancel of an execution whose supervisor has died', () => {
  /** An execution with a command that runs, started by a process that was killed. */
  async function orphan() {
    const at = await temporaryDirectory();
    const { platform, dir } = await openTestPlatform();
    const pipeline = definePipeline('orphan', v, (p) => {
      p.command('work', {}, [
        '/bin/sh',
        '-c',
        `echo said; echo $$ > ${at}/new; mv ${at}/new ${at}/pid; sleep 600`,
      ]);
    });
    const definition = join(at, 'definition.json');
    await writeFile(definition, JSON.stringify(pipeline.definition));
    const child = new ChildProgram(childFile('run-definition'), [dir, definition]);
    const [, id = ''] = (await child.line(/^started /)).split(' ');
    const read = () => readFile(join(at, 'pid'), 'utf8').catch(() => '');
    await expect.poll(read, { timeout: 10_000 }).not.toBe('');
    return { platform, child, id, pid: Number(await read()) };
  }

  test('ends its command, though nobody sweeps', async () => {
    const { platform, child, id, pid } = await orphan();
    await child.kill();
    expect(await lives(pid)).toBe(true);
    expect(await platform.pipelines.cancel(id)).toMatchObject({ status: 'CANCELLED' });
    await expect.poll(() => lives(pid), { timeout: 2000 }).toBe(false);
    // What it had written is kept all the same.
    const logs = () => Array.fromAsync(platform.pipelines.logs(id, 'work'));
    await expect
      .poll(logs, { timeout: 15_000 })
      .toMatchObject([{ stream: 'stdout', text: 'said\n' }]);
  });

  test('is not over at a close before the command has ended', async () => {
    const { platform, child, id, pid } = await orphan();
    await child.kill();
    await platform.pipelines.cancel(id);
    await platform.close();
    expect(await lives(pid)).toBe(false);
  });
});

describe('a platform that closes', () => {
  test('leaves its commands running, and the next one on the directory goes on with them', async () => {
    const dir = join(await temporaryDirectory(), '.keelson');
    const at = await temporaryDirectory();
    const script = `echo begun; while [ ! -e ${at}/go ]; do sleep 0.02; done; echo "$KEELSON_ATTEMPT" > $KEELSON_OUTPUT_N_PATH; echo '{"metric":"late","value":1}' >> $KEELSON_METRICS_PATH`;
    const pipeline = definePipeline('handed-over', v, (p) =>
      p.command('work', {}, ['/bin/sh', '-c', script], { outputs: { n: { type: 'parameter' } } }),
    );
    const first = await openPlatform({ dir, ...(await testBackends(dir)) });
    const { id } = await first.pipelines.start(pipeline);
    const waiting = first.pipelines.wait(id).catch(() => undefined);
    await expect.poll(async () => (await first.pipelines.steps(id))[0]?.externalId).toBeDefined();
    const before = performance.now();
    await first.close();
    expect(performance.now() - before).toBeLessThan(5000);
    await Promise.race([waiting, Promise.resolve()]);
    await using second = await openPlatform({ dir, ...(await testBackends(dir)) });
    expect((await second.pipelines.steps(id))[0]).toMatchObject({ status: 'RUNNING', attempt: 1 });
    await writeFile(join(at, 'go'), '');
    const done = await second.pipelines.wait(id);
    expect(done).toMatchObject({ status: 'COMPLETED', output: { n: 1 } });
    expect(await textOf(second, id, 'stdout')).toBe('begun\n');
    const { runs } = await second.tracking.searchRuns({ filter: 'metrics.late = 1' });
    expect(runs.map(({ status }) => status)).toEqual(['COMPLETED']);
  });

  test('while its command fails: the next one tells of the failure, with the log', async () => {
    const dir = join(await temporaryDirectory(), '.keelson');
    const at = await temporaryDirectory();
    const stateDir = await temporaryDirectory();
    const script = `echo begun; while [ ! -e ${at}/go ]; do sleep 0.02; done; exit 3`;
    const pipeline = definePipeline('failed-at-a-close', v, (p) =>
      p.command('work', {}, ['/bin/sh', '-c', script], { executor: 'late' }),
    );
    /** Told to wait no longer, it lets the command end, and tells of that. */
    class Late extends ProcessExecutor {
      override async wait(...[handle, options]: Parameters<ProcessExecutor['wait']>) {
        return super.wait(handle, options).catch(async (error: unknown) => {
          await writeFile(join(at, 'go'), '');
          await expect.poll(() => this.attach(handle)).toMatchObject({ state: 'failed' });
          return (await this.attach(handle)) ?? Promise.reject(error);
        });
      }
    }
    const options = { name: 'late', stateDir };
    const backends = await testBackends(dir);
    const first = await openPlatform({ dir, ...backends, executors: [new Late(options)] });
    const { id } = await first.pipelines.start(pipeline);
    const waiting = first.pipelines.wait(id).catch(() => undefined);
    await expect.poll(async () => (await first.pipelines.steps(id))[0]?.externalId).toBeDefined();
    await first.close();
    await Promise.race([waiting, Promise.resolve()]);
    const executors = [new ProcessExecutor(options)];
    await using second = await openPlatform({ dir, ...(await testBackends(dir)), executors });
    const done = await second.pipelines.wait(id, { timeoutMs: 20_000 });
    expect(done).toMatchObject({ status: 'FAILED' });
    expect(await textOf(second, id, 'stdout')).toBe('begun\n');
  });
});

describe('inputs pass through the cache of downloads', () => {
  test('read only, in a directory of each staging, there while they are used, verified, within its bound', async () => {
    const at = await temporaryDirectory();
    const cacheDir = join(at, 'cache');
    const mebibytes = 2 ** 20;
    const { platform } = await openTestPlatform({
      downloadCache: { dir: cacheDir, maxBytes: 24 * mebibytes },
    });
    const bytes = (n: number) => Buffer.alloc(16 * mebibytes, n);
    const put = { outputs: { facts: { type: 'parameter' } } } as const;
    const facts = `printf '["%s","%s"]' $KEELSON_INPUT_DATA_PATH $(sha256sum < $KEELSON_INPUT_DATA_PATH | cut -c1-64) > $KEELSON_OUTPUT_FACTS_PATH`;
    const hold = `touch ${at}/held; while [ ! -e ${at}/go ]; do sleep 0.02; done; ${facts}`;
    const copies = async () => {
      const all = await readdir(cacheDir, { recursive: true });
      return all
        .filter((name) => /[/][0-9a-f]{64}$/.test(name))
        .map((name) => join(cacheDir, name));
    };
    let evicted = false;
    const modes: number[] = [];
    const pipeline = definePipeline('staged', v, (p) => {
      const a = p.step('a', {}, ({ outputs }) => outputs.artifact('a.bin', bytes(1)));
      const b = p.step('b', {}, ({ outputs }) => outputs.artifact('b.bin', bytes(2)));
      const first = p.command('first', { data: a }, ['/bin/sh', '-c', hold], put);
      const held = p.step('held', {}, async () => {
        await expect.poll(() => readdir(at), { timeout: 20_000 }).toContain('held');
      });
      const other = p.command('other', { data: b }, ['/bin/sh', '-c', facts], {
        ...put,
        after: [held],
      });
      const between = p.step('between', { a, other }, async ({ inputs }) => {
        const paths = await copies();
        evicted = !paths.some((path) => path.endsWith(inputs.a.sha256));
        const total = await Promise.all(paths.map(async (path) => (await stat(path)).size));
        expect(total.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(24 * mebibytes);
        for (const path of paths) {
          modes.push((await stat(path)).mode & 0o777);
          // Somebody writes to what the cache has.
          await chmod(path, 0o644);
          await writeFile(path, 'damaged');
        }
        await writeFile(join(at, 'go'), '');
      });
      const again = p.command('again', { data: b }, ['/bin/sh', '-c', facts], {
        ...put,
        after: [between],
      });
      return p.step('all', { first, other, again }, ({ inputs }) => JSON.stringify(inputs));
    });
    const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
    expect(done.status).toBe('COMPLETED');
    const sha = (n: number) => createHash('sha256').update(bytes(n)).digest('hex');
    const { first, other, again } = JSON.parse(done.output ?? '') as Record<
      string,
      { facts: [string, string] }
    >;
    expect([first, other, again].map((each) => each?.facts[1])).toEqual([sha(1), sha(2), sha(2)]);
    expect(evicted).toBe(true);
    expect(modes).toEqual([0o444]);
    expect(other?.facts[0]).not.toBe(again?.facts[0]);
  });

  test('one content twice, directories and JSON: all read only', async () => {
    const { platform } = await openTestPlatform();
    const script = `
mkdir -p $KEELSON_OUTPUT_OUT_PATH/deep; echo x > $KEELSON_OUTPUT_OUT_PATH/deep/a; echo x > $KEELSON_OUTPUT_OUT_PATH/b`;
    const look = `stat -c '%a %n' $(find $KEELSON_INPUT_DIR_PATH $KEELSON_INPUT_TWICE_PATH $KEELSON_INPUT_N_PATH -type f) | sed 's|/.*/in/[^/]*/||' | sort`;
    const pipeline = definePipeline('kinds', v, (p) => {
      const dir = p.command('dir', {}, ['/bin/sh', '-c', script], {
        outputs: { out: { type: 'dataset' } },
      });
      const one = p.step('one', {}, ({ outputs }) => outputs.artifact('o.txt', new Uint8Array(3)));
      p.command('work', { dir: dir.pick('out'), twice: [one, one], n: p.value(7) }, [
        '/bin/sh',
        '-c',
        look,
      ]);
    });
    const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
    expect(done.status).toBe('COMPLETED');
    expect((await textOf(platform, done.id, 'stdout')).trim().split('\n')).toEqual([
      '444 dir/b',
      '444 dir/deep/a',
      '444 n.json',
      '444 twice/00000-o.txt',
      '444 twice/00001-o.txt',
    ]);
  });
});

describe('inputs that are gone', () => {
  /** Removes a content behind the back of everybody. */
  async function removeContent(dir: string, sha256: string): Promise<void> {
    const all = await readdir(dir, { recursive: true });
    const files = all.filter((name) => name.endsWith(sha256) && !name.startsWith('work'));
    expect(files.length).toBeGreaterThan(0);
    for (const name of files) await rm(join(dir, name), { recursive: true });
  }

  for (const dies of ['while its command runs', 'before it could note its task down']) {
    test(`do not matter to a command that runs, whose supervisor died ${dies}`, async () => {
      const noted = dies.startsWith('while');
      const [at, tasks] = [await temporaryDirectory(), await temporaryDirectory()];
      const executors = [new ProcessExecutor({ name: 'own', stateDir: tasks })];
      const { platform, dir } = await openTestPlatform({ executors });
      const out = { outputs: { rows: { type: 'dataset' } } } as const;
      const pipeline = definePipeline('adopted', v, (p) => {
        const load = p.command(
          'load',
          {},
          ['/bin/sh', '-c', 'echo 5 > $KEELSON_OUTPUT_ROWS_PATH'],
          out,
        );
        return p.command(
          'work',
          { rows: load.pick('rows') },
          [
            '/bin/sh',
            '-c',
            `echo $$ > ${at}/begun; while [ ! -e ${at}/go ]; do sleep 0.02; done; cat $KEELSON_INPUT_ROWS_PATH > $KEELSON_OUTPUT_N_PATH`,
          ],
          { executor: 'own', outputs: { n: { type: 'parameter' } } },
        );
      });
      const definition = join(at, 'definition.json');
      await writeFile(definition, JSON.stringify(pipeline.definition));
      const program = childFile(noted ? 'run-definition' : 'submit-and-die');
      const child = new ChildProgram(program, [dir, definition, tasks]);
      const [, id = ''] = (await child.line(/^started /)).split(' ');
      const work = async () =>
        (await platform.pipelines.steps(id)).find(({ step }) => step === 'work');
      if (noted) await expect.poll(async () => (await work())?.externalId).toBeDefined();
      else await child.end();
      await expect.poll(() => readFile(join(at, 'begun'), 'utf8').catch(() => '')).not.toBe('');
      await child.kill();
      expect((await work())?.externalId !== undefined).toBe(noted);
      const load = (await platform.pipelines.steps(id)).find(({ step }) => step === 'load');
      const artifact = load?.artifacts.find(({ name }) => name === 'rows');
      await removeContent(join(dir, 'artifacts'), artifact?.sha256 ?? '');
      const waiting = platform.pipelines.wait(id);
      await writeFile(join(at, 'go'), '');
      expect(await waiting).toMatchObject({ status: 'COMPLETED', output: { n: 5 } });
      expect((await work())?.attempt).toBe(1);
    });
  }

  test('before the task is made fail the step as data, naming the input', async () => {
    const { platform, dir } = await openTestPlatform();
    const module = join(await temporaryDirectory(), 'reads.mjs');
    await writeFile(module, 'export const work = ({ inputs }) => inputs.rows.text();\n');
    for (const [name, isolation] of [
      ['command', undefined],
      ['module', 'process'],
      ['thread', 'thread'],
    ] as const) {
      const pipeline = definePipeline(name, v, (p) => {
        const rows = p.step('load', {}, ({ outputs }) =>
          outputs.artifact('rows', new TextEncoder().encode(name)),
        );
        const drop = p.step('drop', { rows }, ({ inputs }) =>
          removeContent(join(dir, 'artifacts'), inputs.rows.sha256),
        );
        const options = { after: [drop], retries: { limit: 3, delayMs: 1 } };
        if (isolation === undefined) p.command('work', { rows }, ['/bin/true'], options);
        else p.module('work', { rows }, { module, export: 'work', isolation }, options);
      });
      const done = await platform.pipelines.wait(await platform.pipelines.start(pipeline));
      expect(done.failure, name).toMatchObject({
        class: 'data',
        message: expect.stringMatching(/^Input "rows" of step work cannot be used: /),
      });
      const work = (await platform.pipelines.steps(done.id)).find(({ step }) => step === 'work');
      expect([work?.attempt, work?.externalId], name).toEqual([1, undefined]);
    }
  });
});

describe('the supervising process dies', () => {
  test(`killed ${kills} times (KEELSON_SEED=${seed}): each command runs once, and nothing is left`, async () => {
    const dir = join(await temporaryDirectory(), '.keelson');
    const effects = join(await temporaryDirectory(), 'effects');
    const shape = { rows: 5, width: 4, seconds: 0.15 };
    const executions = Math.max(1, Math.ceil(kills / 12));
    const argument = { dir, effects, executions, shape } satisfies CommandPipelineArgument;
    await using platform = await openPlatform({ dir, ...(await testBackends(dir)) });
    const ended = async (): Promise<boolean> => {
      const { executions: all } = await platform.pipelines.list({ pipeline: 'commands' });
      return all.length === executions && all.every(({ endedAt }) => endedAt !== undefined);
    };
    const report = await killLoop({
      ...{ program: childFile('command-pipelines'), argument, seed, processes: 2, kills },
      everyMs: [60, 300],
      done: ended,
      timeoutMs: 60_000 + kills * 5000,
    });
    expect(report.kills).toBeGreaterThan(kills / 4);
    const { executions: all } = await platform.pipelines.list({ pipeline: 'commands' });
    expect(all.map(({ status, failure }) => failure ?? status)).toEqual(
      Array(executions).fill('COMPLETED'),
    );
    const lines = (await readFile(effects, 'utf8')).trim().split('\n');
    // Each of them once and in its first attempt: nobody has died but supervisors.
    const steps = lines.map((line) => line.split(' ').slice(0, 2).join(' ')).toSorted();
    const expected = commandPipeline(effects, shape).definition.steps.map(
      ({ name }) => `${name} 1`,
    );
    expect(steps).toEqual(Array(executions).fill(expected).flat().toSorted());
    for (const line of lines) expect(await lives(Number(line.split(' ')[2]))).toBe(false);
    for (const { id } of all) {
      for (const step of await platform.pipelines.steps(id)) {
        expect(step).toMatchObject({
          status: 'COMPLETED',
          attempt: 1,
          artifacts: [{ name: 'name' }],
        });
      }
    }
    for (const loop of platform.pipelines.loops) await loop.runOnce(new AbortController().signal);
    expect(await readdir(join(dir, 'executors', 'process'))).toEqual([]);
  }, 180_000);
});

async function lives(pid: number): Promise<boolean> {
  const stat = await statOf(pid);
  return stat !== undefined && !isZombie(stat);
}
