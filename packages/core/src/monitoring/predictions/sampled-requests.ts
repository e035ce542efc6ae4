import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import type { SampledRequest } from '../../registry/validation/test-context.ts';
import { seededRandom } from '../../statistics/index.ts';
import { fairFeatureSample } from './fair-sample.ts';
import { readPredictions } from './stored-predictions.ts';

/** Which requests are drawn. */
export interface SampleOptions {
  /** From this time on, and before that one, in epoch ms. */
  readonly from: number;
  readonly to: number;
  /** 1,000 when left out; 100,000 at most. */
  readonly limit?: number;
  /** The same seed draws the same requests; 1 when left out. */
  readonly seed?: number | string;
}

const maxRequests = 100_000;

/** Requests that callers made, each as likely as any other; in order of their time. INVALID for no number of them. */
export async function sampleRequests(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  { from, to, limit = 1000, seed = 1 }: SampleOptions,
): Promise<readonly SampledRequest[]> {
  if (!Number.isInteger(limit) || limit < 1 || limit > maxRequests) {
    throw new KeelsonError(
      'INVALID',
      `The limit of monitoring.sampledRequests must be a whole number from 1 to ${maxRequests}.`,
    );
  }
  const rows = await readPredictions(scope, deploymentId, { from, to });
  const all = fairFeatureSample(rows.filter(({ role }) => role === 'primary'));
  const random = seededRandom(seed);
  // Selection sampling (Knuth, algorithm S): each is taken with the chance that is left for it.
  const drawn: SampledRequest[] = [];
  for (const [place, { requestId, features }] of all.entries()) {
    const wanted = Math.min(limit, all.length) - drawn.length;
    if (random.uniform() * (all.length - place) < wanted) drawn.push({ requestId, features });
  }
  return drawn;
}
