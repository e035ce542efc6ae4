import type { MetricWriter } from '../contracts/metric-writer.ts';
import type { Clock, Logger } from '../contracts/ports.ts';
import { isKeelsonError } from '../errors.ts';
import { type Json, type JsonObject, storableText } from '../json.ts';
import { describeOwner } from '../process-owner.ts';
import { ActiveRun, currentRun, type RunBackend } from '../tracking/active-run.ts';
import type { ArtifactLog } from '../tracking/artifacts.ts';
import { BesideTheLoop } from '../tracking/beside-the-loop.ts';
import { assertDataset } from '../tracking/dataset.ts';
import {
  captureEnvironment,
  type Environment,
  type EnvironmentOptions,
  patchPath,
} from '../tracking/environment.ts';
import { optional, type Run } from '../tracking/run.ts';
import { gateOf, type RunGate } from '../tracking/run-gate.ts';
import { healthOfRun, lostOfRun } from '../tracking/run-health.ts';
import type { RunElsewhere, StartElsewhere, Told } from '../tracking/runs-elsewhere.ts';
import { checkStart, type StartRunOptions } from '../tracking/start-run-options.ts';
import { type SystemMetricsOption, sampleMs } from '../tracking/system-metrics.ts';
import { uuidV7 } from '../uuid.ts';
import type { Link } from './link.ts';

/** What runs elsewhere need beside their link. */
export interface RemoteRunsParts {
  readonly workspace: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly lateLogging: boolean;
  readonly environment?: EnvironmentOptions | false | undefined;
  readonly systemMetrics?: SystemMetricsOption | undefined;
  readonly artifacts: Pick<ArtifactLog, 'log'>;
  writer(): MetricWriter;
  metricSeen: RunBackend['metricSeen'];
  report(runId: string): Promise<string>;
  setTags(runId: string, tags: Readonly<Record<string, string>>): Promise<void>;
  findRun(id: string): Promise<Run | undefined>;
}

/** How this process comes to hold runs of a platform elsewhere. */
export interface RemoteRuns {
  start(options: StartRunOptions): Promise<ActiveRun>;
  join(
    runId: string,
    options: { readonly resume: boolean; readonly systemMetrics?: SystemMetricsOption },
  ): Promise<ActiveRun>;
  surrounding(): Promise<string | undefined>;
  /** Has the points that were lost written down on their runs. */
  noteLost(): Promise<void>;
}

const flushMs = 10_000;

