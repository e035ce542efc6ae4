import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, assertText, type JsonObject } from '../../json.ts';
import { assertAllowed, decideAndCommit } from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import { adaptiveThreshold, severityBands } from '../../statistics/index.ts';
import { baselineDrift } from '../windows/baseline-drift.ts';
import { readHours } from '../windows/counted-windows.ts';
import { type Season, seasons, slotOf, slotsOf } from './season.ts';
import type { StoredBaseline } from './stored-baseline.ts';

interface Range {
  readonly from: number;
  readonly to: number;
}

/** How thresholds are learnt. */
export interface LearnThresholdsOptions extends Range {
  /** Apart for times that come again; `hour-of-week` when left out, `none` for all times alike. */
  readonly by?: Season | 'none';
  /** Robust standard deviations above the median of a slot's scores; 4 when left out. */
  readonly deviations?: number;
  /** Scores of a slot below which there is no threshold for it; 4 when left out. */
  readonly minimumCycles?: number;
  /** No threshold is below this PSI; that of severity LOW when left out. */
  readonly floor?: number;
  /** Whiles that are left out, beside those of incidents of the deployment. */
  readonly exclude?: readonly Range[];
  readonly versionId?: string;
  readonly reason?: string;
}

/** What is learnt of a baseline's scores. Plain JSON. */
export type LearntThresholds = {
  readonly baselineId: string;
  readonly deploymentId: string;
  readonly from: number;
  readonly to: number;
  readonly by: Season | 'none';
  /** Feature → slot → the smallest PSI that matters; slots with too few scores are missing. */
  readonly features: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Hours that were scored, and those that were left out because of incidents. */
  readonly hours: number;
  readonly excluded: number;
};

/** Thresholds out of history. */
export interface ThresholdService {
  /**
   * Learns, from the scores of each hour with 500 predictions at least, from which PSI on a feature's drift matters: the
   * median of its slot and so many robust deviations (median + k · 1.4826 · MAD). `monitoring.drift` goes by it from then
   * on, for the baseline in force; what it says by itself still has the last word. NOT_FOUND where there is no baseline.
   */
  learnThresholds(deploymentId: string, options: LearnThresholdsOptions): Promise<LearntThresholds>;
}

const rangeShape = z.strictObject({ from: z.number(), to: z.number() });
const shape = z.strictObject({
  from: z.number(),
  to: z.number(),
  by: z.enum([...seasons, 'none']).optional(),
  deviations: z.number().gt(0).max(100).optional(),
  minimumCycles: z.number().int().min(2).max(1000).optional(),
  floor: z.number().min(0).optional(),
  exclude: z.array(rangeShape).max(1000).optional(),
  versionId: z.string().min(1).optional(),
  reason: z.string().max(10_000).optional(),
} satisfies Record<keyof LearnThresholdsOptions, z.ZodType>);

const hourMs = 3_600_000;
/** Longer histories are not read at once. */
const maxHours = 20_000;
const [lowPsi] = severityBands.psi;

