import type { StoredRecord } from '../../contracts/record.ts';
import type { DriftKind } from '../../events/catalogue/alert-events.ts';
import type { JsonObject } from '../../json.ts';
import type { Severity } from '../../statistics/index.ts';

/** What an analysis looks at: how wrong answers are (`CONCEPT`), or how features vary together (`MULTIVARIATE`). */
export type AnalysisType = 'CONCEPT' | 'MULTIVARIATE';

/** An analysis of a deployment that is kept. Plain JSON; `details` is all that it was decided by. */
export interface KeptAnalysis {
  readonly id: string;
  readonly deploymentId: string;
  readonly type: AnalysisType;
  /** As of when; events from `from` on and before `to` were looked at. Epoch ms. */
  readonly at: number;
  readonly from: number;
  readonly to: number;
  /** The version that it is of; missing where it is of all that callers got. */
  readonly versionId?: string;
  readonly baselineId?: string;
  readonly outcome: 'measured' | 'not-enough-data';
  readonly method: string;
  /** In the unit of the method; missing without enough data. */
  readonly score?: number;
  /** What the score is held against: drift is beyond it, on either side where there are two. */
  readonly threshold?: number;
  readonly lowerThreshold?: number;
  readonly pValue?: number;
  readonly detected: boolean;
  readonly severity: Severity;
  /** The features that carry it, the heaviest first, with their share of it. */
  readonly features: readonly { readonly feature: string; readonly share: number }[];
  readonly samples: { readonly reference: number; readonly current: number };
  /** In which manner it drifts, where that is known. */
  readonly driftKind?: DriftKind;
  /** Since when, in epoch ms, where that is known. */
  readonly since?: number;
  /** Assumptions that were not met, and what cannot be told. */
  readonly notes: readonly string[];
  readonly details: JsonObject;
}

/** An analysis out of its record. */
export function analysisFromRecord({ id, columns, body }: StoredRecord): KeptAnalysis {
  return {
    ...(body as unknown as KeptAnalysis),
    id,
    deploymentId: columns['deploymentId'] as string,
    type: columns['type'] as AnalysisType,
    at: columns['at'] as number,
  };
}
