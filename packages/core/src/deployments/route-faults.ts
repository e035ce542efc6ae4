import type { Route } from '../contracts/traffic-router.ts';

/** Every version that a route may send a request to. */
export function versionsOfRoute(route: Route): readonly string[] {
  const { targets = [], rules = [], shadows = [], fallbackVersionId, warmVersionIds = [] } = route;
  const named = [...targets, ...rules, ...shadows].map(({ versionId }) => versionId);
  const all = [...named, ...warmVersionIds];
  return [...new Set(fallbackVersionId === undefined ? all : [...all, fallbackVersionId])];
}

/** What keeps a route from being followed. `known` are the versions that there are. */
export function faultsOfRoute(route: Route, known: ReadonlySet<string>): readonly string[] {
  const faults = versionsOfRoute(route)
    .filter((id) => !known.has(id))
    .map((id) => `its version ${id} is not there`);
  const sum = (route.targets ?? []).reduce((total, { weightPercent }) => total + weightPercent, 0);
  // Weights are sums of decimal fractions.
  if (!(Math.abs(sum - 100) < 1e-6)) faults.push(`its weights sum to ${sum}, not to 100`);
  return faults;
}
