import {
  type Json,
  KeelsonError,
  type RouteRule,
  type TargetOutcome,
  type TrafficRouter,
  type VersionedRoute,
} from '@keelson/core';
import { maxWindowMs, OutcomeWindow } from './outcome-window.ts';
import { hashFraction, type PreparedArms, pickArm, prepareArms } from './rendezvous.ts';

/** What a routing decision may look at. */
export interface RoutedRequest {
  readonly requestId: string;
  /** By lower-case name. */
  header(name: string): string | undefined;
  /** An attribute that the caller gave, such as a parameter of the inference request. */
  attribute(name: string): Json | undefined;
}

/** Who answers a request. */
export interface RoutingDecision {
  readonly versionId: string;
  readonly reason: 'rule' | 'weight' | 'fallback';
  readonly generation: number;
  /** Versions that get a copy once the request is answered. */
  readonly shadows: readonly string[];
}

/** A route in force, prepared for decisions; replaced as a whole. */
interface ActiveRoute {
  readonly versioned: VersionedRoute;
  readonly prepared: PreparedArms;
}

/**
 * The router inside serve: takes routes by `TrafficRouter`'s promises and decides for each request. Decisions
 * are a pure function of the route, the request and which versions are alive.
 */
export class InProcessRouter implements TrafficRouter {
  readonly #active = new Map<string, ActiveRoute>();
  readonly #outcomes = new Map<string, Map<string, OutcomeWindow>>();
  readonly #now: () => number;

  /** `now` is a clock in ms that never goes back; the process's own when left out. */
  constructor(options: { readonly now?: () => number } = {}) {
    this.#now = options.now ?? (() => performance.now());
  }

  async apply(versioned: VersionedRoute): Promise<number> {
    return this.applyNow(versioned);
  }

  /** {@link TrafficRouter.apply} at once: when it returns, every decision follows the new route. */
  applyNow(versioned: VersionedRoute): number {
    assertRoute(versioned);
    const { generation, route } = versioned;
    const current = this.#active.get(route.deploymentId);
    const inForce = current?.versioned.generation ?? 0;
    if (generation < inForce) {
      throw new KeelsonError(
        'STALE',
        `Route ${generation} of deployment ${route.deploymentId} is older than route ${inForce}, which is in force.`,
        { details: { generation, inForce } },
      );
    }
    if (generation === inForce && current !== undefined) return inForce;
    const kept = structuredClone(versioned);
    const salt = route.sticky?.salt ?? route.deploymentId;
    this.#active.set(route.deploymentId, {
      versioned: kept,
      prepared: prepareArms(salt, kept.route.targets),
    });
    this.#prune(route.deploymentId, new Set(route.targets.map(({ versionId }) => versionId)));
    return generation;
  }

  async observed(deploymentId: string): Promise<VersionedRoute | undefined> {
    return this.current(deploymentId);
  }

  /** The route in force. */
  current(deploymentId: string): VersionedRoute | undefined {
    return this.#active.get(deploymentId)?.versioned;
  }

  async outcomes(deploymentId: string, windowMs: number): Promise<readonly TargetOutcome[]> {
    const windows = this.#outcomes.get(deploymentId);
    const targets = this.current(deploymentId)?.route.targets ?? [];
    const ids = new Set([...targets.map(({ versionId }) => versionId), ...(windows?.keys() ?? [])]);
    const now = this.#now();
    return [...ids]
      .map((id) => (windows?.get(id) ?? new OutcomeWindow(id)).outcome(now, windowMs))
      .filter(
        ({ requests, versionId }) => requests > 0 || targets.some((t) => t.versionId === versionId),
      );
  }

  async remove(deploymentId: string): Promise<void> {
    this.#active.delete(deploymentId);
    this.#outcomes.delete(deploymentId);
  }

  /**
   * Who answers. A chosen version that is not alive yields to the fallback where that is; UNAVAILABLE when
   * neither is alive, or no route is in force.
   */
  pick(
    deploymentId: string,
    request: RoutedRequest,
    isAlive: (versionId: string) => boolean,
  ): RoutingDecision {
    const active = this.#active.get(deploymentId);
    if (active === undefined) {
      throw new KeelsonError(
        'UNAVAILABLE',
        `Deployment ${deploymentId} has no route in force yet.`,
      );
    }
    const { route, generation } = active.versioned;
    const rule = route.rules.find((candidate) => matches(candidate, request));
    const chosen = rule?.versionId ?? pickArm(active.prepared, stickyKey(active, request));
    const shadows = route.shadows.length === 0 ? noShadows : pickShadows(active, request);
    if (chosen !== undefined && isAlive(chosen)) {
      return {
        versionId: chosen,
        reason: rule === undefined ? 'weight' : 'rule',
        generation,
        shadows,
      };
    }
    const fallback = route.fallbackVersionId;
    if (fallback !== undefined && isAlive(fallback)) {
      return { versionId: fallback, reason: 'fallback', generation, shadows };
    }
    throw new KeelsonError(
      'UNAVAILABLE',
      `Version ${chosen} of deployment ${deploymentId} has no live replica, and there is no live fallback.`,
    );
  }

  /** Counts what came of a request that `versionId` was chosen for. */
  record(deploymentId: string, versionId: string, latencyMs: number, failed: boolean): void {
    let windows = this.#outcomes.get(deploymentId);
    if (windows === undefined) {
      windows = new Map();
      this.#outcomes.set(deploymentId, windows);
    }
    let window = windows.get(versionId);
    if (window === undefined) {
      window = new OutcomeWindow(versionId);
      windows.set(versionId, window);
    }
    window.record(this.#now(), latencyMs, failed);
  }

  /** Drops the counts of versions that left the route and whose requests no window reaches any more. */
  #prune(deploymentId: string, targets: ReadonlySet<string>): void {
    const windows = this.#outcomes.get(deploymentId);
    const oldest = this.#now() - maxWindowMs;
    for (const [versionId, window] of windows ?? []) {
      if (!targets.has(versionId) && window.lastAt < oldest) windows?.delete(versionId);
    }
  }
}

