import type { Scope } from '../../contracts/scope.ts';
import type { Deployments } from '../../deployments/deployments.ts';
import { correlated } from '../../events/correlation.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import { freezeOf, freezesOf } from '../../operations/freezes.ts';
import { CronTimes } from '../../pipelines/schedules/cron.ts';
import type { Registry } from '../../registry/registry.ts';
import { servingOf } from './response-facts.ts';
import { policyFromRecord, type ResponsePolicy, type RouteCalendar } from './response-policy.ts';

/** The entry of a calendar that is in force at a time, and since when; undefined where none has ever begun. */
export function calendarAt(
  { entries, timeZone }: RouteCalendar,
  at: number,
): { readonly version: string; readonly since: number } | undefined {
  const begun = entries.flatMap(({ cron, version }) => {
    const [since] = new CronTimes(cron, timeZone).lastBetween(0, at, 1);
    return since === undefined ? [] : [{ version, since }];
  });
  // Of two that begin together the one that is listed later.
  return begun.reduce<(typeof begun)[number] | undefined>(
    (latest, each) => (latest === undefined || each.since >= latest.since ? each : latest),
    undefined,
  );
}

/**
 * Brings the versions of calendars into force, each at its time and once: who moves traffic by hand afterwards is left
 * alone until the next time. What a rollout or a freeze stands in the way of follows it.
 */
export async function followCalendars(
  scope: Scope,
  parts: {
    readonly deployments: Pick<Deployments, 'get' | 'route' | 'setVersion'>;
    readonly registry: Pick<Registry, 'getVersionById' | 'resolve' | 'getVersion'>;
  },
): Promise<boolean> {
  let moved = false;
  const where = columnIs('calendarOn', true);
  for await (const record of everyRecord(scope, 'response_policy', { where })) {
    const policy = policyFromRecord(record);
    if (policy.enabled && policy.dryRun !== true) {
      moved = (await correlated(() => followOne(scope, parts, policy))) || moved;
    }
  }
  return moved;
}

async function followOne(
  scope: Scope,
  { deployments, registry }: Parameters<typeof followCalendars>[1],
  policy: ResponsePolicy,
): Promise<boolean> {
  const { calendar, deployment, model, deploymentId, id, switchedAt = -1 } = policy;
  const due = calendar && calendarAt(calendar, scope.clock.now());
  if (due === undefined || due.since <= switchedAt) return false;
  const { activeRolloutId } = await deployments.get(deployment);
  const frozen = freezeOf(await freezesOf(scope, model), 'rollouts', deploymentId, undefined);
  if (activeRolloutId !== undefined || frozen !== undefined) return false;
  const version = await versionNamed(registry, model, due.version);
  const { route } = await deployments.route(deployment);
  if (servingOf(route) !== version) {
    const since = new Date(due.since).toISOString();
    await deployments.setVersion(
      deployment,
      version,
      `the calendar says ${due.version} from ${since}`,
    );
  }
  await decideAndCommit(scope, async () => {
    const record = await scope.metadata.find(scope.workspace, 'response_policy', id);
    if (record === undefined) return { changes: [], result: undefined };
    const columns = { switchedAt: due.since };
    const { revision: expect } = record;
    return {
      changes: [{ op: 'replace', kind: 'response_policy', id, expect, columns }],
      result: undefined,
    };
  });
  return true;
}

/** `2.1.0` of the model, `model@champion`, or an id. */
async function versionNamed(
  registry: Pick<Registry, 'getVersionById' | 'resolve' | 'getVersion'>,
  model: string,
  name: string,
): Promise<string> {
  if (name.includes('@')) return (await registry.resolve(name)).id;
  if (/^\d+\.\d+\.\d+/.test(name)) return (await registry.getVersion(model, name)).id;
  return (await registry.getVersionById(name)).id;
}
