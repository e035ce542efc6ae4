import type {
  AlertRule,
  DriftAnalysis,
  QualityAnalysis,
  Services,
  StoredAlertRule,
  StoredBaseline,
} from '@keelson/core';
import type { AnalyseDriftOptions, KeptAnalysis } from '@keelson/core/monitoring';
import { z } from 'zod';
import { refusal } from '../problem.ts';
import { badInput } from '../read-input.ts';
import type { Route } from '../route.ts';
import { answered, asked, looseObject, time } from '../schemas.ts';
import { timeOf, timeText } from '../time-text.ts';
import { lengthOf, type Watched, watchedDeployment, watchedIdOf } from './watched-names.ts';

/** A comparison of predictions with their baseline. */
export type FeatureAnalysis = DriftAnalysis & { readonly type: 'FEATURE' };

/** What an analysis of any type answers. */
export type AnyAnalysis = FeatureAnalysis | QualityAnalysis | KeptAnalysis;

type AnalysisName = 'FEATURE' | 'DATA_QUALITY' | 'CONCEPT' | 'MULTIVARIATE';

interface Window {
  /** How long until now. */
  readonly analysisWindow?: string;
  readonly startTime?: string;
  readonly endTime?: string;
}

interface DriftQuery extends Watched, Window {
  readonly versionId?: string;
  readonly segment?: string;
}

/** What to analyse. */
export interface Analyse extends Window {
  readonly types?: readonly AnalysisName[];
  readonly versionId?: string;
  readonly segment?: string;
  readonly alpha?: number;
  /** Feature → the smallest score that matters. */
  readonly effectThresholds?: Readonly<Record<string, number>>;
  /** Of MULTIVARIATE, the first time: the period whose requests are the reference, epoch ms. */
  readonly reference?: { readonly from: number; readonly to: number };
  readonly task?: AnalyseDriftOptions['task'];
}

type Bound = number | { readonly above?: Levels; readonly below?: Levels };
type Levels = NonNullable<AlertRule['above']>;

/** Figure → from where on people are told; null: not any more. */
export interface Thresholds {
  readonly thresholds: Readonly<Record<string, Bound | Levels | null>>;
  readonly reason?: string;
}

/** A threshold in force. */
export interface Threshold {
  readonly figure: string;
  /** The alert rule that has it. */
  readonly rule: string;
  readonly above?: Levels;
  readonly below?: Levels;
}

interface ThresholdList {
  readonly thresholds: readonly Threshold[];
}

const window = {
  analysisWindow: z.string().describe('The last while, such as 24h; 24h when left out').optional(),
  startTime: z.string().describe(timeText).optional(),
  endTime: z.string().describe(`${timeText}; now when left out`).optional(),
};
const levels = z.union([
  z.number(),
  z.strictObject({
    WARNING: z.number().optional(),
    CRITICAL: z.number().optional(),
    EMERGENCY: z.number().optional(),
  }),
]);
const minuteMs = 60_000;
const thresholdList = answered<ThresholdList>('Thresholds', {
  thresholds: z.array(
    z.looseObject({
      figure: z.string(),
      rule: z.string(),
      above: levels.optional(),
      below: levels.optional(),
    }) as unknown as z.ZodType<Threshold>,
  ),
});

