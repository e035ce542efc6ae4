import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import type { Executor, TaskObservation } from '../../contracts/executor.ts';
import { ProcessExecutor } from '../../embedded/processes/process-executor.ts';
import type { Services } from '../../open-platform.ts';
import type { LineageGraph } from '../../registry/lineage-graph.ts';
import { datasetId } from '../../tracking/dataset.ts';
import { definePipeline } from '../define-pipeline.ts';
import { continueWith } from '../further-steps.ts';
import { StepError } from '../step-policy.ts';

const rows = Buffer.from('rows of the night');
const rowsDigest = createHash('sha256').update(rows).digest('hex');

function told({ nodes }: LineageGraph): readonly string[] {
  return nodes.map(({ type, label }) => `${type} ${label}`).toSorted();
}

/** Edges by the labels of their ends. */
function links({ nodes, edges }: LineageGraph): readonly string[] {
  const labels = new Map(nodes.map(({ id, label }) => [id, label]));
  return edges
    .map(({ from, to, type }) => `${labels.get(from)} -${type}-> ${labels.get(to)}`)
    .toSorted();
}

/** Each model of a grid is an item's, the best is registered by a later step from what the item put out. */
function training(platform: Services, broken: () => boolean = () => false) {
  return definePipeline('train', { version: '2.0.0' }, (p) => {
    const load = p.step('load', {}, async ({ outputs, run }) => {
      await run?.logDataset({ name: 'clicks', digest: 'f00d', role: 'train' });
      return { rows: await outputs.artifact('rows.txt', rows), rates: [0.1, 0.2] };
    });
    const tried = p.forEach(
      'try',
      load.pick('rates'),
      { rows: load.pick('rows') },
      async ({ inputs, outputs }) => {
        const model = `${await inputs.rows.text()} at ${inputs.item}`;
        return {
          rate: inputs.item,
          model: await outputs.artifact('model.txt', Buffer.from(model)),
        };
      },
      { version: '7' },
    );
    return p.step(
      'register',
      { tried },
      async ({ inputs }) => {
        const best = inputs.tried[1]?.model;
        if (broken()) throw new StepError('permanent', 'broken');
        const version = await platform.registry.register({
          ...{ model: 'clicks', format: 'CUSTOM' },
          from: { files: { 'model.txt': (await best?.bytes()) ?? Buffer.from('none') } },
        });
        return { id: version.id };
      },
      { retries: { limit: 2, delayMs: 1 } },
    );
  });
}

test('from a version back to data, code, runs, items and execution; from the data forward to it', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines, registry } = platform;
  const { id: execution } = await pipelines.start(training(platform));
  const done = await pipelines.wait<{ id: string }>(execution);
  const version = done.output?.id ?? '';

  const back = await registry.lineage(version);
  expect(told(back)).toEqual(
    [
      'model_version clicks@1.0.0',
      'execution train 2.0.0',
      'step load (train)',
      'step try (train)',
      'step try[0] (train)',
      'step try[1] (train)',
      'step register (train)',
      'dataset clicks (f00d)',
      `artifact ${rowsDigest.slice(0, 12)}`,
      ...['rows of the night at 0.1', 'rows of the night at 0.2'].map(
        (text) => `artifact ${createHash('sha256').update(text).digest('hex').slice(0, 12)}`,
      ),
      'code train/try@7',
      ...['run load', 'run try[0]', 'run try[1]', 'run register'],
    ].toSorted(),
  );
  expect((await registry.getVersion('clicks', '1.0.0')).lineage.pipelineExecutionId).toBe(
    execution,
  );
  const made = links(back);
  for (const link of [
    'train 2.0.0 -step-> load (train)',
    'train 2.0.0 -step-> try[1] (train)',
    'clicks (f00d) -data-> load',
    'load -attempt-> load (train)',
    `load (train) -output-> ${rowsDigest.slice(0, 12)}`,
    `${rowsDigest.slice(0, 12)} -input-> try[1] (train)`,
    'load (train) -input-> try[0] (train)',
    'train/try@7 -code-> try[0] (train)',
    'try[1] (train) -item-> try (train)',
    'try (train) -input-> register (train)',
    'register (train) -registered-> clicks@1.0.0',
    'train 2.0.0 -executed-> clicks@1.0.0',
  ]) {
    expect(made).toContain(link);
  }
  expect(made.filter((link) => link.endsWith('-content-> clicks@1.0.0'))).toHaveLength(1);
  expect(new Set(made).size).toBe(made.length);

  for (const data of ['f00d', datasetId('clicks', 'f00d'), rowsDigest, `artifact:${rowsDigest}`]) {
    expect(told(await registry.lineage(data, { direction: 'forward' }))).toContain(
      'model_version clicks@1.0.0',
    );
  }
  const code = await registry.lineage('code:train/try@7', { direction: 'forward' });
  expect(told(code)).toContain('model_version clicks@1.0.0');
  const found = await registry.searchVersions({ filter: `lineage.execution = '${execution}'` });
  expect(found.versions.map(({ id }) => id)).toEqual([version]);
});