/** {@link ThresholdService} of a scope, and what drift goes by. */
export function createThresholds(
  scope: Scope,
  parts: {
    flush(): Promise<void>;
    getBaseline(
      deploymentId: string,
      options: { readonly versionId?: string },
    ): Promise<StoredBaseline>;
  },
): ThresholdService & {
  /** Feature → the smallest PSI that matters in a while; features of which nothing is known are missing. */
  thresholdsOf(baselineId: string, range: Range): Promise<Readonly<Record<string, number>>>;
} {
  const { metadata, workspace } = scope;

  async function learnThresholds(
    deploymentId: string,
    options: LearnThresholdsOptions,
  ): Promise<LearntThresholds> {
    assertText(deploymentId, 'A deployment id');
    checkOptions(shape, options, 'monitoring.learnThresholds');
    const { from, to, by = 'hour-of-week', exclude = [], versionId, reason } = options;
    if (!((to - from) / hourMs <= maxHours)) {
      throw new KeelsonError('INVALID', `Thresholds are learnt from ${maxHours} hours at most.`);
    }
    await parts.flush();
    const stored = await parts.getBaseline(
      deploymentId,
      versionId === undefined ? {} : { versionId },
    );
    await assertAllowed(scope, 'monitor.manage', `deployment:${stored.deployment}`);
    const left = [...exclude, ...(await incidentsOf(stored.deployment))];
    const scores = new Map<string, Map<string, number[]>>();
    let [hours, excluded] = [0, 0];
    for (const [at, counts] of await readHours(scope, stored, { from, to })) {
      const hour = { from: at, to: at + hourMs };
      if (left.some((each) => each.from < hour.to && each.to > hour.from)) {
        excluded += 1;
        continue;
      }
      const { features } = baselineDrift(stored.baseline, counts, { method: 'psi', range: hour });
      const measured = features.features.filter(({ result }) => result.score !== null);
      if (measured.length > 0) hours += 1;
      for (const { feature, result } of measured) {
        const slot = by === 'none' ? 'all' : slotOf(by, at);
        const slots = scores.get(feature) ?? new Map<string, number[]>();
        scores.set(feature, slots);
        slots.set(slot, [...(slots.get(slot) ?? []), result.score as number]);
      }
    }
    const learnt: LearntThresholds = {
      ...{ baselineId: stored.id, deploymentId, from, to, by, hours, excluded },
      features: Object.fromEntries(
        [...scores].map(([feature, slots]) => [feature, thresholdsIn(slots, options)]),
      ),
    };
    await keep(learnt, reason);
    return learnt;
  }

  async function keep(learnt: LearntThresholds, reason: string | undefined): Promise<void> {
    await decideAndCommit(scope, async () => {
      const { baselineId: id, deploymentId } = learnt;
      const before = await metadata.find(workspace, 'learnt_thresholds', id);
      const columns = { learntAt: scope.clock.now() };
      const body = asJson(learnt) as JsonObject;
      const of = { kind: 'learnt_thresholds', id, body } as const;
      return {
        changes: [
          before === undefined
            ? { op: 'create', ...of, columns: { ...columns, deploymentId } }
            : { op: 'replace', ...of, expect: before.revision, columns },
        ],
        result: undefined,
        ...(reason === undefined ? {} : { reason }),
      };
    });
  }

  /** What goes wrong must not become what is usual. */
  async function incidentsOf(deployment: string): Promise<readonly Range[]> {
    const found: Range[] = [];
    const where = columnIs('concerns', `deployment:${deployment}`);
    for await (const { columns } of everyRecord(scope, 'incident', { where })) {
      const resolvedAt = columns['resolvedAt'] as number | undefined;
      const to = resolvedAt ?? Number.POSITIVE_INFINITY;
      found.push({ from: columns['openedAt'] as number, to });
    }
    return found;
  }

  return {
    learnThresholds,

    async thresholdsOf(baselineId, range) {
      const record = await metadata.find(workspace, 'learnt_thresholds', baselineId);
      if (record === undefined) return {};
      const { by, features } = record.body as unknown as LearntThresholds;
      const slots = by === 'none' ? ['all'] : [...slotsOf(by, range)];
      const known = Object.entries(features).flatMap(([feature, learnt]) => {
        // Of a slot of which nothing is known the usual threshold holds.
        const all = slots.map((slot) => (Object.hasOwn(learnt, slot) ? learnt[slot] : lowPsi));
        return [[feature, Math.max(...(all as number[]))] as const];
      });
      return Object.fromEntries(known);
    },
  };
}

function thresholdsIn(
  slots: ReadonlyMap<string, readonly number[]>,
  { deviations = 4, minimumCycles = 4, floor = lowPsi }: LearnThresholdsOptions,
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    [...slots].flatMap(([slot, scores]) => {
      const threshold = adaptiveThreshold(scores, { deviations, minimum: minimumCycles, floor });
      return threshold === null ? [] : [[slot, threshold] as const];
    }),
  );
}
