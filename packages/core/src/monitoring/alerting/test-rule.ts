import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { withCorrelation } from '../../events/correlation.ts';
import type { JsonObject } from '../../json.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { columnIs } from '../../operations/every-record.ts';
import { watchedName } from '../watching/watched-id.ts';
import { type Alert, topicOf } from './alert.ts';
import { alertMessage } from './alert-message.ts';
import { type AlertRule, checkAlertRule } from './alert-rule.ts';
import type { AlertRoute, Settings } from './alert-settings.ts';
import { alertEvent } from './alert-steps.ts';
import type { FigureSource } from './figure-source.ts';
import type { Verdict } from './judge-rule.ts';
import { readRules } from './read-rules.ts';

/** How a rule is tried. */
export interface TestRuleOptions {
  /** The deployment's name. */
  readonly deployment: string;
  /** As of this time; now when left out. */
  readonly at?: number;
  /** Sends a message marked as a test, and its end, to whom the rule's alerts would go. */
  readonly fire?: boolean;
}

/** What a rule would say. */
export interface RuleTest {
  readonly verdicts: readonly Verdict[];
  /** Names of routes, and of the notifiers of each; all that are told of alerts where there are none. */
  readonly routes: readonly { readonly name: string; readonly receivers?: readonly string[] }[];
}

const shape = z.strictObject({
  deployment: z.string().min(1).max(1000),
  at: z.number().optional(),
  fire: z.boolean().optional(),
} satisfies Record<keyof TestRuleOptions, z.ZodType>);

/** Tries a rule on what is known of a deployment, without raising anything. NOT_FOUND for a deployment that is not there. */
export async function testRule(
  scope: Scope,
  parts: {
    readonly figures: FigureSource;
    readonly routes: Settings<AlertRoute>;
    routesOf(
      alert: Alert,
      routes: readonly AlertRoute[],
      named?: readonly string[],
    ): readonly AlertRoute[];
  },
  given: AlertRule,
  options: TestRuleOptions,
): Promise<RuleTest> {
  const {
    deployment: name,
    at = scope.clock.now(),
    fire = false,
  } = checkOptions(shape, options, 'monitoring.alertRules.test');
  const rule = checkAlertRule(given);
  const query = { where: columnIs('name', name), limit: 1 };
  const [record] = (await scope.metadata.query(scope.workspace, 'deployment', query)).records;
  const id = record?.id ?? (watchedName(name) === undefined ? undefined : name);
  if (id === undefined) {
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no deployment ${JSON.stringify(name)} to try the rule on.`,
    );
  }
  const [reading] = await readRules(parts.figures, { id, name }, [rule], at);
  const verdicts = reading?.verdicts ?? [];
  const alert = sampleAlert(scope, rule, { id, name }, verdicts, at);
  const routes = parts.routesOf(alert, await parts.routes.list(), rule.routes);
  if (fire) for (const route of routes) await tell(scope, alert, route, at);
  return {
    verdicts,
    routes: routes.map(({ name: to, receivers }) => ({
      name: to,
      ...(receivers === undefined ? {} : { receivers }),
    })),
  };
}

function sampleAlert(
  scope: Scope,
  rule: AlertRule,
  deployment: { readonly id: string; readonly name: string },
  verdicts: readonly Verdict[],
  at: number,
): Alert {
  const id = `test:${scope.ids.next()}`;
  const worst = verdicts.find(({ reached }) => reached !== undefined) ?? verdicts[0];
  return {
    ...{ id, fingerprint: id, eventId: id, correlationId: id, state: 'FIRING', revision: 1 },
    ...{ deploymentId: deployment.id, deployment: deployment.name, rule: rule.name },
    ...{ severity: worst?.reached ?? rule.severity ?? 'WARNING', firstAt: at, lastAt: at },
    ...{ summary: worst?.summary ?? 'nothing is known', evidence: {}, kind: rule.kind ?? 'CUSTOM' },
    labels: { ...rule.labels, ...worst?.labels },
  };
}

/** Both at once: what a test opens it closes. */
async function tell(scope: Scope, alert: Alert, route: AlertRoute, now: number): Promise<void> {
  const members = [{ alert, muted: [] }];
  const { deployment, deploymentId, severity, correlationId } = alert;
  const alertIds = [alert.id];
  const group = {
    groupId: `${alert.id}:${route.name}`,
    route: route.name,
    deployment,
    deploymentId,
    severity,
    alertIds,
  };
  const states = [
    ['FIRING', 'OPEN'],
    ['RESOLVED', 'RESOLVED'],
  ] as const;
  await withCorrelation({ correlationId }, () =>
    commitChanges(
      scope,
      states.map(([reason, state], i) => {
        const send = { reason, state, severity, members };
        const { title, text, content } = alertMessage({ send, now, advice: new Map(), done: [] });
        return alertEvent(scope, 'alert.notified', deployment, {
          ...{ ...group, sequence: i + 1, reason, state },
          ...(route.receivers === undefined ? {} : { receivers: route.receivers }),
          title: `Test of ${alert.rule}: ${title || topicOf(alert)}`,
          ...{ text, message: content as unknown as JsonObject },
        });
      }),
    ),
  );
}
