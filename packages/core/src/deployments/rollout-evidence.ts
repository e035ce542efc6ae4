import type { EvidenceQuery, EvidenceSource } from '../contracts/evidence-source.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { readReports } from './deployment-health.ts';
import {
  decideGate,
  type FrozenLatency,
  figureOf,
  type Gate,
  type GateVerdict,
  limitsOf,
  undecided,
} from './gate.ts';
import type { Rollout } from './rollout.ts';

/** What was asked for a rollout: what its gates say, and the latencies that are frozen from now on. */
export interface Findings {
  readonly verdicts: readonly GateVerdict[];
  readonly frozen: Rollout['frozen'];
}

interface RefusedCounts {
  /** Requests that would be refused. */
  readonly refused: number;
  /** By the sticky keys of their requests, the ones with most refused first. */
  readonly callers: readonly {
    readonly key: string;
    readonly requests: number;
    readonly refused: number;
    readonly why: string;
  }[];
  /** Requests that came without a key. */
  readonly unnamed: { readonly requests: number; readonly refused: number; readonly why: string };
}

/** Callers whom a version would refuse, by their recent requests. */
export interface RefusedCallers extends RefusedCounts {
  readonly requests: number;
}

/** How far back the baseline's latency is looked at, and how many of its answers are enough. */
const lookBackMs = 3_600_000;
const enoughLatencies = 100;

type Compared = Pick<Rollout, 'deploymentId' | 'candidateVersionId' | 'baselineVersionId'>;

/** Asks an evidence source for what gates of rollouts want to know. */
export class RolloutEvidence {
  readonly #scope: Pick<Scope, 'metadata' | 'workspace'>;
  readonly #source: () => EvidenceSource;

  constructor(scope: Pick<Scope, 'metadata' | 'workspace'>, source: () => EvidenceSource) {
    this.#scope = scope;
    this.#source = source;
  }

  /** The gates of the step that a rollout stands at, by evidence up to `at`. */
  async findings(rollout: Rollout, at: number): Promise<Findings> {
    const step = rollout.steps[rollout.stepIndex];
    const gates = step?.gates ?? [];
    const frozen = { ...rollout.frozen, ...(await this.frozen(rollout, gates, at)) };
    const splitAt = rollout.decisions
      .filter(({ action }) => action === 'advance')
      .map((decision) => decision.at);
    const { deploymentId, candidateVersionId, baselineVersionId, beganAt, windowMs } = rollout;
    const inShadow = step?.weightPercent === 0 && step.shadow;
    const query = {
      ...{ deploymentId, candidateVersionId, baselineVersionId, from: beganAt, to: at, splitAt },
      ...(windowMs === undefined ? {} : { windowMs }),
      ...(inShadow ? ({ candidateRole: 'shadow' } as const) : {}),
    };
    const verdicts = await Promise.all(gates.map((gate) => this.verdict(gate, query, frozen)));
    return { verdicts, frozen };
  }

  /** The baseline's latencies at the quantiles that gates ask about and that are not frozen yet. */
  async frozen(
    of: Compared & Pick<Rollout, 'frozen'>,
    gates: readonly Gate[],
    at: number,
    backMs: number = lookBackMs,
  ): Promise<Rollout['frozen']> {
    const frozen: Record<string, FrozenLatency> = {};
    for (const gate of gates) {
      if (gate.gate !== 'latency') continue;
      const key = quantileKey(gate);
      if (of.frozen[key] !== undefined || frozen[key] !== undefined) continue;
      const { deploymentId, baselineVersionId } = of;
      const about = { deploymentId, baselineVersionId, quantile: gate.quantile };
      const query = { figure: 'latency_quantile', ...about, from: at - backMs, to: at };
      const answer = await this.#asked(query);
      if (typeof answer === 'string' || answer.estimate === undefined) continue;
      const { estimate: valueMs, samples } = answer;
      if (samples >= enoughLatencies) frozen[key] = { valueMs, samples, at };
    }
    return frozen;
  }

  /** Labelled answers of a version before a time, and those that were right. */
  async accuracyBefore(
    deploymentId: string,
    candidateVersionId: string,
    at: number,
    backMs: number,
  ): Promise<{ readonly right: number; readonly labels: number }> {
    const about = { figure: 'accuracy_counts', deploymentId, candidateVersionId };
    const answer = await this.#asked({ ...about, from: at - backMs, to: at });
    if (typeof answer === 'string') return { right: 0, labels: 0 };
    const windows = (answer.inputs['windows'] ?? []) as unknown as readonly {
      readonly canaryRequests: number;
      readonly canaryBad: number;
    }[];
    const sum = (of: (each: (typeof windows)[number]) => number): number =>
      windows.reduce((total, each) => total + of(each), 0);
    const labels = sum(({ canaryRequests }) => canaryRequests);
    return { labels, right: labels - sum(({ canaryBad }) => canaryBad) };
  }

  /** Callers of one version whom another would refuse; undefined where nothing is known. */
  async refusedCallers(
    of: { readonly deploymentId: string; readonly leftId: string; readonly versionId: string },
    at: number,
  ): Promise<RefusedCallers | undefined> {
    const answer = await this.#asked({
      ...{ figure: 'refused_callers', deploymentId: of.deploymentId },
      ...{ candidateVersionId: of.leftId, baselineVersionId: of.versionId },
      ...{ from: at - lookBackMs, to: at },
    });
    if (typeof answer === 'string' || answer.inputs['refused'] === undefined) return undefined;
    return { requests: answer.samples, ...(answer.inputs as unknown as RefusedCounts) };
  }

  /** What a gate says; one whose source fails is inconclusive. */
  async verdict(
    gate: Gate,
    query: Omit<EvidenceQuery, 'figure'>,
    frozen: Rollout['frozen'],
  ): Promise<GateVerdict> {
    if (gate.gate === 'ready') return this.#ready(gate, query);
    const quantile = gate.gate === 'latency' ? quantileKey(gate) : '';
    const limits = limitsOf(gate, frozen[quantile]);
    if (limits === undefined) {
      return undecided(gate, `fewer than ${enoughLatencies} answers of the baseline are known`);
    }
    const answer = await this.#asked({ ...query, figure: figureOf(gate), ...limits });
    if (typeof answer === 'string') return undecided(gate, answer);
    return decideGate(gate, answer.inputs, answer);
  }

  async #ready(gate: Gate, query: Omit<EvidenceQuery, 'figure'>): Promise<GateVerdict> {
    const { deploymentId, candidateVersionId } = query;
    const reports = await readReports(this.#scope, deploymentId, query.to ?? 0);
    const found = reports
      .flatMap(({ versions = [] }) => versions)
      .filter(({ versionId }) => versionId === candidateVersionId);
    const sum = (of: (each: (typeof found)[number]) => number): number =>
      found.reduce((total, each) => total + of(each), 0);
    const live = sum(({ liveReplicas }) => liveReplicas);
    return decideGate(gate, { live, replicas: sum(({ replicas }) => replicas) });
  }

  /** A source that is away, or does not know the figure, is no reason to go either way: it says why. */
  async #asked(query: EvidenceQuery): Promise<Awaited<ReturnType<EvidenceSource['ask']>> | string> {
    try {
      return await this.#source().ask(query);
    } catch (error) {
      if (isKeelsonError(error, 'CLOSED', 'ABORTED')) throw error;
      return error instanceof Error ? error.message : String(error);
    }
  }
}

function quantileKey({ quantile }: Extract<Gate, { readonly gate: 'latency' }>): string {
  return `p${Number((quantile * 100).toFixed(4))}`;
}