const noShadows: readonly string[] = Object.freeze([]);

function stickyKey(active: ActiveRoute, request: RoutedRequest): string {
  const { sticky } = active.versioned.route;
  return (sticky && request.header(sticky.header.toLowerCase())) || request.requestId;
}

function matches(rule: RouteRule, request: RoutedRequest): boolean {
  return 'header' in rule.match
    ? request.header(rule.match.header.toLowerCase()) === rule.match.equals
    : request.attribute(rule.match.attribute) === rule.match.equals;
}

function pickShadows(active: ActiveRoute, request: RoutedRequest): readonly string[] {
  const { deploymentId, shadows } = active.versioned.route;
  return shadows
    .filter(({ versionId, samplePercent }) => {
      if (samplePercent >= 100) return true;
      return (
        hashFraction(`${deploymentId}\u001f${versionId}\u001fshadow`, request.requestId) * 100 <
        samplePercent
      );
    })
    .map(({ versionId }) => versionId);
}

function assertRoute({ generation, route }: VersionedRoute): void {
  const refuse = (what: string): never => {
    throw new KeelsonError(
      'INVALID',
      `Route ${generation} of deployment ${route.deploymentId}: ${what}.`,
    );
  };
  if (!Number.isSafeInteger(generation) || generation < 1)
    refuse('its generation must be an integer from 1');
  const sum = route.targets.reduce((total, target) => total + target.weightPercent, 0);
  if (!(Math.abs(sum - 100) < 1e-6)) refuse(`the weights of its targets sum to ${sum}, not to 100`);
  if (route.targets.some(({ weightPercent }) => !(weightPercent >= 0)))
    refuse('a weight is negative');
  for (const names of [
    route.targets.map(({ versionId }) => versionId),
    route.targets.map(({ key, versionId }) => key ?? versionId),
  ]) {
    if (new Set(names).size < names.length)
      refuse('a version or a key is named twice among its targets');
  }
  for (const { samplePercent } of route.shadows) {
    if (!(samplePercent >= 0 && samplePercent <= 100))
      refuse('a shadow samples less than 0 or more than 100 percent');
  }
}