test('impact finds what came into production, by dataset and by the bytes of an artifact', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines, registry } = platform;
  const { output } = await pipelines.wait<{ id: string }>(
    (await pipelines.start(training(platform))).id,
  );
  await registry.setPolicy('clicks', {
    ...{ singleProduction: true, selfApproval: true },
    transitions: [
      { from: 'DEVELOPMENT', to: 'PRODUCTION', checks: [], approvals: 0, approverRoles: [] },
    ],
  });
  const move = { model: 'clicks', version: '1.0.0', to: 'PRODUCTION', reason: 'r' } as const;
  await registry.requestTransition(move);
  for (const datasetDigest of ['f00d', rowsDigest]) {
    const { versions } = await registry.impact({ datasetDigest });
    expect(versions.map(({ id }) => id)).toEqual([output?.id]);
  }
  expect((await registry.impact({ datasetDigest: rowsDigest.replace(/./, 'x') })).versions).toEqual(
    [],
  );
});

test('a failure leaves what went in; a retry repeats no edge, and a version of a failed attempt is found', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines, registry } = platform;
  let broken = true;
  const pipeline = training(platform, () => broken);
  const { id } = await pipelines.start(pipeline);
  expect((await pipelines.wait(id)).status).toBe('FAILED');
  const register = (await pipelines.steps(id))[2]?.id ?? '';
  const before = await registry.lineage(register, { depth: 1 });
  expect(links(before)).toEqual(
    [
      'register -attempt-> register (train)',
      'train 2.0.0 -step-> register (train)',
      'try (train) -input-> register (train)',
      ...before.edges
        .filter(({ from }) => from.startsWith('artifact:'))
        .map(({ from }) => `${from.slice(9, 21)} -input-> register (train)`),
    ].toSorted(),
  );
  broken = false;
  await pipelines.retry(id);
  expect((await pipelines.wait(id)).status).toBe('COMPLETED');
  const after = links(await registry.lineage(register, { depth: 1 }));
  expect(after).toEqual(
    [...links(before), 'register (attempt 2) -attempt-> register (train)'].toSorted(),
  );

  const late = definePipeline('late', { version: '1.0.0' }, (p) => {
    const load = p.step('load', {}, ({ outputs }) => outputs.artifact('rows.txt', rows));
    p.step('fit', { load }, async () => {
      const from = { files: { 'a.txt': Buffer.from('made before it failed') } };
      await registry.register({ model: 'late', from, format: 'CUSTOM' });
      throw new StepError('permanent', 'too late');
    });
  });
  expect((await pipelines.wait((await pipelines.start(late)).id)).status).toBe('FAILED');
  const data = await registry.lineage(rowsDigest, { direction: 'forward' });
  expect(told(data)).toContain('model_version late@1.0.0');
});

test('a hit of the cache leads to the step that it is the result of', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines, registry } = platform;
  const pipeline = definePipeline('cached', { version: '1.0.0' }, (p) => {
    const load = p.step('load', {}, ({ outputs }) => outputs.artifact('rows.txt', rows));
    return p.step(
      'fit',
      { load },
      async ({ inputs, outputs }) =>
        outputs.artifact('m.txt', Buffer.from(`fit on ${await inputs.load.text()}`)),
      { version: '1' },
    );
  });
  const run = async (options = {}) => {
    const { id } = await pipelines.start(pipeline, {}, options);
    await pipelines.wait(id);
    return { id, steps: await pipelines.steps(id) };
  };
  const first = await run();
  const second = await run();
  expect(second.steps[1]?.cachedFrom?.executionId).toBe(first.id);
  const [origin, hit] = [first.steps[1]?.id ?? '', second.steps[1]?.id ?? ''];
  const { edges } = await registry.lineage(hit, { depth: 1 });
  expect(edges).toContainEqual({ from: origin, to: hit, type: 'cached', role: 'cached' });
  expect(edges).toContainEqual({ from: second.id, to: hit, type: 'step', role: 'step' });
  const model = first.steps[1]?.artifacts[0]?.sha256 ?? '';
  const makers = await registry.lineage(model, { depth: 1 });
  expect(new Set(makers.edges.map(({ from }) => from))).toEqual(new Set([origin, hit]));

  // What a part of an execution takes over comes from where it was made, however often it was taken over.
  const third = await run({ only: 'fit', reuse: second.id });
  const fourth = await run({ only: 'fit', reuse: third.id });
  const taken = await registry.lineage(fourth.steps[1]?.id ?? '', { depth: 1 });
  expect(taken.edges).toContainEqual(
    expect.objectContaining({ from: second.steps[0]?.id, type: 'input' }),
  );
});

