import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import { KeelsonError } from '../../errors.ts';
import { type AlertKind, alertKinds } from '../../events/catalogue/alert-events.ts';
import { compileExpression } from '../../language/conditions.ts';
import type { AlertSeverity } from '../rule.ts';
import { type AlertSchedule, schedulesShape } from './alert-schedule.ts';
import { type ByLevel, severities } from './levels.ts';

/** A bound for one level (the rule's `severity`), or one for each of several. */
export type Bounds = number | ByLevel<number>;

/**
 * When people are told. A rule has one condition: `figure` with `above` or `below`; the same with `changeOverMs`, held
 * against how the figure has changed; `when`, in CEL over figures; or `absentMs`.
 */
export interface AlertRule {
  /** Unique among the rules of its deployment. One of a deployment takes the place of the general one of the name. */
  readonly name: string;
  /** The deployment's name, or `watch:<name>` for a watched function; every one of both when left out. */
  readonly deployment?: string;
  readonly description?: string;
  /** CUSTOM when left out. */
  readonly kind?: AlertKind;
  /** Of what `above`, `below` and `when` say where they name no levels; WARNING when left out. */
  readonly severity?: AlertSeverity;
  /** The name of a figure. One that has features or segments makes an alert for each of them. */
  readonly figure?: string;
  readonly above?: Bounds;
  readonly below?: Bounds;
  /** From where on it counts as over, for each level; the bound itself when left out. */
  readonly clear?: Bounds;
  /** Held against the bounds: how far the figure is from what it was so long ago, in ms. */
  readonly changeOverMs?: number;
  /** `relative`: as a share of what it was. `absolute` when left out. */
  readonly change?: 'absolute' | 'relative';
  /** CEL over names of figures, such as `error_rate > 0.05 && latency_p99 > 500`; one for each of several levels. */
  readonly when?: string | ByLevel<string>;
  /** For `when`: what must be true for it to be over; that it is not `when` any more when left out. */
  readonly clearWhen?: string;
  /** Nothing was predicted for so long, in ms, where there had been traffic before. */
  readonly absentMs?: number;
  /** Over what figures are taken, in ms; 60,000 when left out. */
  readonly windowMs?: number;
  /** How often it is evaluated, in ms; 15,000 when left out. */
  readonly everyMs?: number;
  /** How long it must be so before people are told, in ms; at once when left out. */
  readonly forMs?: number;
  /** In so many of the last evaluations it must be so, instead of in all of them over `forMs`. */
  readonly windows?: { readonly atLeast: number; readonly of: number };
  /** How long it must be over before people are told, in ms; 0 when left out. */
  readonly keepFiringForMs?: number;
  /** A figure of fewer entries is no data; 1 when left out. */
  readonly minimumCount?: number;
  /** When people are told of it; outside, it waits. Of single levels: `{ WARNING: businessHours }`. */
  readonly schedule?: AlertSchedule | ByLevel<AlertSchedule>;
  /** Names of routes; those whose matchers fit when left out. */
  readonly routes?: readonly string[];
  /** Such as `team`; alerts carry them. */
  readonly labels?: Readonly<Record<string, string>>;
  /** What to do, for whoever is told. */
  readonly actions?: readonly RecommendedAction[];
  /** Whether it came by itself: set-up keeps it in line, and takes it away. */
  readonly preset?: boolean;
  /** `false`: kept, and not evaluated. */
  readonly enabled?: boolean;
}

/** Something that whoever is told may do. */
export interface RecommendedAction {
  readonly title: string;
  /** To type. */
  readonly command?: string;
  /** To open. */
  readonly url?: string;
}

const name = z
  .string()
  .regex(
    /^[A-Za-z0-9._-]{1,100}$/,
    'must be 1 to 100 letters, digits, dots, dashes or underscores',
  );
const byLevel = <T>(value: z.ZodType<T>): z.ZodType<ByLevel<T>> =>
  z
    .strictObject({
      WARNING: value.optional(),
      CRITICAL: value.optional(),
      EMERGENCY: value.optional(),
    })
    .refine((all) => Object.keys(all).length > 0, 'need at least one level') as z.ZodType<
    ByLevel<T>
  >;
const bounds = z.union([z.number(), byLevel(z.number())]);
const ms = z
  .number()
  .int()
  .min(1000)
  .max(366 * 86_400_000);
const text = z.string().min(1).max(4096);

