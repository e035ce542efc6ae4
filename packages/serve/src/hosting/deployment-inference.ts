import {
  addSpan,
  type Clock,
  describeSpan,
  inSpan,
  isKeelsonError,
  type Json,
  KeelsonError,
  type PredictionSink,
} from '@keelson/core';
import type { Finding } from '../checks/finding.ts';
import type { FindingCounts } from '../checks/finding-counts.ts';
import { modelParameters } from '../protocol/infer-request.ts';
import { refusal, statusOf } from '../protocol/refusal.ts';
import type { CheckedInputs } from '../protocol/signature-check.ts';
import type { JobAnswer } from '../replicas/job.ts';
import type { PredictOptions } from '../replicas/job-dispatcher.ts';
import type { InProcessRouter } from '../routing/in-process-router.ts';
import type { InferCall, InferResult } from './infer-call.ts';
import type { InferenceCounts } from './inference-counts.ts';
import type { LoadedVersion } from './loaded-version.ts';
import type { PredictionLog } from './prediction-log.ts';
import type { ShadowLane } from './shadow-lane.ts';
import type { VersionShelf } from './version-shelf.ts';

/** Who answers a request, and who gets a copy. */
export interface ChosenVersion {
  readonly version: LoadedVersion;
  readonly shadows: readonly string[];
  readonly deploymentId: string;
}

/** What the requests of a deployment go through. */
export interface DeploymentInferenceOptions {
  /** Rejects with the errors of the router, and UNAVAILABLE. */
  readonly choose: (call: InferCall) => ChosenVersion;
  /** The version that answers where another does not, by the route in force. */
  readonly fallback: () => string | undefined;
  readonly versions: Pick<VersionShelf, 'get'>;
  readonly router: InProcessRouter;
  readonly shadows: ShadowLane;
  readonly log: PredictionLog;
  readonly sink: PredictionSink;
  readonly counts: InferenceCounts;
  readonly findings: FindingCounts;
  readonly clock: Clock;
}

/** The way of one request: a version is chosen, inputs checked, the model asked, its answer looked at, counted, logged. */
export class DeploymentInference {
  readonly #options: DeploymentInferenceOptions;

  constructor(options: DeploymentInferenceOptions) {
    this.#options = options;
  }

