import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import { KeelsonError } from '../../errors.ts';
import { checkPresetSettings } from '../alerting/rule-presets.ts';

/** What is set up of a deployment by itself, where it is to be another than usual. */
export interface SetUpOptions {
  /**
   * Where baselines come from: `auto` (the default) is the version's training data, else that of the version before where
   * it has the same features, else the first window; `false`: none.
   */
  readonly baseline?: 'auto' | 'first-window' | false;
  /** How many predictions, over how long, make the first window: 1,000 and an hour when left out. */
  readonly firstWindow?: { readonly predictions?: number; readonly ms?: number };
  /** Settings of the preset rules by name (see `presetRules`), or `false` for none of them. */
  readonly rules?: Readonly<Record<string, unknown>> | false;
  /** Names of the routes that alerts go to; those whose matchers fit the owning team when left out. */
  readonly routes?: readonly string[];
  /** The team that owns it; its tag `team` or `owner`, else who made it, when left out. */
  readonly team?: string;
  /** The feature whose values are counted apart; the row's `segment` when left out. */
  readonly segmentBy?: string;
}

/** Why a version is compared with what it is compared with. Plain JSON. */
export type VersionSetUp = {
  /** `waiting`: for predictions that make its first window. */
  readonly baseline: 'training' | 'version' | 'first-window' | 'given' | 'waiting' | 'none';
  readonly since: number;
  /** Why its training data could not be used. */
  readonly problem?: string;
};

/** What is set up of a deployment. Plain JSON. */
export type MonitoringSetUp = {
  readonly deployment: string;
  readonly deploymentId?: string;
  /** WISHED before the deployment answers; ENDED when it was removed. */
  readonly state: 'WISHED' | 'ACTIVE' | 'FORBIDDEN' | 'ENDED';
  readonly options: SetUpOptions;
  /** Version id → what became of it. */
  readonly versions: Readonly<Record<string, VersionSetUp>>;
  /** The team that alerts go to. */
  readonly team?: string;
  /** The preset rules that are in force. */
  readonly rules: readonly string[];
};

const shape = z.strictObject({
  baseline: z.union([z.enum(['auto', 'first-window']), z.literal(false)]).optional(),
  firstWindow: z
    .strictObject({
      predictions: z.number().int().min(500).max(100_000_000).optional(),
      ms: z
        .number()
        .int()
        .min(0)
        .max(90 * 86_400_000)
        .optional(),
    })
    .optional(),
  rules: z.union([z.record(z.string(), z.unknown()), z.literal(false)]).optional(),
  routes: z.array(z.string().min(1).max(200)).max(50).optional(),
  team: z.string().min(1).max(200).optional(),
  segmentBy: z.string().min(1).max(200).optional(),
} satisfies Record<keyof SetUpOptions, z.ZodType>);

/** INVALID, naming the option. */
export function checkSetUp(options: SetUpOptions | boolean): void {
  if (typeof options === 'boolean') return;
  if (typeof options !== 'object' || options === null) {
    throw new KeelsonError(
      'INVALID',
      'monitoring.setUp takes the name of a deployment and options, true or false.',
    );
  }
  checkOptions(shape, options, 'monitoring.setUp');
  if (options.rules !== undefined && options.rules !== false) checkPresetSettings(options.rules);
}

/** What is set up, out of its record. */
export function setUpFromRecord({ columns, body }: StoredRecord): MonitoringSetUp {
  const kept = body as unknown as Partial<MonitoringSetUp>;
  const deploymentId = columns['deploymentId'] as string | undefined;
  return {
    deployment: columns['deploymentName'] as string,
    ...(deploymentId === undefined ? {} : { deploymentId }),
    state: columns['state'] as MonitoringSetUp['state'],
    options: kept.options ?? {},
    versions: kept.versions ?? {},
    ...(kept.team === undefined ? {} : { team: kept.team }),
    rules: kept.rules ?? [],
  };
}
