import { createHash } from 'node:crypto';
import { type Alert, labelsOf } from './alert.ts';
import type { AlertRoute } from './alert-settings.ts';
import { matches } from './matchers.ts';

const defaultRoute: AlertRoute = { name: 'default' };
const defaultGroupBy = ['deployment', 'topic'];

/** The routes of an alert: those that its rule names, else those whose matchers fit, else the default one. */
export function routesOf(
  alert: Alert,
  routes: readonly AlertRoute[],
  asked: readonly string[] = [],
): readonly AlertRoute[] {
  const named = routes.filter(({ name }) => asked.includes(name));
  if (named.length > 0) return named;
  const labels = labelsOf(alert);
  const fitting = routes.filter(({ match }) => match !== undefined && matches(match, labels));
  if (fitting.length > 0) return fitting;
  return [routes.find(({ name }) => name === defaultRoute.name) ?? defaultRoute];
}

/** The same for what is told together, in every process. */
export function groupIdOf({ name, groupBy = defaultGroupBy }: AlertRoute, alert: Alert): string {
  const labels = labelsOf(alert);
  const key = [
    name,
    alert.deploymentId,
    ...groupBy.toSorted().map((label) => [label, labels[label] ?? '']),
  ];
  return `group:${createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 32)}`;
}