const shape = z.strictObject({
  name,
  deployment: z.string().min(1).max(1000).optional(),
  description: z.string().max(10_000).optional(),
  kind: z.enum(alertKinds).optional(),
  severity: z.enum(severities as readonly ['WARNING', 'CRITICAL', 'EMERGENCY']).optional(),
  figure: z.string().min(1).max(200).optional(),
  above: bounds.optional(),
  below: bounds.optional(),
  clear: bounds.optional(),
  changeOverMs: ms.optional(),
  change: z.enum(['absolute', 'relative']).optional(),
  when: z.union([text, byLevel(text)]).optional(),
  clearWhen: text.optional(),
  absentMs: ms.optional(),
  windowMs: ms.optional(),
  everyMs: ms.optional(),
  forMs: z
    .number()
    .int()
    .min(0)
    .max(30 * 86_400_000)
    .optional(),
  windows: z
    .strictObject({ atLeast: z.number().int().min(1), of: z.number().int().min(1).max(100) })
    .refine(({ atLeast, of }) => atLeast <= of, '`atLeast` must not be more than `of`')
    .optional(),
  keepFiringForMs: z
    .number()
    .int()
    .min(0)
    .max(30 * 86_400_000)
    .optional(),
  minimumCount: z.number().int().min(1).optional(),
  schedule: schedulesShape.optional(),
  routes: z.array(name).min(1).max(20).optional(),
  labels: z.record(z.string().max(100), z.string().max(500)).optional(),
  actions: z
    .array(
      z.strictObject({
        title: z.string().min(1).max(500),
        command: z.string().min(1).max(2000).optional(),
        url: z
          .url({ protocol: /^https?$/ })
          .max(2000)
          .optional(),
      }),
    )
    .max(10)
    .optional(),
  preset: z.boolean().optional(),
  enabled: z.boolean().optional(),
} satisfies Record<keyof AlertRule, z.ZodType>);

/** Labels that every alert has by itself. */
const ownLabels = ['deployment', 'rule', 'kind', 'severity', 'topic', 'version'];

/**
 * A rule that can be followed, as it was given. INVALID, naming what is wrong and what to write; SYNTAX for a condition
 * that is no CEL.
 */
export function checkAlertRule(given: AlertRule): AlertRule {
  const rule = checkOptions(shape, given, 'monitoring.alertRules.put');
  const conditions = [rule.figure, rule.when, rule.absentMs].filter((each) => each !== undefined);
  if (conditions.length !== 1) {
    throw invalid(
      rule,
      `has ${conditions.length} conditions; give it one of figure (with above or below), when, absentMs`,
    );
  }
  if (rule.figure === undefined) {
    refuse(rule, ['above', 'below', 'clear', 'changeOverMs', 'change'], 'goes with figure');
  } else checkBounds(rule);
  if (rule.when === undefined) refuse(rule, ['clearWhen'], 'goes with when');
  for (const source of conditionTexts(rule)) compileExpression(source);
  if (rule.windows !== undefined && rule.forMs !== undefined) {
    throw invalid(rule, 'has both forMs and windows; say one of them');
  }
  const taken = Object.keys(rule.labels ?? {}).find((label) => ownLabels.includes(label));
  if (taken !== undefined) {
    throw invalid(rule, `has a label ${taken}, which alerts have by themselves; name it otherwise`);
  }
  return rule;
}

function checkBounds(rule: AlertRule): void {
  const { above, below, clear, figure } = rule;
  if ((above === undefined) === (below === undefined)) {
    throw invalid(rule, `watches ${figure} and needs one of above and below`);
  }
  const fires = boundsOf(rule, above ?? below ?? 0);
  const levels = severities.filter((level) => fires[level] !== undefined);
  const sign = above === undefined ? -1 : 1;
  const values = levels.map((level) => sign * (fires[level] as number));
  if (values.some((value, i) => value < (values[i - 1] ?? Number.NEGATIVE_INFINITY))) {
    throw invalid(rule, 'has a graver level that is reached before the lesser one');
  }
  if (clear === undefined) return;
  const ends = boundsOf(rule, clear);
  const wrong = levels.find(
    (level) => sign * (ends[level] ?? fires[level] ?? 0) > sign * (fires[level] as number),
  );
  if (wrong !== undefined) {
    throw invalid(rule, `would be over for ${wrong} before it begins; clear is within the bound`);
  }
}

function refuse(rule: AlertRule, keys: readonly (keyof AlertRule)[], why: string): void {
  const slip = keys.find((key) => rule[key] !== undefined);
  if (slip !== undefined) throw invalid(rule, `has ${slip}, which ${why}`);
}

function invalid({ name }: AlertRule, problem: string): KeelsonError {
  return new KeelsonError('INVALID', `The alert rule ${JSON.stringify(name)} ${problem}.`);
}

/** The bounds by level: one number is that of the rule's severity. */
export function boundsOf(rule: Pick<AlertRule, 'severity'>, given: Bounds): ByLevel<number> {
  return typeof given === 'number' ? { [rule.severity ?? 'WARNING']: given } : given;
}

/** The conditions by level. */
export function conditionsOf(rule: Pick<AlertRule, 'severity' | 'when'>): ByLevel<string> {
  if (rule.when === undefined) return {};
  return typeof rule.when === 'string' ? { [rule.severity ?? 'WARNING']: rule.when } : rule.when;
}

function conditionTexts(rule: AlertRule): readonly string[] {
  return [
    ...Object.values(conditionsOf(rule)),
    ...(rule.clearWhen === undefined ? [] : [rule.clearWhen]),
  ];
}

/** The names of the figures that a rule reads. */
export function figuresOf(rule: AlertRule): readonly string[] {
  if (rule.absentMs !== undefined) return ['silent_ms'];
  if (rule.figure !== undefined) return [rule.figure];
  return [...new Set(conditionTexts(rule).flatMap((source) => compileExpression(source).names))];
}

/** How often a rule is evaluated, in ms. */
export function everyMsOf(rule: Pick<AlertRule, 'everyMs'>): number {
  return rule.everyMs ?? 15_000;
}
