import type { PredictionRow } from '../../contracts/prediction-sink.ts';

/**
 * A copy of a row, which its caller cannot change any more; undefined for one that would keep others from being stored: of no
 * deployment, version, request or time. Throws what a getter throws.
 */
export function usableRow(given: PredictionRow): PredictionRow | undefined {
  const row = { ...given };
  const { features } = row;
  const isUsable =
    isAddress(row.deploymentId) &&
    typeof row.versionId === 'string' &&
    typeof row.requestId === 'string' &&
    Number.isFinite(row.at);
  if (!isUsable) return undefined;
  const isObject = typeof features === 'object' && features !== null && !Array.isArray(features);
  return Object.assign(row, { features: isObject ? { ...features } : {} });
}

/** Whether rows of it can be stored at all. */
function isAddress(deploymentId: unknown): boolean {
  if (typeof deploymentId !== 'string' || deploymentId === '') return false;
  if (deploymentId.length > 512 || deploymentId.includes('\u0000')) return false;
  return deploymentId.isWellFormed();
}
