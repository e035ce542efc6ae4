import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { openTestPlatform, temporaryDirectory, until } from '../../test/open-test-platform.ts';
import type { Tracking } from './tracking.ts';

const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 1_000_000);
const kills = Number(process.env['KEELSON_TRAINING_KILLS'] ?? 10);
/** `KEELSON_KILL_EXAMPLE=1`: kills `examples/01-train` as it is, for minutes. */
const wholeExample = process.env['KEELSON_KILL_EXAMPLE'] === '1';

function random(start: number): () => number {
  let state = start;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

/** What a script said that the platform had acknowledged. */
interface Acknowledged {
  readonly is: 'run' | 'params' | 'metrics' | 'tag' | 'artifact' | 'dataset' | 'end';
  readonly run: string;
  readonly [fact: string]: unknown;
}

function acknowledged(child: ChildProgram): Acknowledged[] {
  return child.lines
    .filter((line) => line.startsWith('ack '))
    .map((line) => JSON.parse(line.slice(4)) as Acknowledged);
}

async function assertThere(tracking: Tracking, said: Acknowledged): Promise<void> {
  const run = await tracking.getRun(said.run);
  switch (said.is) {
    case 'run':
      return expect(run.name).toBe(said['name']);
    case 'params':
      return expect(run.params).toMatchObject(said['params'] as object);
    case 'tag':
      return expect(run.tags).toMatchObject({ [said['key'] as string]: 'done' });
    case 'end':
      return expect(run.status).toBe('COMPLETED');
    case 'dataset':
      return expect(said['dataset']).toMatch(/^dataset-/);
    case 'artifact': {
      const bytes = await tracking.readArtifact(said.run, said['path'] as string);
      return expect(new TextDecoder().decode(bytes)).toContain(`weights of ${said.run} `);
    }
    case 'metrics': {
      const { steps, values } = await tracking.getMetricHistory(said.run, 'loss');
      expect(steps.length).toBeGreaterThanOrEqual(said['count'] as number);
      expect(steps).toEqual(Float64Array.from(steps, (_, i) => i));
      return expect(values).toEqual(steps.map((i) => 1 / (i + 1)));
    }
  }
}

/** No repair was needed, and none is. */
async function assertWhole(dir: string): Promise<void> {
  const database = new DatabaseSync(join(dir, 'keelson.db'), { readOnly: true });
  const check = database.prepare('PRAGMA integrity_check').all();
  database.close();
  expect(check).toEqual([{ integrity_check: 'ok' }]);
}

async function assertAllEnded(tracking: Tracking, held: ReadonlySet<string>): Promise<void> {
  await until('every run reads ended', async () => {
    const { runs } = await tracking.searchRuns({ limit: 1000 });
    return runs.every((run) => run.status !== 'RUNNING');
  });
  const { runs } = await tracking.searchRuns({ limit: 1000 });
  for (const run of runs.filter((each) => each.status === 'FAILED')) {
    expect(run.statusReason).toMatch(/ended without finishing|no heartbeat since/);
  }
  for (const id of held) expect(runs.map((run) => run.id)).toContain(id);
}

describe('two copies of a training script on one directory', () => {
  test(`${kills} of them killed at random moments: nothing acknowledged is lost`, async () => {
    const dir = join(await temporaryDirectory(), '.keelson');
    const draw = random(seed);
    let killed = 0;
    let started = 0;
    const children: ChildProgram[] = [];
    const start = (): ChildProgram => {
      started += 1;
      const child = new ChildProgram(childFile('train'), [dir, String(started)]);
      children.push(child);
      return child;
    };
    /** One copy after another; those that are to be killed are killed in the middle of their work. */
    async function copies(): Promise<void> {
      for (;;) {
        const child = start();
        const mine = killed < kills;
        if (!mine) {
          const end = await child.end();
          expect(end, child.errors).toMatchObject({ code: 0 });
          expect(child.lines.at(-1)).toBe('done');
          return;
        }
        killed += 1;
        await child.line(/^running/);
        const moment = draw() * 400;
        await Promise.race([child.end(), new Promise((resolve) => setTimeout(resolve, moment))]);
        await child.kill();
      }
    }
    await Promise.all([copies(), copies()]);

    const unfinished = children.filter((child) => child.lines.at(-1) !== 'done');
    expect(unfinished.length, `seed ${seed}: kills must hit`).toBeGreaterThan(kills / 3);
    for (const child of children) expect(child.errors).toBe('');
    const { platform, logs } = await openTestPlatform({ dir });
    const { tracking } = platform;
    let facts = 0;
    for (const child of children) {
      for (const said of acknowledged(child)) {
        await assertThere(tracking, said);
        facts += 1;
      }
    }
    expect(facts).toBeGreaterThan(50);
    const held = children.flatMap((child) =>
      child.lines.filter((line) => line.startsWith('running ')).map((line) => line.slice(8)),
    );
    await assertAllEnded(tracking, new Set(held));
    await assertWhole(dir);
    expect(logs).toEqual([]);
    console.log(
      `${facts} facts of ${children.length} scripts, ${unfinished.length} of them killed; seed ${seed}`,
    );

    // A next run works at once.
    const next = start();
    expect(await next.end()).toMatchObject({ code: 0 });
  }, 180_000);

  test(
    'the example itself, killed amid its work, runs to its end beside another copy',
    async () => {
      const dir = await temporaryDirectory();
      const example = new URL('../../../../examples/01-train/main.ts', import.meta.url);
      const args = wholeExample ? [] : ['--trees', '2'];
      const rounds = wholeExample ? 10 : 3;
      const draw = random(seed);
      const start = (): ChildProgram => new ChildProgram(example, args, { cwd: dir });
      const beside = start();
      for (let i = 0; i < rounds; i += 1) {
        const child = start();
        await child.line(/^\[1\//);
        await new Promise((resolve) => setTimeout(resolve, draw() * (wholeExample ? 10_000 : 300)));
        await child.kill();
      }
      const last = start();
      for (const child of [beside, last]) {
        expect(await child.end(), child.errors).toMatchObject({ code: 0 });
        expect(child.errors).toBe('');
        expect(child.lines.join('\n')).toContain('The best runs, by a search:');
      }
      await assertWhole(join(dir, '.keelson'));
      expect(await readdir(join(dir, '.keelson', 'pages'))).toEqual(['best.html', 'sweep.html']);
    },
    wholeExample ? 900_000 : 120_000,
  );
});
