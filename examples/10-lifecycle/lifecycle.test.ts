import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Analysis, decideGate, openPlatform, type Platform } from '@keelson/core';
import { judgeRule, replayRule } from '@keelson/core/monitoring';
import { seededRandom } from '@keelson/core/statistics';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { storedStage } from './stored-stage.ts';
import type { LifecycleSummary } from './summary.ts';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'keelson-lifecycle-'));
const undisturbed = join(root, 'undisturbed');
let expected: LifecycleSummary;
let lifeMs = 0;

beforeAll(async () => {
  const beganAt = performance.now();
  expected = summaryOf(await runToEnd(['--dir', undisturbed]));
  lifeMs = performance.now() - beganAt;
}, 180_000);

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('the lifecycle on real labels', () => {
  test('covers every day of three years, and each version is accounted for', () => {
    expect(expected.requests).toBe(365 * 3);
    expect(expected.analyses).toBe(158);
    expect(expected.years.map((year) => year.labels)).toEqual([365, 365, 365]);
    // One alert, one decision, one retraining, all without a hand.
    expect(expected.alerts.length).toBeGreaterThan(0);
    const retrained = expect.stringContaining('retrain DONE: weather@1.1.0 answers');
    expect(expected.responses.filter((each) => each.startsWith('retrain DONE'))).toEqual([
      retrained,
    ]);
    expect(expected.story.join(' ')).toContain(expected.alerts[0]?.summary ?? 'none');
    const inProduction = expected.versions.filter((version) => version.stage === 'PRODUCTION');
    expect(inProduction.map((version) => `weather@${version.version}`)).toEqual([expected.serving]);
  });

  test('run again it says that all is done, and answers the same', async () => {
    const again = await runToEnd(['--dir', undisturbed]);
    expect(again.out).toContain('All of this is done already');
    expect(summaryOf(again)).toEqual(expected);
  }, 60_000);

  test('refuses to go on with another job in the directory', async () => {
    const other = await run(['--dir', undisturbed, '--seed=8']).ended;
    expect(other.code).toBe(2);
    expect(other.err).toContain('--from-scratch');
  }, 60_000);

  test('killed with SIGKILL 20 times at random moments, and in every stage of a retraining, it ends as an undisturbed one', async () => {
    const seed = process.env['KEELSON_TEST_SEED'] ?? String(Date.now());
    console.log(`seed of the kills: ${seed}`);
    const random = seededRandom(seed);
    const dir = join(root, 'killed');
    const stages = new Set(['TRAINING', 'CHECKING', 'ROLLING_OUT', 'PROMOTING', 'SETTLING']);
    await using watching = await openPlatform({ dir });
    for (let kill = 0; kill < 20 || stages.size > 0; kill += 1) {
      const job = run(['--dir', dir]);
      killInStage(job.process, stages);
      // A small part of a life, so that all 20 kills fall within it: some hit the start, some late weeks.
      const delayMs = 200 + random.uniform() * (lifeMs / 9);
      const timer = kill < 20 ? setTimeout(() => job.process.kill('SIGKILL'), delayMs) : undefined;
      const ended = await job.ended;
      clearTimeout(timer);
      expect(ended.signal, `kill ${kill + 1} after ${Math.round(delayMs)} ms: ${ended.err}`).toBe(
        'SIGKILL',
      );
      // One that was stored and not told yet will not be told again.
      stages.delete((await storedStage(watching)) ?? '');
    }
    const ended = await runToEnd(['--dir', dir]);
    expect(summaryOf(ended)).toEqual(expected);
    const platform = await openPlatform({ dir });
    try {
      await expectNothingLeftOver(platform);
    } finally {
      await platform.close();
    }
  }, 600_000);
});