test('repeats, further steps and very many artifacts: each edge once, none missing', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines, registry } = platform;
  const child = definePipeline('child', { version: '1.0.0' }, (p) =>
    p.step('fit', {}, async () => {
      const from = { files: { 'a.txt': Buffer.from('of the child') } };
      return (await registry.register({ model: 'c', from, format: 'CUSTOM' })).id;
    }),
  );
  const pipeline = definePipeline('wide', { version: '1.0.0' }, (p) => {
    const many = p.step('many', {}, async ({ outputs }) =>
      Promise.all(
        Array.from({ length: 150 }, (_, i) => outputs.artifact(`${i}.txt`, Buffer.from(`${i}`))),
      ),
    );
    const again = p.step(
      'again',
      { many },
      async ({ outputs, iteration }) => ({
        iteration,
        same: await outputs.artifact('same.txt', Buffer.from('the same each time')),
      }),
      { repeat: { until: 'output.iteration == 3', max: 5 } },
    );
    const asked = p.step('ask', { again }, () => continueWith(child, {}));
    p.step('use', { asked, many }, () => 1);
  });
  const { id } = await pipelines.start(pipeline);
  expect((await pipelines.wait(id)).status).toBe('COMPLETED');
  const [many, again, ask, use] = await pipelines.steps(id);
  const out = await registry.lineage(many?.id ?? '', { direction: 'forward', depth: 1 });
  // And the list of them, which is too long for a record.
  expect(out.edges.filter(({ type }) => type === 'output')).toHaveLength(151);
  for (const step of [again, use]) {
    const { edges } = await registry.lineage(step?.id ?? '', { depth: 1 });
    expect(edges.filter(({ from }) => from.startsWith('artifact:'))).toHaveLength(150);
    expect(edges.filter(({ from }) => from === many?.id)).toHaveLength(1);
  }
  const same = createHash('sha256').update('the same each time').digest('hex');
  const makers = await registry.lineage(same, { depth: 1 });
  expect(makers.edges.map(({ from }) => from)).toEqual([again?.id]);

  // What the step that asked was given has led to the model of the child, whose output is the step's.
  const forward = told(await registry.lineage(same, { direction: 'forward' }));
  expect(forward).toContain('model_version c@1.0.0');
  expect(forward).toContain('execution child 1.0.0');
  const back = await registry.lineage(use?.id ?? '');
  expect(links(back)).toContain('fit (child) -input-> ask (wide)');
  expect(ask?.childExecutionId).toBeDefined();
});

