import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../../test/child-program.ts';
import { openTestPlatform, temporaryDirectory, until } from '../../../test/open-test-platform.ts';
import { openTestScope, type TestScope } from '../../../test/open-test-scope.ts';
import { platformKinds } from '../../platform-kinds.ts';
import { definePipeline } from '../define-pipeline.ts';
import { createExecutionRecords } from '../execution-records.ts';
import { createPipelines } from '../pipelines.ts';
import { createOutputReferences } from '../step-outputs.ts';
import { packCheckpoint, unpackCheckpoint } from './checkpoint-pack.ts';
import { createStepCheckpoints } from './step-checkpoints.ts';

const v = { version: '1.0.0' };

test('a process that is killed at any moment leaves what it was told is saved, and the next goes on there', async () => {
  const dir = join(await temporaryDirectory(), '.keelson');
  const to = 60;
  let acknowledged = 0;
  for (let kills = 0; kills < 4; kills += 1) {
    const child = new ChildProgram(childFile('save-checkpoints'), [dir, String(to)]);
    await child.line(new RegExp(`^saved ${acknowledged + 4 + kills}$`));
    await child.kill();
    const [attempt, version] = from(child.lines);
    expect(attempt).toBe(kills + 1);
    // The kill may have come between the commit and its acknowledgement.
    expect([acknowledged, acknowledged + 1]).toContain(version);
    acknowledged = Number(child.lines.findLast((line) => line.startsWith('saved'))?.slice(6));
    expect(child.lines).not.toContain('torn');
  }
  const last = new ChildProgram(childFile('save-checkpoints'), [dir, String(to)]);
  expect(await last.line(/^done/)).toBe(`done ${to}`);
  expect(from(last.lines)[1]).toBeGreaterThanOrEqual(acknowledged);
  expect(last.lines).not.toContain('torn');
  await last.end();
  await using opened = await openTestScope({ kinds: platformKinds, dir });
  expect(await kept(opened)).toEqual([]);
}, 120_000);

test('attempts share them, two are kept, a JSON one reads back, and completion forgets them', async () => {
  await using opened = await openTestScope({ kinds: platformKinds });
  const pipelines = createPipelines(opened.scope);
  const seen: unknown[] = [];
  const pipeline = definePipeline('p', v, (p) =>
    p.step(
      'work',
      {},
      async ({ checkpoint, attempt }) => {
        const last = await checkpoint.last();
        seen.push([attempt, last?.version, last?.attempt, await last?.json()]);
        const saved = [1, 2, 3].map((n) =>
          checkpoint.save(Buffer.from(JSON.stringify({ attempt, n }))),
        );
        expect((await Promise.all(saved)).map(({ version }) => version)).toEqual(
          [1, 2, 3].map((n) => n + 3 * (attempt - 1)),
        );
        if (attempt < 3) throw new Error('once more');
        return (await kept(opened)).map(({ sequence }) => sequence);
      },
      { retries: { limit: 5, delayMs: 1 } },
    ),
  );
  const done = await pipelines.wait(await pipelines.start(pipeline));
  expect(seen).toEqual([
    [1, undefined, undefined, undefined],
    [2, 3, 1, { attempt: 1, n: 3 }],
    [3, 6, 2, { attempt: 2, n: 3 }],
  ]);
  expect(done.output).toEqual([9, 8]);
  expect(await kept(opened)).toEqual([]);
});

test('collection of garbage knows those that are kept', async () => {
  await using opened = await openTestScope({ kinds: platformKinds });
  const pipelines = createPipelines(opened.scope);
  const pipeline = definePipeline('p', v, (p) =>
    p.step('work', {}, async ({ checkpoint }) => {
      await checkpoint.save(Buffer.from('precious'));
      throw new Error('not now');
    }),
  );
  const failed = await pipelines.wait(await pipelines.start(pipeline));
  const [checkpoint] = await kept(opened);
  const digest = checkpoint?.sha256 ?? '';
  const references = await createOutputReferences(opened.scope)(new AbortController().signal);
  expect([...(await references.among([digest, 'f'.repeat(64)]))]).toEqual([digest]);
  // A step that failed may be tried again; one whose execution is gone may not.
  const checkpoints = createStepCheckpoints(opened.scope, createExecutionRecords(opened.scope));
  expect(await checkpoints.sweep()).toBe(0);
  const [step] = await pipelines.steps(failed.id);
  const record = await opened.scope.metadata.find('default', 'step_execution', step?.id ?? '');
  await opened.scope.metadata.commit({
    workspace: 'default',
    principal: 'user:test',
    changes: [
      { op: 'remove', kind: 'step_execution', id: step?.id ?? '', expect: record?.revision ?? 0 },
    ],
  });
  expect(await checkpoints.sweep()).toBe(1);
  expect(await kept(opened)).toEqual([]);
});

