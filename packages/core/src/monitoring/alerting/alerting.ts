import { z } from 'zod';
import { assertObject, checkOptions } from '../../check-options.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { PredictionSink } from '../../contracts/prediction-sink.ts';
import type { RevisionEntry } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Owners } from '../../events/subscription.ts';
import { assertText } from '../../json.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import { uuidV7 } from '../../uuid.ts';
import { type AnalysisParts, analysisFigures } from '../drift/drift-figures.ts';
import type { EndpointMetrics } from '../metrics/metrics.ts';
import { type Alert, alertFromRecord, labelsOf } from './alert.ts';
import { routesOf } from './alert-routing.ts';
import type { AlertRule } from './alert-rule.ts';
import {
  createRuleStore,
  type RuleOf,
  type RuleStore,
  type StoredAlertRule,
} from './alert-rules.ts';
import {
  type AlertRoute,
  type Inhibition,
  inhibitionSettings,
  routeSettings,
  type Settings,
} from './alert-settings.ts';
import { createAlertingLoop } from './alerting-loop.ts';
import { type AcknowledgeOptions, createAnswering } from './answering.ts';
import { type AlertOutlook, createDispatcher, type Dispatcher } from './dispatcher.ts';
import { createEvaluator } from './evaluator.ts';
import { type FigureMeaning, joinFigures } from './figure-source.ts';
import { type Matchers, matchersShape, matches } from './matchers.ts';
import { createPresetKeeper, type PresetKeeper } from './preset-keeper.ts';
import { createRuleSights, type RuleSight } from './rule-sights.ts';
import { createHeartbeat, createSelfWatch, type Heartbeat } from './self-watch.ts';
import { createSilences, type Silence, type SilenceOptions } from './silences.ts';
import {
  accuracyFigures,
  driftFigures,
  type ReadDrift,
  requestFigures,
  silenceFigures,
} from './stored-figures.ts';
import { type RuleTest, type TestRuleOptions, testRule } from './test-rule.ts';

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
  /**
   * What a rule says of a deployment now, and to whom its alerts would go; raises nothing. With `fire` a message marked as
   * a test is sent there, and its end.
   */
  test(rule: AlertRule | string, options: TestRuleOptions): Promise<RuleTest>;
  /** The figures that rules can read, by name. */
  figures(): Promise<Readonly<Record<string, FigureMeaning>>>;
}

/** What alerting adds to monitoring. */
export interface AlertingService {
  readonly alertRules: AlertRules;
  /** Where alerts go. One of the name `default` takes what no other fits. */
  readonly alertRoutes: Settings<AlertRoute>;
  /** Which alerts keep others from being told. */
  readonly inhibitions: Settings<Inhibition>;
  readonly silences: Silences;
  /**
   * Nobody is told of the alerts that match until the end of it; they go on firing, and their end is told to those who
   * were told of their beginning. INVALID without a label to match, a reason and an end.
   */
  silence(options: SilenceOptions): Promise<Silence>;
  /**
   * Somebody looks at it: messages that wait are not sent, reminders and escalation rest until the alert grows, or for
   * `forMs`. CONFLICT where it is over, or nobody was told of it yet.
   */
  acknowledge(alertId: string, options?: AcknowledgeOptions): Promise<Alert>;
  unacknowledge(alertId: string): Promise<Alert>;
  /** It is over, as somebody says. Where its rule says otherwise, another alert begins. */
  resolveAlert(alertId: string, options: { readonly comment: string }): Promise<Alert>;
  /** For each route of an open alert: when the next message goes out, and why none does now. */
  explainAlert(alertId: string): Promise<readonly AlertOutlook[]>;
  /** Evaluates alert rules; `platform.start()` runs it. */
  readonly alertingLoops: readonly Loop[];
}

/** Times in which people are not told of some alerts. */
export interface Silences {
  /** Those that have not ended; with `ended: true` all. */
  list(options?: { readonly ended?: boolean }): Promise<readonly Silence[]>;
  /** NOT_FOUND by id. */
  get(id: string): Promise<Silence>;
  /** Ends one now; nothing happens where it has ended. */
  end(id: string): Promise<Silence>;
  /** The alerts that fire and would be covered. INVALID without a label to match. */
  preview(match: Matchers): Promise<readonly Alert[]>;
}