/** Runs the command of an image as a process, and says that it ran in the image. */
class ImageExecutor implements Partial<Executor> {
  static over(inner: ProcessExecutor, digest: string): Executor {
    const seen = (state: TaskObservation): TaskObservation => ({ ...state, image: digest });
    return new Proxy<Executor>(inner, {
      get(target, key: keyof Executor) {
        if (key === 'name') return 'docker';
        if (key === 'imageDigest') return async () => digest;
        if (key === 'submit') {
          return ((spec) => {
            const { entry } = spec;
            const command = (entry.type === 'image' && entry.command) || [];
            return target.submit({ ...spec, entry: { type: 'command', command } });
          }) satisfies Executor['submit'];
        }
        if (key === 'wait') {
          return (async (...of) => seen(await target.wait(...of))) satisfies Executor['wait'];
        }
        const value = target[key];
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }
}

test('commands and images: what ran and in what', async () => {
  const digest = `sha256:${'ab'.repeat(32)}`;
  const stateDir = await temporaryDirectory();
  const docker = ImageExecutor.over(new ProcessExecutor({ stateDir }), digest);
  const { platform } = await openTestPlatform({ executors: [docker] });
  const { pipelines, registry } = platform;
  const output = { outputs: { n: { type: 'parameter' } } } as const;
  const write = (n: number) => ['sh', '-c', `echo ${n} > "$KEELSON_OUTPUT_N_PATH"`];
  const pipeline = definePipeline('images', { version: '1.0.0' }, (p) => {
    const first = p.command('plain', {}, write(1), output);
    p.image('boxed', { first }, { image: 'trainer:1', command: write(2) }, output);
    p.image('pinned', { first }, { image: digest, command: write(2) }, output);
  });
  const { id } = await pipelines.start(pipeline);
  expect(await pipelines.wait(id)).toMatchObject({ status: 'COMPLETED' });
  const [plain, boxed, pinned] = await pipelines.steps(id);
  const codeOf = async (step: typeof plain) => {
    const { nodes } = await registry.lineage(step?.id ?? '', { depth: 1 });
    return nodes
      .filter(({ type }) => type === 'code' || type === 'environment')
      .map((n) => n.label);
  };
  expect(await codeOf(plain)).toEqual([
    expect.stringMatching(/^sh -c echo 1 > "\$KEELSON_OUTPUT_N_PATH"@[0-9a-f]{12}$/),
  ]);
  const command = expect.stringMatching(/^sh -c echo 2 /);
  expect(new Set(await codeOf(boxed))).toEqual(new Set([command, 'trainer:1', digest]));
  expect(new Set(await codeOf(pinned))).toEqual(new Set([command, digest]));
  const made = await registry.lineage(`image:${digest}`, { direction: 'forward', depth: 1 });
  expect(told(made)).toEqual([
    `environment ${digest}`,
    'step boxed (images)',
    'step pinned (images)',
  ]);
});

test('reconciliation takes no edge of a step for one that leads nowhere', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines, registry } = platform;
  const { id } = await pipelines.start(training(platform));
  await pipelines.wait(id);
  const before = await registry.lineage('clicks@1.0.0');
  await platform.operations.reconcile({ mend: true });
  expect(await registry.lineage('clicks@1.0.0')).toEqual(before);
});

test('what is kept of a failed attempt leads back to its data, code and run, once for each content', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines, registry } = platform;
  const module = join(await temporaryDirectory(), 'strict.mjs');
  const policy = new URL('../step-policy.ts', import.meta.url).href;
  await writeFile(
    module,
    `import { StepError } from ${JSON.stringify(policy)};
     export async function work({ outputs }) {
       const report = await outputs.artifact('report.txt', Buffer.from('strictly'));
       throw new StepError('data', 'no', { artifacts: [report] });
     }`,
  );
  const reportOf = (text: string) => createHash('sha256').update(text).digest('hex');
  const pipeline = definePipeline('checks', { version: '1.0.0' }, (p) => {
    const load = p.step('load', {}, async ({ outputs }) => ({
      rows: await outputs.artifact('rows.txt', rows),
    }));
    p.step(
      'check',
      { rows: load.pick('rows') },
      async ({ inputs, outputs, attempt }) => {
        const report = await outputs.artifact('report.txt', Buffer.from('a report'));
        const copy = await outputs.artifact('copy.txt', Buffer.from(await inputs.rows.bytes()));
        if (attempt < 3) throw new StepError('transient', 'no', { artifacts: [report, copy] });
        return { report };
      },
      { version: '3', retries: { limit: 3, delayMs: 1 } },
    );
    p.module(
      'strict',
      { rows: load.pick('rows') },
      { module, export: 'work', isolation: 'process' },
      {
        onFailure: 'continue',
      },
    );
  });
  const { id } = await pipelines.start(pipeline);
  expect((await pipelines.wait(id)).status).toBe('COMPLETED');
  const [kept, strict] = [reportOf('a report'), reportOf('strictly')];
  const back = links(await registry.lineage(kept));
  const node = kept.slice(0, 12);
  // Kept by two attempts, put out by the third: one edge each.
  expect(back.filter((link) => link.endsWith(`-> ${node}`))).toEqual([
    `check (checks) -kept-> ${node}`,
    `check (checks) -output-> ${node}`,
  ]);
  for (const link of [
    `${rowsDigest.slice(0, 12)} -input-> check (checks)`,
    'checks/check@3 -code-> check (checks)',
    'check -attempt-> check (checks)',
  ]) {
    expect(back).toContain(link);
  }
  const forward = links(await registry.lineage(rowsDigest, { direction: 'forward' }));
  expect(forward).toContain(`strict (checks) -kept-> ${strict.slice(0, 12)}`);
  // What it had among its inputs comes from elsewhere.
  expect(forward.filter((link) => link.endsWith(`-> ${rowsDigest.slice(0, 12)}`))).toEqual([]);
});
