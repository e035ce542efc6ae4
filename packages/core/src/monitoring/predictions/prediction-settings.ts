import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { asJson, assertText, type JsonObject } from '../../json.ts';
import { assertAllowed, decideAndCommit } from '../../operations/decide-and-commit.ts';
import type { AnonymisingSettings, Treatment } from './anonymising.ts';
import { Sampler, type SamplingSettings } from './sampling.ts';

/** What is kept of a deployment's predictions. */
export interface PredictionSettings {
  readonly sampling?: SamplingSettings;
  /** Features that are kept of the rows outside the sample, which are then stored too; none when left out. */
  readonly keyFeatures?: readonly string[];
  readonly anonymising?: AnonymisingSettings;
  readonly retention?: RetentionSettings;
}

/** How long what is kept. */
export interface RetentionSettings {
  /** Rows, labels and counts by the minute; 30 when left out. */
  readonly hotDays?: number;
  /** Counts and samples by the day, from their day on; 365 when left out. */
  readonly warmDays?: number;
  /** Summaries in a file a month, from their day on; 1,826 (five years) when left out. What is left then is the record. */
  readonly coldDays?: number;
}

/** Settings as they are kept. */
export interface StoredPredictionSettings extends PredictionSettings {
  readonly deploymentId: string;
  /** 0 where none were ever set: everything is kept then. */
  readonly revision: number;
  /** Epoch ms; 0 where none were ever set. */
  readonly setAt: number;
}

/** Which samples there were: whoever looks for a request needs to know whether it may have been left out. */
interface PastRate {
  /** Until when the rate may have been in force, in epoch ms. */
  readonly until: number;
  readonly lowestRate: number;
}

const kind = 'prediction_settings';
const keptRates = 50;
/** How long a process may go on by the settings before. */
export const settingsLagMs: number = 10_000;

const rate = z.number().min(0).max(1);
const days = z.number().int().min(1).max(36_500);
const feature = z.string().min(1).max(400);
const treatment = z.union([
  z.enum(['hash', 'tokenise', 'drop']),
  z.strictObject({
    bucket: z
      .array(z.number())
      .min(1)
      .max(1000)
      .refine((edges) => edges.every((edge, i) => i === 0 || edge > (edges[i - 1] as number)), {
        message: 'must ascend',
      }),
  }),
]) satisfies z.ZodType<Treatment>;
const shape = z.strictObject({
  sampling: z
    .strictObject({
      rate: rate.optional(),
      strata: z
        .strictObject({
          by: z.union([
            z.enum(['segment', 'region', 'experimentArm', 'versionId']),
            z.strictObject({ feature }),
          ]),
          rates: z.record(z.string(), rate),
        })
        .optional(),
      budget: z.strictObject({ rowsPerSecond: z.number().positive() }).optional(),
      errors: z.boolean().optional(),
      criticalFlags: z.array(z.string()).max(1000).optional(),
    } satisfies Record<keyof SamplingSettings, z.ZodType>)
    .optional(),
  keyFeatures: z.array(feature).max(100).optional(),
  anonymising: z
    .strictObject({
      features: z.record(feature, treatment).optional(),
      userId: z.enum(['hash', 'drop']).optional(),
      sessionId: z.enum(['hash', 'drop']).optional(),
      key: z.enum(['keep', 'hash', 'drop']).optional(),
      userFeature: feature.optional(),
    } satisfies Record<keyof AnonymisingSettings, z.ZodType>)
    .optional(),
  retention: z
    .strictObject({
      hotDays: days.optional(),
      warmDays: days.optional(),
      coldDays: days.optional(),
    } satisfies Record<keyof RetentionSettings, z.ZodType>)
    .optional(),
} satisfies Record<keyof PredictionSettings, z.ZodType>);

/** Keeps the settings of deployments, one record each. */
export class PredictionSettingsKeeper {
  readonly #scope: Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'authorizer' | 'clock'>;

  constructor(scope: Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'authorizer' | 'clock'>) {
    this.#scope = scope;
  }