  /** Answers one request; rejects with the errors of the router, the signature and the replicas. */
  async infer(call: InferCall): Promise<InferResult> {
    const full = this.#options.sink.full?.();
    if (full !== undefined) throw refusal(429, 'EXHAUSTED', full.message);
    const { version, shadows, deploymentId } = this.#options.choose(call);
    call.chosen?.(version.model.version);
    version.check.checkOutputs(call.request.outputs);
    const checked = version.check.check(call.request.inputs);
    const { versionId } = version.model;
    const latency = (): number => performance.now() - call.startedAt;
    let findings: readonly Finding[] | undefined;
    let fallback: string | undefined;
    let answer: JobAnswer;
    try {
      const attributes = { 'keelson.model.version': version.model.version };
      answer = await inSpan('predict', { attributes }, async () => {
        const given = await predict(version, checked, {
          timeoutMs: call.timeoutMs - latency(),
          parameters: modelParameters(call.request),
          isGone: call.isGone,
        });
        tellTimes(given, checked.rowCount);
        return given;
      });
      findings = this.#look(version, checked, answer);
      fallback = findings && this.#fallbackFor(version, findings);
      if (findings !== undefined && fallback === undefined) version.answers.enforce(findings);
    } catch (error) {
      const failed = statusOf(error) >= 500;
      // What checks have withheld the version has answered, if not as it should.
      if (failed || findings !== undefined) {
        const latencyMs = latency();
        this.#options.router.record(deploymentId, versionId, latencyMs, failed);
        if (failed) this.#options.counts.failed(version.model.version, latencyMs);
        if (isKeelsonError(error, 'FAILED', 'TIMEOUT', 'INTERNAL')) {
          const facts = { deploymentId, role: 'primary', latencyMs, error, findings } as const;
          this.#options.log.record(version, call, checked, facts);
        }
      }
      throw error;
    }
    const latencyMs = latency();
    this.#options.router.record(deploymentId, versionId, latencyMs, false);
    const now = this.#options.clock.now();
    this.#options.counts.answered(version.model.version, now, checked.rowCount, latencyMs, answer);
    version.meter.record(latencyMs, answer.queueMs);
    // An answer that the caller never sees is like a shadow's.
    const role = fallback === undefined ? 'primary' : 'shadow';
    this.#options.log.record(version, call, checked, {
      deploymentId,
      role,
      latencyMs,
      answer,
      findings,
    });
    for (const shadow of shadows) this.#shadow(deploymentId, shadow, call);
    if (fallback !== undefined) return this.infer({ ...call, version: fallback });
    return { version, outputs: answer.outputs, answer, findings };
  }

  /** What answer checks have to say, which is counted. */
  #look(
    version: LoadedVersion,
    { inputs, rowCount }: CheckedInputs,
    { outputs }: JobAnswer,
  ): readonly Finding[] | undefined {
    const findings = version.answers.look(inputs, outputs, rowCount);
    if (findings !== undefined)
      this.#options.findings.note(version.model.version, findings, rowCount);
    return findings;
  }

  /** The version that is to answer instead of one that is not confident enough. */
  #fallbackFor(
    { model, answers }: LoadedVersion,
    findings: readonly Finding[],
  ): string | undefined {
    const id = this.#options.fallback();
    if (id === undefined || id === model.versionId || !answers.wantsFallback(findings))
      return undefined;
    return (this.#options.versions.get(id)?.pool.liveCount ?? 0) > 0 ? id : undefined;
  }

  #shadow(deploymentId: string, versionId: string, call: InferCall): void {
    this.#options.shadows.offer(async () => {
      const version = this.#options.versions.get(versionId);
      if (version === undefined)
        throw new KeelsonError('UNAVAILABLE', 'The shadow version is not loaded.');
      const checked = version.check.check(call.request.inputs);
      const startedAt = performance.now();
      const facts = (): { deploymentId: string; role: 'shadow'; latencyMs: number } => ({
        deploymentId,
        role: 'shadow',
        latencyMs: performance.now() - startedAt,
      });
      try {
        const answer = await version.pool.predict(checked.inputs, checked.rowCount, {
          timeoutMs: call.timeoutMs,
          parameters: modelParameters(call.request),
        });
        const findings = this.#look(version, checked, answer);
        this.#options.log.record(version, call, checked, { ...facts(), answer, findings });
      } catch (error) {
        // What befell the copy on its way (overload, removal) says nothing about the version.
        if (isKeelsonError(error, 'FAILED', 'TIMEOUT')) {
          this.#options.log.record(version, call, checked, { ...facts(), error });
        }
        throw error;
      }
    });
  }
}

function predict(
  { pool, cache }: LoadedVersion,
  { inputs, rowCount }: CheckedInputs,
  options: PredictOptions & { readonly parameters: Readonly<Record<string, Json>> },
): Promise<JobAnswer> {
  const run = (): Promise<JobAnswer> => pool.predict(inputs, rowCount, options);
  return cache === undefined ? run() : cache.predict({ inputs, ...options }, run);
}

/** Queue, batch and model in the span of a prediction. */
function tellTimes(
  { replica, attempts, batchRows, queueMs, inferenceMs }: JobAnswer,
  rows: number,
): void {
  const batch = { 'keelson.batch_rows': batchRows };
  describeSpan({
    ...{ 'keelson.replica': replica, 'keelson.attempts': attempts, 'keelson.rows': rows, ...batch },
    ...{ 'keelson.queue_ms': queueMs, 'keelson.inference_ms': inferenceMs },
  });
  const to = performance.timeOrigin + performance.now();
  const begun = to - inferenceMs;
  addSpan('queue', { from: begun - queueMs, to: begun });
  addSpan('model', { from: begun, to }, batch);
}