test('whoever has lost the step keeps no checkpoint', async () => {
  await using opened = await openTestScope({ kinds: platformKinds });
  const { scope } = opened;
  const pipelines = createPipelines(scope);
  const checkpoints = createStepCheckpoints(scope, createExecutionRecords(scope));
  const content = await scope.artifacts.put(Buffer.from('late'));
  const pipeline = definePipeline('p', v, (p) =>
    p.step('work', {}, async ({ attempt, executionId }) => {
      const [step] = await pipelines.steps(executionId);
      const stranger = {
        workspace: 'default',
        kind: 'step_execution',
        id: step?.id ?? '',
        owner: 'other',
        fence: 1,
      };
      const save = (n: number) => checkpoints.save(() => stranger, n, content);
      await expect(save(attempt)).rejects.toMatchObject({ code: 'LOST' });
      await expect(save(attempt + 1)).rejects.toMatchObject({ code: 'LOST' });
      return 'asked';
    }),
  );
  expect((await pipelines.wait(await pipelines.start(pipeline))).output).toBe('asked');
  expect(await kept(opened)).toEqual([]);
});

test('a step that repeats begins each iteration without those of the one before', async () => {
  await using opened = await openTestScope({ kinds: platformKinds });
  const pipelines = createPipelines(opened.scope);
  const pipeline = definePipeline('p', v, (p) =>
    p.step(
      'work',
      {},
      async ({ checkpoint, iteration }) => {
        expect(await checkpoint.last()).toBeUndefined();
        await checkpoint.save(Buffer.from('x'));
        return iteration ?? 0;
      },
      { repeat: { until: 'output >= 3', max: 5 } },
    ),
  );
  expect((await pipelines.wait(await pipelines.start(pipeline))).output).toBe(3);
});

const script = `
case "$KEELSON_ATTEMPT" in
1) mkdir $KEELSON_CHECKPOINT_DIR/v7.tmp $KEELSON_CHECKPOINT_DIR/v7.tmp/deep; echo 'of seven' > $KEELSON_CHECKPOINT_DIR/v7.tmp/deep/state
   echo 'of six' > $KEELSON_CHECKPOINT_DIR/v6; mv $KEELSON_CHECKPOINT_DIR/v7.tmp $KEELSON_CHECKPOINT_DIR/v7
   echo half > $KEELSON_CHECKPOINT_DIR/v9.tmp; while [ ! -e "$GO" ]; do sleep 0.02; done; exit 77;;
*) cat $KEELSON_CHECKPOINT_PATH/deep/state > $KEELSON_OUTPUT_STATE_PATH; ls $KEELSON_CHECKPOINT_DIR >> $KEELSON_OUTPUT_STATE_PATH;;
esac`;

test('what a command writes is in the store while it runs, and the next attempt gets it on another machine', async () => {
  const root = await temporaryDirectory();
  const dir = join(root, '.keelson');
  const go = join(root, 'go');
  const pipeline = definePipeline('p', v, (p) =>
    p.command('work', {}, ['/bin/sh', '-c', script], {
      outputs: { state: { type: 'artifact' } },
      env: { GO: go },
    }),
  );
  const here = await openTestPlatform({ dir, pipelines: { workRoot: join(root, 'here') } });
  await using opened = await openTestScope({ kinds: platformKinds, dir });
  const execution = await here.platform.pipelines.start(pipeline);
  const waiting = here.platform.pipelines.wait(execution);
  await until('the checkpoint is kept', async () => (await kept(opened)).length > 0);
  expect((await kept(opened)).map(({ sequence, attempt }) => [sequence, attempt])).toEqual([
    [7, 1],
  ]);
  await writeFile(go, '');
  expect((await waiting).status).toBe('FAILED');
  await here.platform.close();
  const there = await openTestPlatform({ dir, pipelines: { workRoot: join(root, 'there') } });
  there.platform.pipelines.add(pipeline);
  await there.platform.pipelines.retry(execution.id);
  expect((await there.platform.pipelines.wait(execution.id)).status).toBe('COMPLETED');
  const { artifacts } = await there.platform.pipelines.outputs(execution.id, 'work');
  expect(await artifacts['state']?.text()).toBe('of seven\nv7\n');
  expect(await kept(opened)).toEqual([]);
});