/** How alerting is done. */
export interface AlertingOptions {
  /** How a process tells whose turns may be taken; nobody's when left out. */
  readonly owners?: Owners;
  /** Where an alert can be looked at, with `{alertId}` and `{deployment}` in it: a link in messages. */
  readonly url?: string;
  /** None when left out. */
  readonly heartbeat?: Heartbeat;
}

/** The parts of monitoring whose figures rules read. */
export interface FigureParts extends AnalysisParts {
  readonly predictions: PredictionSink;
  readonly drift: ReadDrift;
  readonly recentMetrics: EndpointMetrics['recentMetrics'];
  readonly metrics: EndpointMetrics['metrics'];
}

/** What others build on. */
export interface AlertingWork {
  readonly presets: PresetKeeper;
  readonly isStillWanted: Dispatcher['isStillWanted'];
}

/** Alerting, bound to a scope. */
export function createAlerting(
  scope: Scope,
  parts: () => FigureParts,
  options: AlertingOptions & { readonly maxDelayMs: number },
): AlertingService & AlertingWork {
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
  const { owners = nobody, url, heartbeat } = options;
  const [routes, inhibitions] = [routeSettings(scope), inhibitionSettings(scope)];
  const silences = createSilences(scope);
  const answering = createAnswering(scope);
  const dispatcher = createDispatcher(scope, {
    ...{ routes, inhibitions, silences },
    ...(url === undefined ? {} : { url }),
  });

  async function preview(match: Matchers): Promise<readonly Alert[]> {
    checkOptions(
      z.strictObject({ match: matchersShape }),
      { match },
      'monitoring.silences.preview',
    );
    const found: Alert[] = [];
    for await (const record of everyRecord(scope, 'alert', {
      where: columnIs('state', 'FIRING'),
    })) {
      const alert = alertFromRecord(record);
      if (matches(match, labelsOf(alert))) found.push(alert);
    }
    return found;
  }

  return {
    presets: createPresetKeeper(store),
    isStillWanted: dispatcher.isStillWanted,
    alertRules: {
      put: async (rule, how = {}) =>
        store.put(rule, assertObject(how, 'monitoring.alertRules.put').reason),
      get: store.get,
      list: store.list,
      remove: store.remove,
      history: store.history,
      status: sights.list,
      async test(given, how) {
        const { deployment } = assertObject(how, 'monitoring.alertRules.test');
        const rule =
          typeof given === 'string' ? await ruleInForce(store, given, deployment) : given;
        return testRule(scope, { figures, routes, routesOf }, rule, how);
      },
      figures: async () => figures.figures,
    },
    alertRoutes: routes,
    inhibitions,
    silences: {
      list: silences.list,
      get: silences.get,
      end: (id) => silences.end(id, 'WITHDRAWN'),
      preview,
    },
    silence: silences.create,
    acknowledge: answering.acknowledge,
    unacknowledge: answering.unacknowledge,
    resolveAlert: answering.resolve,
    async explainAlert(alertId) {
      assertText(alertId, 'The id of an alert', 200);
      return dispatcher.explain(alertId, scope.clock.now());
    },
    alertingLoops: [
      createAlertingLoop(scope, {
        ...{ rules: store, evaluator, owners },
        hasWork: async () => heartbeat !== undefined || (await dispatcher.hasWork()),
        after: [
          async (now) => {
            await answering.expire(now);
            return undefined;
          },
          dispatcher.dispatch,
          createSelfWatch(scope, { sights, predictions: () => parts().predictions }),
          ...(heartbeat === undefined ? [] : [createHeartbeat(scope, heartbeat)]),
        ],
      }),
    ],
  };
}

/** The rule of that name as it is evaluated for a deployment, without what its record adds. */
async function ruleInForce(store: RuleStore, name: string, deployment: string): Promise<AlertRule> {
  const found = (await store.list({ deployment })).find((rule) => rule.name === name);
  const {
    id: _,
    revision: __,
    createdAt: ___,
    updatedAt: ____,
    ...rule
  } = found ?? (await store.get(name));
  return rule;
}

const nobody: Owners = { self: uuidV7(), dead: () => [] };
