import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { AlertSeverity } from '../rule.ts';
import type { AlertRule } from './alert-rule.ts';
import type { ByLevel } from './levels.ts';

/** The rules that come by themselves. */
export type PresetName =
  | 'latency-p50'
  | 'latency-p95'
  | 'latency-p99'
  | 'inference-time'
  | 'queue-time'
  | 'invalid-requests'
  | 'feature-drift'
  | 'prediction-drift'
  | 'concept-drift'
  | 'accuracy'
  | 'error-rate'
  | 'no-data';

/** What is set of a preset: its numbers by level, more of it, or `false` to leave it out. */
export type PresetSetting = false | ByLevel<number> | { readonly rule: Partial<AlertRule> };

/** For which deployment, and what is not as it comes. */
export interface PresetOptions {
  /** The deployment's name. */
  readonly deployment: string;
  readonly rules?: Readonly<Partial<Record<PresetName, PresetSetting>>>;
  /** Names of the routes that they all go to; those whose matchers fit when left out. */
  readonly routes?: readonly string[];
  /** Such as `{ team: 'payments' }`. */
  readonly labels?: Readonly<Record<string, string>>;
}

interface Preset extends Omit<AlertRule, 'name' | 'deployment' | 'above'> {
  readonly levels: ByLevel<number>;
  /** What counts as over, as a share of the bound. */
  readonly clears?: number;
}

const minute = 60_000;
const hour = 60 * minute;

/** Requests: looked at every 15 s over the last minute, told after two looks in a row. */
const fast = { windowMs: minute, everyMs: 15_000, forMs: 15_000, keepFiringForMs: minute } as const;
/** Data: looked at every 5 min over the last hour. */
const slow = { windowMs: hour, everyMs: 5 * minute, keepFiringForMs: 15 * minute } as const;

function latency(figure: string, warning: number, critical: number): Preset {
  const levels = { WARNING: warning, CRITICAL: critical };
  return { ...fast, kind: 'LATENCY', figure, levels, clears: 0.9, minimumCount: 20 };
}

const presets: Readonly<Record<PresetName, Preset>> = {
  'latency-p50': latency('latency_p50', 100, 200),
  'latency-p95': latency('latency_p95', 300, 500),
  'latency-p99': latency('latency_p99', 1000, 2000),
  'inference-time': latency('inference_p50', 50, 100),
  'queue-time': latency('queue_p50', 10, 50),
  'invalid-requests': {
    ...{ ...fast, kind: 'DATA_QUALITY', figure: 'invalid_request_rate', minimumCount: 20 },
    ...{ levels: { WARNING: 0.01 }, clears: 0.8 },
  },
  'error-rate': {
    ...{ ...fast, kind: 'ERRORS', figure: 'error_rate', minimumCount: 20 },
    ...{ levels: { WARNING: 0.01, CRITICAL: 0.05 }, clears: 0.8 },
  },
  'feature-drift': {
    ...{ ...slow, kind: 'FEATURE_DRIFT', figure: 'feature_psi' },
    ...{ levels: { WARNING: 0.2, CRITICAL: 0.4 }, clears: 0.75 },
  },
  'prediction-drift': {
    ...{ ...slow, kind: 'PREDICTION_DRIFT', figure: 'prediction_kl' },
    ...{ levels: { WARNING: 0.3 }, clears: 0.75 },
  },
  // In deviations of losses, told only where detectors agree: from MEDIUM, and from HIGH on.
  'concept-drift': {
    ...{ ...slow, everyMs: 15 * minute, kind: 'CONCEPT_DRIFT', figure: 'concept_drift' },
    ...{ levels: { WARNING: 0.25, CRITICAL: 0.5 }, clears: 0.8 },
  },
  accuracy: {
    ...{ ...slow, windowMs: 24 * hour, kind: 'PERFORMANCE', figure: 'accuracy_drop' },
    ...{ levels: { WARNING: 0.05 }, clears: 0.8, minimumCount: 100 },
  },
  'no-data': {
    ...{ kind: 'NO_DATA', everyMs: 15_000, windowMs: minute },
    levels: { WARNING: 15 * minute },
  },
};

const bound = z.number();
const settingShape = z.union(
  [
    z.literal(false),
    z.strictObject({ rule: z.record(z.string(), z.unknown()) }),
    z.strictObject({
      WARNING: bound.optional(),
      CRITICAL: bound.optional(),
      EMERGENCY: bound.optional(),
    }),
  ],
  'must be false, bounds such as { CRITICAL: 0.08 }, or { rule: { … } } with more of the rule',
);
const settingsShape = z.partialRecord(
  z.enum(Object.keys(presets) as [PresetName, ...PresetName[]]),
  settingShape,
);

/** Settings of presets as somebody gave them. INVALID, naming what is wrong and which presets there are. */
export function checkPresetSettings(
  given: Readonly<Record<string, unknown>>,
): NonNullable<PresetOptions['rules']> {
  checkOptions(z.strictObject({ rules: settingsShape }), { rules: given as never }, 'Set-up');
  return given as NonNullable<PresetOptions['rules']>;
}

/**
 * The rules that every deployment has unless it is told otherwise: latency, errors, drift, accuracy, silence. Pure: the same
 * options give the same rules, which `monitoring.alertRules.put` takes.
 */
export function presetRules(options: PresetOptions): readonly AlertRule[] {
  const { deployment, rules = {}, routes, labels } = options;
  return (Object.keys(presets) as PresetName[]).flatMap((name) => {
    const setting = rules[name];
    if (setting === false) return [];
    const { levels: usual, clears, ...preset } = presets[name];
    const more = setting !== undefined && 'rule' in setting ? setting.rule : {};
    const set = setting === undefined || 'rule' in setting ? {} : setting;
    const levels: ByLevel<number> = { ...usual, ...set };
    return [
      {
        ...preset,
        ...(name === 'no-data' ? silence(levels) : bounds(levels, clears)),
        ...(routes === undefined ? {} : { routes }),
        ...(labels === undefined ? {} : { labels }),
        ...more,
        ...{ name, deployment, preset: true },
      },
    ];
  });
}

function bounds(levels: ByLevel<number>, clears = 1): Pick<AlertRule, 'above' | 'clear'> {
  const ends = Object.entries(levels).map(([level, bound]) => [level, bound * clears]);
  return { above: levels, clear: Object.fromEntries(ends) };
}

/** Silence has one length; the gravest level that is named says how bad it is. */
function silence(levels: ByLevel<number>): Pick<AlertRule, 'absentMs' | 'severity'> {
  const [severity, absentMs] = Object.entries(levels).at(-1) as [AlertSeverity, number];
  return { absentMs, severity };
}