test('where the content of the newest is gone, the next attempt gets the one before', async () => {
  const root = await temporaryDirectory();
  const dir = join(root, '.keelson');
  const step = `
if [ "$KEELSON_ATTEMPT" = 1 ]; then echo one > $KEELSON_CHECKPOINT_DIR/v1; while [ ! -e "$GO" ]; do sleep 0.02; done
  echo two > $KEELSON_CHECKPOINT_DIR/v2; exit 77; fi
cat $KEELSON_CHECKPOINT_PATH > $KEELSON_OUTPUT_STATE_PATH`;
  const go = join(root, 'go');
  const pipeline = definePipeline('p', v, (p) =>
    p.command('work', {}, ['/bin/sh', '-c', step], {
      outputs: { state: { type: 'artifact' } },
      env: { GO: go },
    }),
  );
  const { platform, logs } = await openTestPlatform({ dir });
  await using opened = await openTestScope({ kinds: platformKinds, dir });
  const execution = await platform.pipelines.start(pipeline);
  const waiting = platform.pipelines.wait(execution);
  await until('the first is kept', async () => (await kept(opened)).length > 0);
  await writeFile(go, '');
  await waiting;
  // The second appeared right before the end: it is uploaded at the end.
  const [newest, before] = await kept(opened);
  expect([newest?.sequence, before?.sequence]).toEqual([2, 1]);
  await opened.scope.artifacts.remove(newest?.sha256 ?? '');
  await rm(join(dir, 'work'), { recursive: true });
  await platform.pipelines.retry(execution.id);
  expect((await platform.pipelines.wait(execution.id)).status).toBe('COMPLETED');
  const { artifacts } = await platform.pipelines.outputs(execution.id, 'work');
  expect(await artifacts['state']?.text()).toBe('one\n');
  expect(logs.map(({ message }) => message).join()).toContain('Its checkpoint v2 is damaged');
});

test('a pack is unpacked whole or not at all, and never outside its directory', async () => {
  const root = await temporaryDirectory();
  await mkdir(join(root, 'v1', 'deep'), { recursive: true });
  await writeFile(join(root, 'v1', 'deep', 'a'), 'x'.repeat(200_000));
  await writeFile(join(root, 'v1', 'empty'), '');
  const bytes = Buffer.concat(await Array.fromAsync(packCheckpoint(join(root, 'v1'))));
  await unpackCheckpoint(inPieces(bytes), join(root, 'v2'));
  expect(await readFile(join(root, 'v2', 'deep', 'a'), 'utf8')).toBe('x'.repeat(200_000));
  expect((await readdir(join(root, 'v2'))).sort()).toEqual(['deep', 'empty']);
  const hostile = (path: string) =>
    Buffer.from(`{"single":false,"files":[{"path":"${path}","sizeBytes":1}]}\nx`);
  const wrong = [
    bytes.subarray(0, -1),
    Buffer.concat([bytes, bytes]),
    ...['../out', '/etc/x', 'a/../../b', ''].map(hostile),
    Buffer.from('{"files":1}\n'),
    Buffer.from(''),
  ];
  for (const each of wrong) {
    await expect(unpackCheckpoint(inPieces(each), join(root, 'v3'))).rejects.toMatchObject({
      code: 'CORRUPT',
    });
  }
  expect((await readdir(root)).sort()).toEqual(['v1', 'v2']);
});

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 70_001) yield bytes.subarray(at, at + 70_001);
}

function from(lines: readonly string[]): readonly [attempt: number, version: number] {
  const [, attempt, version] = lines.find((line) => line.startsWith('from'))?.split(' ') ?? [];
  return [Number(attempt), Number(version)];
}

async function kept({ scope }: TestScope) {
  const { records } = await scope.metadata.query('default', 'step_checkpoint', {
    orderBy: [{ by: { from: 'column', name: 'sequence' }, direction: 'desc' }],
    limit: 100,
  });
  return records.map(({ columns }) => ({
    sequence: Number(columns['sequence']),
    attempt: Number(columns['attempt']),
    sha256: String(columns['sha256']),
  }));
}
