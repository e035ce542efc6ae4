import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Route } from '../../contracts/traffic-router.ts';
import type { Deployments } from '../../deployments/deployments.ts';
import { columnIs } from '../../operations/every-record.ts';
import type { ResponseFacts, RolloutFact, Trouble } from './response-decision.ts';
import {
  defaultLimit,
  defaultLimits,
  defaultRecentMs,
  type ResponsePolicy,
} from './response-policy.ts';
import { actsTaken, actsWhere } from './response-records.ts';

/** Reads what a decision is made from. `countLabels` says how many requests of a time have labels. */
export async function gatherFacts(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
  deployments: Pick<Deployments, 'get' | 'route'>,
  policy: ResponsePolicy,
  trouble: Trouble,
  countLabels: (from: number, to: number) => Promise<number>,
): Promise<ResponseFacts> {
  const now = scope.clock.now();
  const { deployment: name, deploymentId, retrain } = policy;
  const [deployment, { route }, rollouts, taken, answered] = await Promise.all([
    deployments.get(name),
    deployments.route(name),
    lastRollouts(scope, deploymentId),
    actsTaken(scope, policy.id, now - longest(policy)),
    answeredBefore(scope, policy, trouble),
  ]);
  const { activeRolloutId, fallbackVersionId } = deployment;
  const active = rollouts.find(({ id }) => id === activeRolloutId);
  const last = rollouts.find(({ id }) => id !== activeRolloutId);
  const labels =
    retrain === undefined
      ? undefined
      : await countLabels(trouble.at - (retrain.recentMs ?? defaultRecentMs), trouble.at);
  const retraining = (await openRetrainings(scope, policy.id)).at(0);
  const times: Record<string, number[]> = {};
  for (const { action, at } of taken) {
    times[action] ??= [];
    times[action].push(at);
  }
  const optional = { active, last, fallbackVersionId, labels, retraining };
  return {
    now,
    servingVersionId: servingOf(route),
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
    taken: times,
    answered,
  };
}

/** The version with the most weight. */
export function servingOf({ targets }: Route): string {
  const [main] = [...targets].sort((a, b) => b.weightPercent - a.weightPercent);
  return main?.versionId ?? '';
}

/** Retrainings of a policy that are under way: their acts' ids. */
async function openRetrainings(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  policyId: string,
): Promise<readonly string[]> {
  const within = (name: string, values: readonly string[]) =>
    ({ op: 'in', left: { from: 'column', name }, values }) as const;
  const acts = await actsWhere(
    scope,
    columnIs('policyId', policyId),
    within('action', ['retrain', 'update']),
    within('state', ['PENDING', 'RUNNING']),
  );
  return acts.map(({ id }) => id);
}

/** What the same trouble was answered by, whatever event told of it. */
async function answeredBefore(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  { id }: ResponsePolicy,
  { alertId, eventId }: Trouble,
): Promise<readonly string[]> {
  const { records } = await scope.metadata.query(scope.workspace, 'response_decision', {
    where: {
      op: 'and',
      of: [
        columnIs('policyId', id),
        alertId === undefined ? columnIs('eventId', eventId) : columnIs('alertId', alertId),
      ],
    },
    body: false,
    limit: 1000,
  });
  const ids = records.map((record) => record.id);
  if (ids.length === 0) return [];
  const left = { from: 'column', name: 'decisionId' } as const;
  const acts = await actsWhere(scope, { op: 'in', left, values: ids });
  // What was one too many, or could not be, may be done when it is told once more.
  return acts
    .filter(({ state }) => state !== 'LIMITED' && state !== 'SKIPPED')
    .map((act) => act.action);
}

async function lastRollouts(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  deploymentId: string,
): Promise<readonly RolloutFact[]> {
  const { records } = await metadata.query(workspace, 'rollout', {
    where: columnIs('deploymentId', deploymentId),
    orderBy: [{ by: { from: 'column', name: 'beganAt' }, direction: 'desc' }],
    limit: 2,
    body: false,
  });
  return records.map(factOf);
}

function factOf({ id, columns: c }: StoredRecord): RolloutFact {
  return {
    id,
    status: c['status'] as string,
    candidateVersionId: c['candidateVersionId'] as string,
    baselineVersionId: c['baselineVersionId'] as string,
    beganAt: c['beganAt'] as number,
    endedAt: c['evaluatedAt'] as number,
  };
}

function longest({ limits }: ResponsePolicy): number {
  const own = { ...defaultLimits, ...limits?.actions };
  return Math.max(
    (limits?.all ?? defaultLimit).withinMs,
    ...Object.values(own).map(({ withinMs }) => withinMs),
  );
}