/** Runs over a link. */
export function createRemoteRuns(link: Link, parts: RemoteRunsParts): RemoteRuns {
  const { workspace } = parts;
  const gates = new Map<string, RunGate>();
  let environment: Promise<Environment> | undefined;
  const warn: RunBackend['warn'] = (message, fields) =>
    parts.logger.warn({ component: 'tracking', ...fields }, message);
  const beside = new BesideTheLoop(warn);

  const post = (
    runId: string,
    what: string,
    json: unknown,
    retryMs?: number,
  ): Promise<Json | undefined> => {
    const path = `/remote/runs/${encodeURIComponent(runId)}/${what}`;
    return link.call({ method: 'POST', path, json, retryMs });
  };

  const backend: RunBackend = {
    workspace,
    now: () => parts.clock.now(),
    writer: () => parts.writer(),
    artifacts: parts.artifacts,
    async logParams(runId, params) {
      const path = `/remote/runs/${encodeURIComponent(runId)}/params`;
      const json = { params: Object.fromEntries(params) };
      const told = await link.call({ method: 'POST', path, json, once: true });
      for (const { message, fields } of (told as unknown as Told<null>).warnings)
        warn(message, fields);
    },
    setTags: (runId, tags) => parts.setTags(runId, tags),
    async logDataset(runId, dataset) {
      const answer = await post(runId, 'datasets', assertDataset(dataset));
      return String((answer as JsonObject)['id']);
    },
    metricSeen: parts.metricSeen,
    warn,
    crossed(run, crossing, { step, timestamp }) {
      const { metric, bound, threshold, value, last } = crossing;
      const said = {
        ...{ metric, bound, value, timestamp },
        ...optional('threshold', threshold),
        ...optional('step', step),
        ...(last ? { last } : {}),
      };
      beside.add(`That ${metric} of run ${run.id} crossed a bound`, async () => {
        const path = `/remote/runs/${encodeURIComponent(run.id)}/notes`;
        await link.call({ method: 'POST', path, json: { crossing: said }, once: true });
      });
    },
    lateMetrics(runId) {
      beside.add(`That metrics were logged after the end of run ${runId}`, async () => {
        await post(runId, 'notes', { late: true });
      });
    },
    settle: () => beside.settle(),
    report: (runId) => parts.report(runId),
    health: (runId) => healthOfRun(parts.writer().health(), workspace, runId),
    async finish(runId, status, reason, endedAt) {
      await beside.settle();
      await settlePoints(runId);
      await noteLostOf(runId);
      await post(runId, 'finish', {
        status,
        ...optional('reason', typeof reason === 'string' ? storableText(reason, 2000) : reason),
        ...optional('endedAt', endedAt ?? parts.clock.now()),
      });
      parts.writer().closeRun(workspace, runId);
      gates.delete(runId);
    },
  };

  /** A server that is away does not keep a run from ending: its points are in the spool. */
  async function settlePoints(runId: string): Promise<void> {
    try {
      await parts.writer().flush({ timeoutMs: flushMs });
    } catch (error) {
      if (isKeelsonError(error, 'CLOSED')) throw error;
      const why = error instanceof Error ? error.message : String(error);
      warn(`Metric points of run ${runId} are not durable yet: ${why}`, { runId });
    }
  }

  async function noteLostOf(runId: string, retryMs?: number): Promise<void> {
    const points = lostOfRun(parts.writer().health().dropped, workspace, runId);
    if (Object.keys(points).length === 0) return;
    const process = String(describeOwner()['instance']);
    await post(runId, 'notes', { lost: { process, points } }, retryMs);
  }

  async function capture(own: StartRunOptions['environment']): Promise<Environment> {
    const options = own ?? parts.environment;
    if (options === false) return { facts: {} };
    if (options !== undefined) return captureEnvironment(options);
    environment ??= captureEnvironment();
    return environment;
  }

  function hold(run: RunElsewhere, systemMetrics: SystemMetricsOption | undefined): ActiveRun {
    const body: JsonObject = run.thresholds === undefined ? {} : { thresholds: run.thresholds };
    const { lateLogging } = parts;
    if (run.status !== 'RUNNING') {
      return new ActiveRun(run, backend, gateOf(body, { closed: true, lateLogging }));
    }
    const every = sampleMs(systemMetrics ?? parts.systemMetrics);
    parts.writer().openRun(workspace, run.id, { sampleMs: every });
    let gate = gates.get(run.id);
    if (gate === undefined || gate.closed) {
      gate = gateOf(body, { closed: false, lateLogging });
      gates.set(run.id, gate);
    }
    return new ActiveRun(run, backend, gate);
  }

  /** Never a reason for a training not to start. */
  async function keepPatch(runId: string, patch: Uint8Array): Promise<void> {
    try {
      const said = { type: 'OTHER', mimeType: 'text/x-diff' } as const;
      await parts.artifacts.log(runId, patchPath, patch, said);
    } catch (error) {
      const message = `The patch of the uncommitted changes could not be kept for run ${runId}.`;
      warn(message, { runId, error });
    }
  }

  return {
    async start(options) {
      const checked = checkStart(options);
      const { environment: wanted, systemMetrics, signal, ...rest } = checked;
      const captured = await capture(wanted);
      // The same id again answers the same run: an answer that was lost makes no second one.
      const id = checked.id ?? uuidV7();
      const startedAt = checked.startedAt ?? parts.clock.now();
      const json: StartElsewhere = {
        ...{ ...rest, id, startedAt, environment: captured.facts },
        ...optional('sourceName', captured.sourceName),
        ...optional('sourceVersion', captured.gitCommit),
      };
      const answer = await link.call({ method: 'POST', path: '/remote/runs', json, signal });
      const started = answer as unknown as RunElsewhere;
      const run = hold(started, systemMetrics);
      if (captured.patch !== undefined && started.created === true) {
        await keepPatch(id, captured.patch);
      }
      return run;
    },

    async join(runId, { resume, systemMetrics }) {
      const answer = await post(runId, 'join', { resume });
      return hold(answer as unknown as RunElsewhere, systemMetrics);
    },

    async surrounding() {
      const id = currentRun()?.id;
      return id === undefined || (await parts.findRun(id)) === undefined ? undefined : id;
    },

    async noteLost() {
      const here = parts.writer().health().dropped;
      // The process is about to end, and waits for nobody.
      for (const runId of new Set(here.map(({ series }) => series.owner)))
        await noteLostOf(runId, 0);
    },
  };
}