  /** Takes the place of what was set before. INVALID, by name, for what cannot be. */
  async set(deploymentId: string, given: PredictionSettings): Promise<StoredPredictionSettings> {
    assertText(deploymentId, 'A deployment id', 512);
    checkOptions(shape, given, 'monitoring.setPredictionSettings');
    assertPeriods(given.retention);
    await assertAllowed(this.#scope, 'monitor.manage', `deployment-id:${deploymentId}`);
    const settings = asJson(given) as JsonObject;
    const put = () =>
      decideAndCommit(this.#scope, async () => {
        const { metadata, workspace } = this.#scope;
        const now = this.#scope.clock.now();
        const before = await metadata.find(workspace, kind, deploymentId);
        const body = { settings, rates: ratesAfter(before?.body, now) } as unknown as JsonObject;
        const columns = { setAt: now };
        return before === undefined
          ? {
              changes: [{ op: 'create', kind, id: deploymentId, columns, body }],
              result: undefined,
            }
          : {
              changes: [
                {
                  ...{ op: 'replace', kind, id: deploymentId, columns, body },
                  expect: before.revision,
                },
              ],
              result: undefined,
            };
      });
    try {
      await put();
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
      await put();
    }
    return this.get(deploymentId);
  }

  /** Those in force. */
  async get(deploymentId: string): Promise<StoredPredictionSettings> {
    const { metadata, workspace } = this.#scope;
    const record = await metadata.find(workspace, kind, deploymentId);
    if (record === undefined) return { deploymentId, revision: 0, setAt: 0 };
    return {
      ...settingsOf(record.body),
      deploymentId,
      revision: record.revision,
      setAt: record.columns['setAt'] as number,
    };
  }

  /** Below which {@link sampleFraction} every request from a time on must be in the log. */
  async lowestRateSince(deploymentId: string, from: number): Promise<number> {
    const { metadata, workspace } = this.#scope;
    const record = await metadata.find(workspace, kind, deploymentId);
    if (record === undefined) return 1;
    const settings = settingsOf(record.body);
    const past = (record.body['rates'] as unknown as readonly PastRate[])
      .filter(({ until }) => until >= from)
      .map(({ lowestRate }) => lowestRate);
    return Math.min(lowestRateOf(settings), ...past);
  }
}

function settingsOf(body: JsonObject): PredictionSettings {
  return body['settings'] as unknown as PredictionSettings;
}

/** All rows are there where those outside the sample are stored with their key features. */
function lowestRateOf({ sampling, keyFeatures }: PredictionSettings): number {
  return keyFeatures === undefined ? new Sampler(sampling).lowestRate : 1;
}

function ratesAfter(before: JsonObject | undefined, now: number): readonly PastRate[] {
  if (before === undefined) return [];
  const past = before['rates'] as unknown as readonly PastRate[];
  const last = { until: now + 6 * settingsLagMs, lowestRate: lowestRateOf(settingsOf(before)) };
  const all = [...past, last];
  if (all.length <= keptRates) return all;
  // Of the two oldest the lower one stands for both.
  const [first, second, ...rest] = all as [PastRate, PastRate, ...PastRate[]];
  const lowestRate = Math.min(first.lowestRate, second.lowestRate);
  return [{ until: second.until, lowestRate }, ...rest];
}

function assertPeriods(given: RetentionSettings | undefined): void {
  const { hotDays, warmDays, coldDays } = retentionDays(given);
  if (hotDays <= warmDays && warmDays <= coldDays) return;
  throw new KeelsonError(
    'INVALID',
    `Retention of predictions must not become shorter: ${hotDays} days hot, ${warmDays} warm, ${coldDays} cold, each from the day on.`,
  );
}

/** With what was left out. */
export function retentionDays(given: RetentionSettings = {}): Required<RetentionSettings> {
  const { hotDays = 30 } = given;
  const warmDays = given.warmDays ?? Math.max(365, hotDays);
  return { hotDays, warmDays, coldDays: given.coldDays ?? Math.max(1826, warmDays) };
}
