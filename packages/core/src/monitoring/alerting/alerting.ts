import type { Loop } from '../../contracts/loop.ts';
import type { RevisionEntry } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Owners } from '../../events/subscription.ts';
import { uuidV7 } from '../../uuid.ts';
import { type AnalysisParts, analysisFigures } from '../drift/drift-figures.ts';
import type { EndpointMetrics } from '../metrics/metrics.ts';
import type { AlertRule } from './alert-rule.ts';
import { createRuleStore, type RuleOf, type StoredAlertRule } from './alert-rules.ts';
import { createAlertingLoop } from './alerting-loop.ts';
import { createEvaluator } from './evaluator.ts';
import { type FigureMeaning, joinFigures } from './figure-source.ts';
import { createPresetKeeper, type PresetKeeper } from './preset-keeper.ts';
import { createRuleSights, type RuleSight } from './rule-sights.ts';
import {
  accuracyFigures,
  driftFigures,
  type ReadDrift,
  requestFigures,
  silenceFigures,
} from './stored-figures.ts';

/** The rules by which alerts come. */
export interface AlertRules {
  /**
   * Keeps a rule, in place of the one of its name and deployment; the same once more changes nothing. INVALID, naming what
   * is wrong and which figures there are; SYNTAX for a condition that is no CEL.
   */
  put(rule: AlertRule, options?: { readonly reason?: string }): Promise<StoredAlertRule>;
  /** NOT_FOUND where there is none of the name: of the deployment, or general where none is given. */
  get(name: string, of?: RuleOf): Promise<StoredAlertRule>;
  /** All; with a deployment those in force for it. */
  list(of?: RuleOf): Promise<readonly StoredAlertRule[]>;
  /** Open alerts of it are resolved. Nothing happens where there is none. */
  remove(name: string, of?: RuleOf & { readonly reason?: string }): Promise<void>;
  /** Each revision with who, when and why; oldest first. */
  history(name: string, of?: RuleOf): Promise<readonly RevisionEntry[]>;
  /** Those rules that can, or could lately, not be evaluated, of one deployment or of all. */
  status(deploymentId?: string): Promise<readonly RuleSight[]>;
  /** The figures that rules can read, by name. */
  figures(): Promise<Readonly<Record<string, FigureMeaning>>>;
}

/** What alerting adds to monitoring. */
export interface AlertingService {
  readonly alertRules: AlertRules;
  /** Evaluates alert rules; `platform.start()` runs it. */
  readonly alertingLoops: readonly Loop[];
}

/** How alerting is done. */
export interface AlertingOptions {
  /** How a process tells whose turns may be taken; nobody's when left out. */
  readonly owners?: Owners;
}

/** The parts of monitoring whose figures rules read. */
export interface FigureParts extends AnalysisParts {
  readonly drift: ReadDrift;
  readonly recentMetrics: EndpointMetrics['recentMetrics'];
  readonly metrics: EndpointMetrics['metrics'];
}

/** Alerting, bound to a scope. */
export function createAlerting(
  scope: Scope,
  parts: () => FigureParts,
  options: AlertingOptions & { readonly maxDelayMs: number },
): AlertingService & { readonly presets: PresetKeeper } {
  const figures = joinFigures([
    requestFigures(parts),
    silenceFigures(scope),
    driftFigures((...asked) => parts().drift(...asked)),
    accuracyFigures(scope, options.maxDelayMs),
    analysisFigures(parts),
  ]);
  const store = createRuleStore(scope, () => Object.keys(figures.figures));
  const sights = createRuleSights(scope);
  const evaluator = createEvaluator(scope, figures, sights);
  const { owners = nobody } = options;
  return {
    presets: createPresetKeeper(store),
    alertRules: {
      put: (rule, options = {}) => store.put(rule, options.reason),
      get: store.get,
      list: store.list,
      remove: store.remove,
      history: store.history,
      status: sights.list,
      figures: async () => figures.figures,
    },
    alertingLoops: [createAlertingLoop(scope, { rules: store, evaluator, owners })],
  };
}

const nobody: Owners = { self: uuidV7(), dead: () => [] };
