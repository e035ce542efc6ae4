import type { Change } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, type JsonObject } from '../../json.ts';
import { assertTable, type DataTable } from '../data-columns.ts';
import { readPredictions, type StoredPrediction } from '../predictions/stored-predictions.ts';
import type { KeptAnalysis } from './kept-analysis.ts';
import {
  type MultivariateBaseline,
  multivariateBaseline,
  multivariateDrift,
} from './multivariate.ts';

/** Of which answers, and held against what. */
export interface MultivariateQuery {
  readonly deploymentId: string;
  readonly versionId: string | undefined;
  readonly from: number;
  readonly to: number;
  /** Rows, or the period whose requests are the reference; what was kept before when left out. */
  readonly reference: DataTable | { readonly from: number; readonly to: number } | undefined;
}

/** What an analysis found, with the change that keeps its reference where that is new. */
export interface MultivariateFound {
  readonly found: Omit<KeptAnalysis, 'id' | 'deploymentId' | 'type' | 'at' | 'from' | 'to'>;
  readonly changes: readonly Change[];
}

/**
 * Whether the features of a period's requests vary together as those of the reference, which is kept in a record of its own.
 * NOT_FOUND where none was ever given.
 */
export async function analyseMultivariate(
  scope: Pick<Scope, 'metadata' | 'series' | 'workspace'>,
  query: MultivariateQuery,
): Promise<MultivariateFound> {
  const { deploymentId, versionId, from, to } = query;
  const { baseline, changes } = await referenceOf(scope, query);
  const of = versionId === undefined ? {} : { versionId };
  if (baseline === undefined) {
    return {
      found: {
        ...{ outcome: 'not-enough-data', method: 'principal components', ...of, detected: false },
        ...{ severity: 'NONE', features: [], samples: { reference: 0, current: 0 }, details: {} },
        notes: ['The reference has fewer than two features that vary, or too few rows.'],
      },
      changes: [],
    };
  }
  const rows = await requests(scope, deploymentId, versionId, { from, to });
  const drift = multivariateDrift(
    baseline,
    rows.map(({ features }) => features),
    { weights: rows.map(({ inclusionProbability: p }) => (p === undefined ? 1 : 1 / p)) },
  );
  const { outcome, score, low, high, detected, severity, features, rows: samples } = drift;
  return {
    found: {
      ...{ outcome, method: 'principal components', ...of },
      ...(score === null ? {} : { score }),
      ...{ threshold: high, lowerThreshold: low, detected, severity, features, samples },
      notes: [],
      details: asJson(drift) as JsonObject,
    },
    changes,
  };
}

async function referenceOf(
  scope: Pick<Scope, 'metadata' | 'series' | 'workspace'>,
  { deploymentId, versionId, reference }: MultivariateQuery,
): Promise<{
  readonly baseline: MultivariateBaseline | undefined;
  readonly changes: readonly Change[];
}> {
  const id = versionId === undefined ? deploymentId : `${deploymentId}:${versionId}`;
  const record = await scope.metadata.find(scope.workspace, 'multivariate_baseline', id);
  if (reference === undefined) {
    if (record !== undefined) {
      const { baseline } = record.body as unknown as { readonly baseline: MultivariateBaseline };
      return { baseline, changes: [] };
    }
    throw new KeelsonError(
      'NOT_FOUND',
      `Deployment ${deploymentId} has nothing yet that its features are held against together; give a reference: rows, or { from, to } of requests.`,
    );
  }
  const baseline = isPeriod(reference)
    ? multivariateBaseline(
        (await requests(scope, deploymentId, versionId, reference)).map(({ features }) => features),
        { chunksBy: 'order' },
      )
    : multivariateBaseline(reference);
  if (baseline === undefined) return { baseline, changes: [] };
  const body = asJson({ baseline }) as JsonObject;
  const change: Change =
    record === undefined
      ? { op: 'create', kind: 'multivariate_baseline', id, columns: { deploymentId }, body }
      : {
          op: 'replace',
          kind: 'multivariate_baseline',
          id,
          expect: record.revision,
          columns: {},
          body,
        };
  return { baseline, changes: [change] };
}

function isPeriod(
  reference: DataTable | { readonly from: number; readonly to: number },
): reference is { readonly from: number; readonly to: number } {
  const { from, to } = reference as { readonly from?: unknown; readonly to?: unknown };
  if (typeof from === 'number' && typeof to === 'number') return true;
  assertTable(reference, 'the reference');
  return false;
}

async function requests(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  versionId: string | undefined,
  range: { readonly from: number; readonly to: number },
): Promise<readonly StoredPrediction[]> {
  const rows = await readPredictions(scope, deploymentId, range);
  return rows.filter((row) =>
    versionId === undefined ? row.role === 'primary' : row.versionId === versionId,
  );
}
