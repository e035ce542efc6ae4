import type { Json } from '../json.ts';

/** One weighted target of a route. */
export interface RouteTarget {
  readonly versionId: string;
  /** 0 to 100; the weights of a route sum to 100. */
  readonly weightPercent: number;
  /** A name such as `fraud@1.2.0` by which requests are hashed to targets; the version's id when left out. */
  readonly key?: string;
}

/** Sends requests that match to one version, before any weight is drawn. */
export interface RouteRule {
  readonly match:
    | { readonly header: string; readonly equals: string }
    | { readonly attribute: string; readonly equals: Json };
  readonly versionId: string;
}

/** Who answers a deployment's requests; replaced as a whole, never in part. */
export interface Route {
  readonly deploymentId: string;
  readonly targets: readonly RouteTarget[];
  /** Tried in order. */
  readonly rules: readonly RouteRule[];
  /** Requests with one key stay with one target as long as weights allow. */
  readonly sticky?: { readonly header: string; readonly salt: string };
  /** Versions that get a copy of answered requests. */
  readonly shadows: readonly { readonly versionId: string; readonly samplePercent: number }[];
  /** Takes over when the chosen target has no live replica. */
  readonly fallbackVersionId?: string;
  /** Answer nothing and are kept ready to answer, so that a route which names them can be in force at once. */
  readonly warmVersionIds?: readonly string[];
}

/** A route with the number that orders it: a router never goes back to a lower one. */
export interface VersionedRoute {
  readonly generation: number;
  readonly route: Route;
}

/** What came of the requests that a target answered. */
export interface TargetOutcome {
  readonly versionId: string;
  readonly requests: number;
  readonly errors: number;
  readonly latencyMs: {
    readonly p50: number;
    readonly p95: number;
    readonly p99: number;
    readonly max: number;
  };
}

/**
 * Takes a route and brings traffic into its shape; implementable by a proxy outside. Promises:
 * `apply` is atomic (no request sees half a route) and idempotent, a generation below the one in force
 * is refused with STALE, weights that do not sum to 100 with INVALID; an applied route holds for every
 * request that arrives after the promise resolved.
 */
export interface TrafficRouter {
  apply(route: VersionedRoute): Promise<number>;
  /** What is in force now. */
  observed(deploymentId: string): Promise<VersionedRoute | undefined>;
  /** Per target, over the last `windowMs`. */
  outcomes(deploymentId: string, windowMs: number): Promise<readonly TargetOutcome[]>;
  remove(deploymentId: string): Promise<void>;
}
