import { assertObject } from '../../check-options.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { assertText } from '../../json.ts';
import { largest } from '../baselines/segment-counts.ts';
import type { StoredBaseline } from '../baselines/stored-baseline.ts';
import type { EndpointMetrics } from '../metrics/metrics.ts';
import {
  type BaselineDrift,
  type BaselineDriftOptions,
  baselineDrift,
  checkDriftOptions,
} from './baseline-drift.ts';
import { minuteMs } from './counted-rollups.ts';
import { readSegments, readWindows } from './counted-windows.ts';
import {
  checkQualityOptions,
  type DataQuality,
  type DataQualityOptions,
  dataQuality,
} from './data-quality.ts';
import { type SegmentWindowDrift, segmentDrifts } from './segment-drift.ts';
import type { WindowCounts } from './window-counts.ts';

/** Over which predictions drift is measured, and how. */
export interface DriftOptions extends Omit<BaselineDriftOptions, 'range' | 'learntThresholds'> {
  readonly from: number;
  readonly to: number;
  /** The version that most requests go to when left out, else the one whose baseline was set last. */
  readonly versionId?: string;
  /** Each segment besides: the column that the baseline's segments are told by (`segment` for those of predictions). */
  readonly segment?: string;
}

/** Of which predictions data are checked, and how. */
export interface QualityOptions extends DataQualityOptions {
  readonly from: number;
  readonly to: number;
  readonly versionId?: string;
}

/** What an analysis is of. */
interface AnalysedWindow {
  readonly deploymentId: string;
  readonly versionId: string;
  readonly baselineId: string;
  readonly from: number;
  readonly to: number;
}

/** How predictions differ from their baseline. Plain JSON. */
export type DriftAnalysis = AnalysedWindow & {
  /** Missing where nothing was predicted, or nothing counted yet. */
  readonly drift?: BaselineDrift;
  /** The worst first; those that are too small have no verdict. */
  readonly segments?: readonly SegmentWindowDrift[];
};

/** How good the data of predictions were. Plain JSON. */
export type QualityAnalysis = AnalysedWindow & {
  readonly type: 'DATA_QUALITY';
  /** Missing where nothing was predicted, or nothing counted yet. */
  readonly quality?: DataQuality;
};

/** Analyses of what was counted in the bins of a baseline. */
export interface WindowDriftService {
  /**
   * Compares what was predicted from `from` on and before `to` (whole minutes) with the baseline in force: computed
   * from counts of all predictions, whatever of them is kept as rows. NOT_FOUND where there is no baseline, INVALID for a
   * segment that it does not know.
   */
  drift(deploymentId: string, options: DriftOptions): Promise<DriftAnalysis>;
  /**
   * The same predictions: what is missing, of another type, out of range, new or constant against the baseline, and the
   * requests that were refused for what they were.
   */
  dataQuality(deploymentId: string, options: QualityOptions): Promise<QualityAnalysis>;
}

const dayMs = 86_400_000;
/** Longer whiles are read by the day. */
const longMs = 60 * dayMs;

/** {@link WindowDriftService} of a scope. */
export function createWindowDrift(
  scope: Pick<Scope, 'series' | 'workspace'>,
  parts: {
    flush(): Promise<void>;
    getBaseline(
      deploymentId: string,
      options: { readonly versionId?: string },
    ): Promise<StoredBaseline>;
    readonly metrics: EndpointMetrics['metrics'];
    thresholdsOf(
      baselineId: string,
      range: { readonly from: number; readonly to: number },
    ): Promise<Readonly<Record<string, number>>>;
  },
): WindowDriftService {
  async function analysed(
    deploymentId: string,
    { from, to, versionId }: Pick<DriftOptions, 'from' | 'to' | 'versionId'>,
  ): Promise<{
    readonly of: AnalysedWindow;
    readonly stored: StoredBaseline;
    readonly counts: WindowCounts | undefined;
  }> {
    assertText(deploymentId, 'A deployment id');
    await parts.flush();
    const which = versionId === undefined ? {} : { versionId };
    const stored = await parts.getBaseline(deploymentId, which);
    const counts = await readWindows(scope, stored, { from, to });
    const of = { deploymentId, versionId: stored.versionId, baselineId: stored.id, from, to };
    return { of, stored, counts };
  }

  async function bySegment(
    stored: StoredBaseline,
    range: { readonly from: number; readonly to: number },
    segment: string,
    how: BaselineDriftOptions,
  ): Promise<readonly SegmentWindowDrift[]> {
    const { by } = stored.baseline.segments ?? {};
    if (by !== segment) {
      const known = by === undefined ? 'no segments' : `segments by ${JSON.stringify(by)}`;
      throw new KeelsonError(
        'INVALID',
        `The baseline of ${stored.deployment} has ${known}, and none by ${JSON.stringify(segment)}; give it some with setBaseline({ segment }), or updateBaseline once predictions have them.`,
      );
    }
    const windows = new Map<string, WindowCounts>();
    for (const value of largest(await readSegments(scope, stored, range))) {
      const counts = await readWindows(scope, stored, range, value);
      if (counts !== undefined) windows.set(value, counts);
    }
    return segmentDrifts(stored.baseline, windows, how);
  }

  return {
    async drift(deploymentId, options) {
      assertRange(options, 'monitoring.drift');
      const { from, to, versionId: _, segment, ...how } = options;
      checkDriftOptions(how);
      const { of, stored, counts } = await analysed(deploymentId, options);
      const range = { from, to };
      const learntThresholds = await parts.thresholdsOf(stored.id, range);
      return {
        ...of,
        ...(counts === undefined
          ? {}
          : { drift: baselineDrift(stored.baseline, counts, { range, learntThresholds, ...how }) }),
        ...(segment === undefined
          ? {}
          : { segments: await bySegment(stored, range, segment, how) }),
      };
    },

    async dataQuality(deploymentId, options) {
      assertRange(options, 'monitoring.dataQuality');
      const { from, to, versionId: _, ...how } = options;
      checkQualityOptions(how);
      const { of, stored, counts } = await analysed(deploymentId, options);
      const analysis = { ...of, type: 'DATA_QUALITY' } as const;
      if (counts === undefined) return analysis;
      const names = ['invalid_requests'] as const;
      const windowMs = to - from > longMs ? dayMs : minuteMs;
      const [metric] = await parts.metrics(deploymentId, { names, windowMs, from, to });
      const points = metric?.points ?? [];
      const invalid = points.reduce((sum, { value = 0 }) => sum + value, 0);
      const answered = points.reduce((sum, { count }) => sum + count, 0) - invalid;
      return {
        ...analysis,
        quality: dataQuality(stored.baseline, counts, { answered, invalid }, how),
      };
    },
  };
}

function assertRange(range: { readonly from: number; readonly to: number }, call: string): void {
  const { from, to } = assertObject(range, call);
  for (const [name, at] of Object.entries({ from, to })) {
    if (typeof at === 'number' && Number.isFinite(at)) continue;
    throw new KeelsonError('INVALID', `${name} must be a time in epoch milliseconds.`);
  }
}
