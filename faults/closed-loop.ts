import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { openPlatform } from '@keelson/core';
import { seededRandom } from '@keelson/core/statistics';
import { storedStage } from '../examples/10-lifecycle/stored-stage.ts';
import type { LifecycleSummary } from '../examples/10-lifecycle/summary.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import type { FaultContext, FaultReport, FaultScenario } from './scenario.ts';

const main = new URL('../examples/10-lifecycle/main.ts', import.meta.url).pathname;
const extents = { short: { kills: 2 }, long: { kills: 20 } };

/** From drift to the new baseline, killed in every stage and at random: it ends as one that nobody disturbed. */
export const closedLoop: FaultScenario = {
  name: 'closed-loop',
  sentence:
    'Three years of weather, whose drift is answered by a retraining, a rollout and a promotion by themselves; killed 20 times and in every stage, they end as three years that nobody disturbed.',
  run,
};

async function run({ store, extent, seed, tell }: FaultContext): Promise<FaultReport> {
  const root = mkdtempSync(join(tmpdir(), 'keelson-loop-'));
  const random = seededRandom(String(seed));
  const { url } = store;
  const schema = `loop_${process.pid}`;
  const args = ['--dir', join(root, 'killed')];
  if (url !== undefined) args.push(`--postgres=${url}`, `--schema=${schema}`);
  const stages = new Set(['TRAINING', 'CHECKING', 'ROLLING_OUT', 'PROMOTING', 'SETTLING']);
  let kills = 0;
  const pg = url === undefined ? undefined : pgBackend({ url, schema });
  const watching = await openPlatform({
    ...(pg === undefined ? {} : { metadata: pg, series: pg }),
    dir: join(root, 'killed'),
  });
  try {
    tell('three years that nobody disturbs');
    const expected = summaryOf(await life(['--dir', join(root, 'undisturbed')]).ended);
    for (let ended: Ended | undefined; ended?.code !== 0; ) {
      tell(`${kills} kills; stages left: ${[...stages].join(', ') || 'none'}`);
      const job = life(args);
      killInStage(job.child, stages);
      const delayMs = 500 + 4_000 * random.uniform();
      const isRandom = kills < extents[extent].kills;
      const timer = isRandom ? setTimeout(() => job.child.kill('SIGKILL'), delayMs) : undefined;
      ended = await job.ended;
      clearTimeout(timer);
      if (ended.code === 0) {
        if (stages.size > 0) throw new Error(`Not killed in ${[...stages].join(', ')}.`);
        if (!isDeepStrictEqual(summaryOf(ended), expected)) {
          throw new Error(
            `It ended otherwise: ${ended.out}\nand was to end ${JSON.stringify(expected)}`,
          );
        }
      } else if (ended.code === null) {
        kills += 1;
        // One that was stored and not told yet will not be told again.
        stages.delete((await storedStage(watching)) ?? '');
      } else throw new Error(`It ended with ${ended.code}: ${ended.err}`);
    }
    return { faults: { kill: kills, 'stage killed in': 5 }, invariants: 1 };
  } finally {
    await watching.close();
    rmSync(root, { recursive: true, force: true });
  }
}

/** Ends a process as soon as it tells of a stage that none was ended in yet. */
function killInStage(child: ChildProcess, stages: Set<string>): void {
  child.stderr?.on('data', (chunk) => {
    const found = [...String(chunk).matchAll(/retraining: (\w+)/g)].map((match) => match[1] ?? '');
    const stage = found.find((each) => stages.has(each));
    if (stage === undefined) return;
    stages.delete(stage);
    child.kill('SIGKILL');
  });
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function life(args: readonly string[]): {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
} {
  const child = spawn(process.execPath, ['--conditions=keelson:source', main, '--json', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { out: '', err: '' };
  child.stdout.on('data', (chunk) => (said.out += chunk));
  child.stderr.on('data', (chunk) => (said.err += chunk));
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code) => resolve({ code, ...said }));
  });
  return { child, ended };
}

function summaryOf({ code, out, err }: Ended): LifecycleSummary {
  const line = out.split('\n').find((each) => each.startsWith('{'));
  if (code === 0 && line !== undefined) return JSON.parse(line) as LifecycleSummary;
  throw new Error(`It ended with ${code}, without a summary: ${err}`);
}
