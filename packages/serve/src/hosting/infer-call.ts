import type { Tensor } from '@keelson/core';
import type { Finding } from '../checks/finding.ts';
import type { InferRequest } from '../protocol/infer-request.ts';
import type { JobAnswer } from '../replicas/job.ts';
import type { RoutedRequest } from '../routing/in-process-router.ts';
import type { LoadedVersion } from './loaded-version.ts';

/** One inference request as the host gets it. */
export interface InferCall extends RoutedRequest {
  readonly request: InferRequest;
  /** Version number or id that the caller insists on. */
  readonly version: string | undefined;
  readonly timeoutMs: number;
  /** `performance.now()` when the request came in. */
  readonly startedAt: number;
  /** The request's time for monitoring. */
  readonly at: number;
  readonly correlationId: string | undefined;
  readonly isGone: () => boolean;
  /** Told the number of the version that is asked. */
  readonly chosen?: (version: string) => void;
}

/** What the caller gets. */
export interface InferResult {
  readonly version: LoadedVersion;
  readonly outputs: readonly Tensor[];
  readonly answer: JobAnswer;
  /** What answer checks have to say; undefined where they have nothing. */
  readonly findings: readonly Finding[] | undefined;
}