/** Drift, thresholds and baselines under `/api/v1/monitoring`. */
export const driftRows: {
  readonly drift: Route<DriftQuery, FeatureAnalysis>;
  readonly analyze: Route<
    Watched & { readonly body?: Analyse },
    { readonly analyses: readonly AnyAnalysis[] }
  >;
  readonly analyses: Route<Watched, { readonly analyses: readonly KeptAnalysis[] }>;
  readonly thresholds: Route<Watched, ThresholdList>;
  readonly setThresholds: Route<Watched & { readonly body: Thresholds }, ThresholdList>;
  readonly baseline: Route<
    Watched & { readonly featureNames?: readonly string[]; readonly versionId?: string },
    StoredBaseline
  >;
} = {
  drift: {
    method: 'GET',
    path: '/monitoring/models/{name}/drift',
    aliases: ['/monitoring/{name}/drift'],
    summary: 'How the predictions of a while differ from the baseline, in whole minutes',
    permission: 'monitor.read',
    query: {
      ...window,
      versionId: z.string().describe('What most requests go to when left out').optional(),
      segment: z.string().describe('Each segment besides').optional(),
    },
    answers: {
      as: 'json',
      schema: answered<FeatureAnalysis>('DriftAnalysis', {
        type: z.literal('FEATURE'),
        deploymentId: z.string(),
        versionId: z.string(),
        baselineId: z.string(),
        from: time,
        to: time,
        drift: looseObject.optional(),
        segments: z.array(looseObject).optional(),
      }),
    },
    example: { name: 'live', analysisWindow: '24h' },
    async run({ services, input: { name, versionId, segment, ...while_ } }) {
      const options = {
        ...rangeOf(while_, 'query'),
        ...(versionId === undefined ? {} : { versionId }),
        ...(segment === undefined ? {} : { segment }),
      };
      return featureDrift(services, await watchedIdOf(services, name), options);
    },
  },
  analyze: {
    method: 'POST',
    path: '/monitoring/models/{name}/drift/analyze',
    aliases: ['/monitoring/{name}/drift/analyze'],
    summary: 'Analyses drift now: features, data quality, how wrong answers are, all together',
    description: 'CONCEPT and MULTIVARIATE are kept, and answered as they are when asked again.',
    permission: 'monitor.manage',
    body: asked<Analyse>({
      types: z
        .array(z.enum(['FEATURE', 'DATA_QUALITY', 'CONCEPT', 'MULTIVARIATE']))
        .min(1)
        .max(4)
        .describe('FEATURE and DATA_QUALITY when left out')
        .optional(),
      ...window,
      versionId: z.string().min(1).optional(),
      segment: z.string().min(1).optional(),
      alpha: z.number().gt(0).lt(1).optional(),
      effectThresholds: z.record(z.string(), z.number().min(0)).optional(),
      reference: z
        .strictObject({ from: time, to: time })
        .describe('Of MULTIVARIATE, the first time')
        .optional(),
      task: z.enum(['classification', 'regression']).optional(),
    }).optional() as never,
    answers: {
      as: 'json',
      schema: answered<{ readonly analyses: readonly AnyAnalysis[] }>('DriftAnalyses', {
        analyses: z.array(z.looseObject({ type: z.string(), deploymentId: z.string() })) as never,
      }),
    },
    example: {
      name: 'live',
      body: { types: ['FEATURE', 'CONCEPT'], analysisWindow: '24h', task: 'classification' },
    },
    async run({ services, input: { name, body = {} } }) {
      const id = await watchedIdOf(services, name);
      const { types = ['FEATURE', 'DATA_QUALITY'] } = body;
      const analyses: AnyAnalysis[] = [];
      // Those that are refused to more people come first.
      for (const type of [...new Set(types)].toSorted()) {
        analyses.push(await analysisOf(services, id, type, body));
      }
      return { analyses };
    },
  },
  analyses: {
    method: 'GET',
    path: '/monitoring/models/{name}/drift/analyses',
    summary: 'Analyses that were kept, newest first',
    permission: 'monitor.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly analyses: readonly KeptAnalysis[] }>('KeptAnalyses', {
        analyses: z.array(looseObject),
      }),
    },
    example: { name: 'live' },
    run: async ({ services, input }) => ({
      analyses: await services.monitoring.listDriftAnalyses(
        await watchedIdOf(services, input.name),
      ),
    }),
  },
  thresholds: {
    method: 'GET',
    path: '/monitoring/models/{name}/thresholds',
    aliases: ['/monitoring/{name}/thresholds'],
    summary: 'From where on people are told, by figure',
    permission: 'monitor.read',
    answers: { as: 'json', schema: thresholdList },
    example: { name: 'live' },
    run: async ({ services, input }) =>
      thresholdsOf(services, (await watchedDeployment(services, input.name)).name),
  },
  setThresholds: {
    method: 'PUT',
    path: '/monitoring/models/{name}/thresholds',
    aliases: ['/monitoring/{name}/thresholds'],
    summary: 'Sets from where on people are told; figures that are not named stay as they are',
    description:
      'A number, or one for each level, is the bound above which an alert comes; `{"below": …}` the one below which. A figure that a rule is in force for keeps that rule, with this bound; others get a rule of their own. null takes a rule of the deployment away.',
    permission: 'alert.manage',
    spellings: { metric_thresholds: 'thresholds', metricThresholds: 'thresholds' },
    body: asked<Thresholds>({
      thresholds: z
        .record(
          z.string(),
          z.union([
            levels,
            z.strictObject({ above: levels.optional(), below: levels.optional() }),
            z.null(),
          ]),
        )
        .describe('Such as {"error_rate": {"WARNING": 0.01, "CRITICAL": 0.05}}'),
      reason: z.string().min(1).max(2000).optional(),
    }),
    answers: { as: 'json', schema: thresholdList },
    example: {
      name: 'live',
      body: {
        thresholds: { error_rate: { WARNING: 0.02, CRITICAL: 0.08 } },
        reason: 'It is noisy',
      },
    },
    async run({ services, input: { name, body } }) {
      const { name: deployment } = await watchedDeployment(services, name);
      for (const [figure, bound] of Object.entries(body.thresholds)) {
        await setThreshold(services, { deployment, figure, bound, reason: body.reason });
      }
      return thresholdsOf(services, deployment);
    },
  },
  baseline: {
    method: 'GET',
    path: '/monitoring/models/{name}/baseline',
    aliases: ['/monitoring/{name}/baseline'],
    summary: 'What data was like: the distributions that predictions are compared with',
    permission: 'monitor.read',
    query: {
      featureNames: z.array(z.string()).describe('All when left out').optional(),
      versionId: z.string().describe('What most requests go to when left out').optional(),
    },
    answers: {
      as: 'json',
      schema: answered<StoredBaseline>('Baseline', {
        id: z.string(),
        deploymentId: z.string(),
        deployment: z.string(),
        versionId: z.string(),
        setAt: time,
        reason: z.string().optional(),
        source: looseObject.optional(),
        provisional: z.literal(true).optional(),
        baseline: looseObject,
      }),
    },
    example: { name: 'live', featureNames: ['wind'] },
    async run({ services, input: { name, featureNames, versionId } }) {
      const options = versionId === undefined ? {} : { versionId };
      const id = await watchedIdOf(services, name);
      const stored = await services.monitoring.getBaseline(id, options);
      if (featureNames === undefined) return stored;
      const features = stored.baseline.features.filter((each) =>
        featureNames.includes(each.feature),
      );
      const missing = featureNames.find((each) => !features.some((of) => of.feature === each));
      if (missing === undefined) return { ...stored, baseline: { ...stored.baseline, features } };
      const known = stored.baseline.features.map(({ feature }) => feature).join(', ');
      const message = `The baseline has no feature ${missing}; it has ${known}.`;
      throw refusal(404, 'NOT_FOUND', message);
    },
  },
};

