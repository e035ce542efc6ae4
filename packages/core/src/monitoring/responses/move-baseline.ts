import { isKeelsonError } from '../../errors.ts';
import type { Monitoring } from '../monitoring.ts';
import { defaultRecentMs, type ResponsePolicy } from './response-policy.ts';

/**
 * What a version meets from now on is compared with what was recently met: the rules of its monitor begin anew, and
 * where features are compared with a baseline, it gets one of its own. Done already, it changes nothing.
 */
export async function moveBaseline(
  monitoring: Pick<
    Monitoring,
    'getMonitor' | 'rebaseline' | 'labelledRows' | 'getBaseline' | 'setBaseline' | 'updateBaseline'
  >,
  of: {
    readonly policy: ResponsePolicy;
    readonly versionId: string;
    readonly at: number;
    readonly reason: string;
  },
): Promise<void> {
  const { policy, versionId, at, reason } = of;
  const { deploymentId, deployment: name, retrain } = policy;
  const range = { from: at - (retrain?.recentMs ?? defaultRecentMs), to: at };
  const rows = await monitoring.labelledRows(deploymentId, range, { versionId });
  const deployment = { id: deploymentId, name };
  const watched = await ifThere(monitoring.getMonitor(deploymentId));
  if (watched !== undefined && rows.length > 0) {
    await monitoring.rebaseline({ deployment, versionId, reference: rows, at, reason });
  }
  const former = await ifThere(monitoring.getBaseline(deploymentId));
  const own = await ifThere(monitoring.getBaseline(deploymentId, { versionId }));
  if (former === undefined || own !== undefined || rows.length === 0) return;
  try {
    // All of what was predicted lately, in the bins of the baseline before.
    const [from, to] = [wholeMinute(range.from), wholeMinute(range.to)];
    await monitoring.updateBaseline(deploymentId, { from, to, reason, versionId });
  } catch (error) {
    if (!isKeelsonError(error, 'INVALID')) throw error;
    // Too few predictions of it: what its rows with labels were like, with its answers where those are watched.
    const { prediction } = former.baseline;
    const answers = prediction === undefined ? {} : { prediction: prediction.feature };
    const reference = rows.map((row) => ({
      ...row.features,
      ...(prediction === undefined ? {} : { [prediction.feature]: row.prediction ?? null }),
    }));
    // Where no features are kept of what was asked, there is nothing to compare with.
    if (rows.every(({ features }) => Object.keys(features).length === 0)) return;
    await monitoring.setBaseline({ deployment, versionId, reference, reason, ...answers });
  }
}

/** The beginning of the minute. */
function wholeMinute(at: number): number {
  return Math.floor(at / 60_000) * 60_000;
}

async function ifThere<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isKeelsonError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}
