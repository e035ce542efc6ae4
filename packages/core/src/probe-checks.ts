import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HealthCheck, HealthResult, ServicePart } from './contracts/caretaker.ts';
import type { Scope } from './contracts/scope.ts';
import { isKeelsonError, KeelsonError } from './errors.ts';
import type { AllServices } from './guard-services.ts';
import { commitChanges } from './operations/decide-and-commit.ts';
import { schedules } from './operations/health/check-schedules.ts';
import { definePipeline } from './pipelines/define-pipeline.ts';

/** The services of the workspace in which probes work. */
export interface ProbeWorld {
  readonly scope: Scope;
  readonly services: Pick<AllServices, 'tracking' | 'registry' | 'pipelines' | 'monitoring'>;
}

const name = 'probe';
const content = Buffer.from('A model that answers nothing.');
const pipeline = definePipeline(name, { version: '1.0.0' }, (p) =>
  p.step('answer', {}, () => ({ answer: 42 })),
);
/** Dependent kinds first. Models and their version stay: each round finds them again. */
const passing = ['stage_transition', 'step_output', 'step_execution', 'execution', 'edge', 'run'];

/**
 * Four of the five parts, used from end to end as people use them, in a workspace that nobody sees. The
 * fifth is a golden request (`@keelson/serve`): only who serves knows what a right answer is. What probes
 * leave behind is removed when it is `keptMs` old (ten minutes when left out), whoever left it.
 */
export function probeChecks(
  world: () => ProbeWorld,
  { keptMs = 600_000 }: { readonly keptMs?: number } = {},
): readonly HealthCheck[] {
  const probe = (
    probes: ServicePart,
    timeoutMs: number,
    what: string,
    run: (world: ProbeWorld, signal: AbortSignal) => Promise<string | undefined>,
  ): HealthCheck => ({
    ...{ ...schedules.performance, failureThreshold: 1, timeoutMs },
    ...{ component: probes, critical: false, kind: 'deep', shared: true, probes },
    name: `${probes} probe`,
    async run(signal): Promise<HealthResult> {
      const there = world();
      const problem = await run(there, signal);
      await tidy(there.scope, keptMs, signal);
      if (problem === undefined) return { status: 'HEALTHY', message: `${what} works.` };
      return { status: 'UNHEALTHY', message: `${what} does not work: ${problem}.` };
    },
  });
  return [
    probe('tracking', 5_000, 'A run with a metric', trackRun),
    probe('registry', 10_000, 'A version, a transition and a download', registerVersion),
    probe('pipelines', 30_000, 'An execution', execute),
    probe('monitoring', 5_000, 'A logged prediction in a figure', logPrediction),
  ];
}

async function trackRun({ services, scope }: ProbeWorld): Promise<string | undefined> {
  const { tracking } = services;
  const run = await tracking.startRun({ experiment: name, environment: false });
  run.logMetric('probe', 0.5);
  await run.finish();
  const { metrics, status } = await tracking.getRun(run.id);
  await scope.series.removeOwners(scope.workspace, [run.id]);
  if (status === 'COMPLETED' && metrics['probe'] === 0.5) return undefined;
  return `the run is ${status}, and its metric reads ${metrics['probe']}`;
}

async function registerVersion({ services }: ProbeWorld): Promise<string | undefined> {
  const { registry } = services;
  const tensor = { datatype: 'FP64', shape: [-1] } as const;
  const version = await registry.register({
    ...{ model: name, version: '1.0.0', format: 'CUSTOM' },
    from: { files: { 'model.txt': content } },
    signature: { inputs: [{ name: 'x', ...tensor }], outputs: [{ name: 'y', ...tensor }] },
  });
  // A dry run: all that the policy asks is looked at, and a check of ours says no at the end.
  const { checks } = await registry.requestTransition({
    ...{ model: name, version: version.version, to: 'STAGING', reason: 'a probe' },
    checks: {
      [name]: () => {
        throw new KeelsonError('CONFLICT', 'A probe moves nothing.');
      },
    },
  });
  const failed = checks.filter((check) => !check.passed && check.name !== name);
  if (failed.length > 0) return `${failed[0]?.name} says: ${failed[0]?.detail}`;
  const directory = await mkdtemp(join(tmpdir(), 'keelson-probe-'));
  try {
    await registry.download(version.id, directory);
    const read = await readFile(join(directory, 'model.txt'));
    return content.equals(read) ? undefined : 'what was downloaded is not what was registered';
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function execute({ services }: ProbeWorld, signal: AbortSignal): Promise<string | undefined> {
  const { pipelines } = services;
  const { id } = await pipelines.start(pipeline);
  const { status } = await pipelines.wait(id, { signal });
  return status === 'COMPLETED' ? undefined : `it is ${status}`;
}

async function logPrediction({ services, scope }: ProbeWorld): Promise<string | undefined> {
  const { monitoring } = services;
  const requestId = randomUUID();
  const at = scope.clock.now();
  monitoring.predictions.record({
    ...{ deploymentId: name, versionId: name, requestId, role: 'primary', at, latencyMs: 1 },
    ...{ features: {}, prediction: 'yes' },
  });
  await monitoring.predictions.flush();
  await monitoring.logLabels(name, [{ requestId, value: 'yes', observedAt: at }]);
  const { labels } = await monitoring.performance(name, { from: at, to: at + 1 });
  return labels > 0 ? undefined : 'no figure counts the label';
}

/** Removes what probes left a while ago: of this process, or of one that was killed. */
async function tidy(scope: Scope, keptMs: number, signal: AbortSignal): Promise<void> {
  const { metadata, series, workspace } = scope;
  const before = (await metadata.now()) - keptMs;
  for (const kind of passing) {
    signal.throwIfAborted();
    const oldest = { by: { from: 'column', name: 'createdAt' }, direction: 'asc' } as const;
    const { records } = await metadata.query(workspace, kind, { orderBy: [oldest], limit: 100 });
    const old = records.filter(({ createdAt }) => createdAt <= before);
    for (const { id, revision: expect } of old) {
      try {
        await commitChanges(scope, [{ op: 'remove', kind, id, expect }]);
      } catch (error) {
        if (!isKeelsonError(error, 'STALE', 'NOT_FOUND')) throw error;
      }
    }
    if (kind !== 'run') continue;
    await series.removeOwners(
      workspace,
      old.map(({ id }) => id),
    );
  }
  const { events } = await metadata.readEvents({ workspace, limit: 500 });
  const old = events.filter(({ at }) => at <= before).map(({ id }) => id);
  if (old.length > 0) await metadata.removeEvents(workspace, old);
  for (const stream of ['predictions', 'labels']) {
    await series.dropRows({ workspace, stream, owner: name }, before);
  }
}