describe('verdicts', () => {
  let platform: Platform;

  beforeAll(async () => {
    platform = await openPlatform({ dir: undisturbed });
  });
  afterAll(() => platform.close());

  test('each gate of each rollout follows from its stored counts, and the counts from the rows', async () => {
    const rollouts = await platform.deployments.listRollouts('weather');
    const verdicts = rollouts.flatMap((rollout) =>
      rollout.decisions.flatMap((decision) =>
        decision.verdicts.map((verdict) => ({ rollout, at: decision.at, verdict })),
      ),
    );
    expect(verdicts.length).toBeGreaterThan(0);
    for (const { rollout, at, verdict } of verdicts) {
      expect(decideGate(verdict.gate, verdict.inputs)).toEqual(verdict);
      const { deploymentId, candidateVersionId, baselineVersionId, beganAt: from } = rollout;
      const figure = verdict.gate.gate === 'paired-accuracy' ? 'paired_accuracy' : 'error_counts';
      const splitAt = rollout.decisions
        .filter((decision) => decision.action === 'advance' && decision.at < at)
        .map((decision) => decision.at);
      const about = { figure, deploymentId, candidateVersionId, baselineVersionId };
      const query = { ...about, from, to: at, splitAt };
      const evidence = await platform.monitoring.evidence.ask(query);
      expect(evidence.inputs).toEqual(verdict.inputs);
    }
  });

  test('each rule of each analysis follows from the stored reference and counts', async () => {
    const deployment = await platform.deployments.get('weather');
    const monitor = await platform.monitoring.getMonitor(deployment.id);
    const analyses = await platform.monitoring.listAnalyses(deployment.id);
    const current = analyses.filter((each) => each.referenceSetAt === monitor.referenceSetAt);
    expect(current.length).toBeGreaterThan(0);
    for (const rule of monitor.rules) {
      const reference = monitor.references[rule.name];
      if (reference === undefined) throw new Error(`Rule ${rule.name} has no reference.`);
      current.forEach((analysis, i) => {
        const counts = current.slice(0, i + 1).map((each) => countsOf(each, rule.name));
        const recomputed = judgeRule(rule, replayRule(rule, reference, counts));
        expect(recomputed).toEqual(analysis.verdicts.find((each) => each.name === rule.name));
      });
    }
  });
});

describe('synthetic labels', () => {
  test('with a real worsening there is an alarm, and the canary of a worse candidate is rolled back', async () => {
    const dir = join(root, 'worsening');
    const args = ['--dir', dir, '--labels=worsening', '--retraining=crippled'];
    const summary = summaryOf(await runToEnd(args));
    expect(summary.alerts.length).toBeGreaterThan(0);
    expect(summary.alerts[0]?.at).toBeGreaterThan(Date.parse('2013-07-01'));
    expect(summary.rollouts.length).toBeGreaterThan(0);
    expect(summary.responses).toContainEqual(expect.stringContaining('retrain FAILED'));
    for (const rollout of summary.rollouts) {
      expect(rollout.status).toBe('ROLLED_BACK');
      expect(rollout.decisions.at(-1)?.reason).toContain('failed: paired-accuracy');
    }
    expect(summary.serving).toBe('weather@1.0.0');
  }, 180_000);

  test('where nothing changes there is no retraining (one seed; many by `npm run bench -- false-alarms`)', async () => {
    const summary = summaryOf(
      await runToEnd(['--dir', join(root, 'stable'), '--labels=stable', '--seed=3']),
    );
    expect(summary.alerts).toEqual([]);
    expect(summary.versions).toHaveLength(1);
  }, 180_000);
});

function countsOf(analysis: Analysis, rule: string): Analysis['counts'][string] {
  const counts = analysis.counts[rule];
  if (counts === undefined)
    throw new Error(`The analysis of ${analysis.at} has no counts of ${rule}.`);
  return counts;
}

/** Ends a process as soon as it tells of a stage that none was ended in yet. */
function killInStage(child: ChildProcess, stages: Set<string>): void {
  child.stderr?.on('data', (chunk) => {
    const found = [...String(chunk).matchAll(/retraining: (\w+)/g)].map((match) => match[1] ?? '');
    // Several may be told in one piece.
    const isNew = found.filter((each) => stages.delete(each)).length > 0;
    if (isNew) child.kill('SIGKILL');
  });
}

/** No execution that hangs, no run that is left RUNNING, no step that completed twice. */
async function expectNothingLeftOver(platform: Platform): Promise<void> {
  const { executions } = await platform.pipelines.list({ limit: 1000 });
  expect(executions.map((execution) => execution.status)).toEqual(
    executions.map(() => 'COMPLETED'),
  );
  for (const { id } of executions) {
    const steps = await platform.pipelines.steps(id);
    expect(steps.map((step) => step.status)).toEqual(steps.map(() => 'COMPLETED'));
  }
  // Runs of killed processes read as FAILED once they have been silent for a while.
  const running = async (): Promise<readonly string[]> => {
    const { runs } = await platform.tracking.searchRuns({
      filter: "status = 'RUNNING'",
      limit: 1000,
    });
    return runs.filter((run) => run.status === 'RUNNING').map((run) => run.name);
  };
  await expect.poll(running, { timeout: 60_000, interval: 500 }).toEqual([]);
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

function run(args: readonly string[]): {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
} {
  const child = spawn(process.execPath, ['--conditions=keelson:source', main, '--json', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, out, err }));
  });
  return { process: child, ended };
}

async function runToEnd(args: readonly string[]): Promise<Ended> {
  const ended = await run(args).ended;
  expect(ended.code, ended.err).toBe(0);
  return ended;
}

function summaryOf(ended: Ended): LifecycleSummary {
  const line = ended.out.split('\n').find((each) => each.startsWith('{'));
  if (line === undefined) throw new Error(`No summary in: ${ended.out}`);
  return JSON.parse(line) as LifecycleSummary;
}