/** Whole minutes: what is counted of predictions is counted by the minute. */
function rangeOf(
  { analysisWindow = '24h', startTime, endTime = '0s' }: Window,
  place: 'query' | 'body',
): { readonly from: number; readonly to: number } {
  const to = Math.ceil((timeOf('endTime', endTime) + 1) / minuteMs) * minuteMs;
  const from =
    startTime === undefined
      ? to - lengthOf(`${place}.analysisWindow`, analysisWindow)
      : timeOf('startTime', startTime);
  if (from < to) return { from: Math.floor(from / minuteMs) * minuteMs, to };
  throw badInput([{ path: `${place}.startTime`, message: 'is not before endTime' }]);
}

async function featureDrift(
  { monitoring }: Services,
  id: string,
  options: Parameters<Services['monitoring']['drift']>[1],
): Promise<FeatureAnalysis> {
  return { type: 'FEATURE', ...(await monitoring.drift(id, options)) };
}

async function analysisOf(
  services: Services,
  id: string,
  type: AnalysisName,
  body: Analyse,
): Promise<AnyAnalysis> {
  const { versionId, segment, alpha, effectThresholds, reference, task } = body;
  const range = rangeOf(body, 'body');
  const common = versionId === undefined ? {} : { versionId };
  const significance = alpha === undefined ? {} : { alpha };
  switch (type) {
    case 'FEATURE':
      return featureDrift(services, id, {
        ...{ ...range, ...common, ...significance },
        ...(segment === undefined ? {} : { segment }),
        ...(effectThresholds === undefined ? {} : { effectThresholds }),
      });
    case 'DATA_QUALITY':
      return services.monitoring.dataQuality(id, { ...range, ...common, ...significance });
    default:
      return services.monitoring.analyseDrift(id, {
        ...{ type, at: range.to, from: range.from, ...common },
        ...(task === undefined ? {} : { task }),
        ...(reference === undefined ? {} : { reference }),
      });
  }
}

async function thresholdsOf({ monitoring }: Services, deployment: string): Promise<ThresholdList> {
  const rules = await monitoring.alertRules.list({ deployment });
  const thresholds = rules.flatMap(({ name: rule, figure, above, below, enabled }): Threshold[] =>
    figure === undefined || enabled === false
      ? []
      : [
          {
            ...{ figure, rule },
            ...(above === undefined ? {} : { above }),
            ...(below === undefined ? {} : { below }),
          },
        ],
  );
  return { thresholds };
}

async function setThreshold(
  { monitoring: { alertRules } }: Services,
  given: {
    readonly deployment: string;
    readonly figure: string;
    readonly bound: Bound | Levels | null;
    readonly reason: string | undefined;
  },
): Promise<void> {
  const { deployment, figure, bound, reason } = given;
  const why = reason === undefined ? {} : { reason };
  const inForce = await alertRules.list({ deployment });
  const [rule, another] = inForce.filter((each) => each.figure === figure);
  if (another !== undefined) {
    const names = inForce.filter((each) => each.figure === figure).map((each) => each.name);
    throw refusal(
      409,
      'CONFLICT',
      `Several alert rules read ${figure} (${names.join(', ')}); change the one that is meant with PUT /api/v1/monitoring/rules/{rule}.`,
    );
  }
  if (bound === null) {
    if (rule !== undefined) await alertRules.remove(rule.name, { deployment, ...why });
    return;
  }
  const bounds = boundsOf(bound);
  if (rule === undefined) {
    const name = figure.replace(/[^A-Za-z0-9.-]/g, '-').slice(0, 100);
    await alertRules.put({ name, deployment, figure, ...bounds }, why);
    return;
  }
  await alertRules.put({ ...kept(rule), deployment, ...bounds }, why);
}

function boundsOf(bound: Bound | Levels): Pick<AlertRule, 'above' | 'below'> {
  return typeof bound === 'object' && ('above' in bound || 'below' in bound)
    ? bound
    : { above: bound as Levels };
}

/** A rule without its bounds and what is not its owner's to say. */
function kept(rule: StoredAlertRule): Omit<AlertRule, 'above' | 'below'> {
  const { id, revision, createdAt, updatedAt, preset, above, below, clear, ...rest } = rule;
  return rest;
}
