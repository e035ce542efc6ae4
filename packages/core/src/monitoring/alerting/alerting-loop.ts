import type { Loop } from '../../contracts/loop.ts';
import type { Claimed } from '../../contracts/metadata-store.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { holdClaim } from '../../events/hold-claim.ts';
import type { Owners } from '../../events/subscription.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { everyRecord } from '../../operations/every-record.ts';
import { watchedFunctions } from '../watching/watched-functions.ts';
import { everyMsOf } from './alert-rule.ts';
import { type RuleStore, rulesFor, type StoredAlertRule } from './alert-rules.ts';
import type { Evaluator, Watched } from './evaluator.ts';

const kind = 'alerting_turn';
const id = 'alerting';
const leaseMs = 30_000;
/** What was predicted is stored a second after it and counted five seconds later, at the latest. */
const settleMs = 7000;
/** After a time in which nothing was evaluated, so many intervals of a rule are made up for. */
const maxMissed = 20;
const longestRestMs = 15_000;

/** What is done in a turn besides evaluating; answers when it wants the next, in epoch ms. */
export type TurnPart = (at: number, signal: AbortSignal) => Promise<number | undefined>;

/**
 * Evaluates alert rules: one process at a time, all rules of a time before anybody is told of it. Each rule is evaluated
 * at the multiples of its interval; those that nobody was there for are made up for, the last twenty of them. Killed
 * anywhere another goes on: what was evaluated but not noted is evaluated again, and changes nothing.
 */
export function createAlertingLoop(
  scope: Scope,
  parts: {
    readonly rules: RuleStore;
    readonly evaluator: Evaluator;
    readonly owners: Owners;
    /** Done after all rules have been evaluated. */
    readonly after?: readonly TurnPart[];
    /** Whether there is anything to do without rules. */
    hasWork?(): Promise<boolean>;
  },
): Loop {
  const { metadata, workspace, clock } = scope;
  const { rules, evaluator, owners, after = [] } = parts;

  async function claim(): Promise<Claimed | undefined> {
    const held = await metadata.claimOwners(kind, workspace);
    const takeFrom = owners.dead(held);
    const [claimed] = await metadata.claim(kind, {
      ...{ workspace, limit: 1, owner: owners.self, leaseMs, takeFrom },
      where: isDue(clock.now()),
    });
    return claimed;
  }

  async function ensureTurn(): Promise<void> {
    try {
      await commitChanges(scope, [{ op: 'create', kind, id, columns: { dueAt: 0 }, body: {} }]);
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
  }

  async function turn({ record, owner, fence }: Claimed, signal: AbortSignal): Promise<void> {
    const all = (await rules.list()).filter(({ enabled }) => enabled !== false);
    const served = await servedDeployments();
    const now = clock.now();
    const evaluated = (record.body['evaluated'] ?? {}) as Record<string, number>;
    const intervals = [...new Set(all.map(everyMsOf))];
    const dues = intervals.flatMap((everyMs) => dueTimes(everyMs, evaluated[everyMs], now));
    for (const { at, everyMs } of dues.sort((a, b) => a.at - b.at)) {
      for (const deployment of served) {
        signal.throwIfAborted();
        const own = rulesFor(all, deployment.name).filter((rule) => everyMsOf(rule) === everyMs);
        if (own.length > 0) await evaluator.evaluate(deployment, own, at);
      }
    }
    await evaluator.close((deploymentId) => inForce(all, served, deploymentId), now);
    const wanted: number[] = [now + longestRestMs];
    for (const part of after) wanted.push((await part(now, signal)) ?? Number.POSITIVE_INFINITY);
    const done = Object.fromEntries(
      intervals.map((everyMs) => [everyMs, lastTime(everyMs, now) ?? now]),
    );
    wanted.push(...intervals.map((everyMs) => (done[everyMs] as number) + everyMs + settleMs));
    const dueAt = Math.max(now + 1, Math.min(...wanted));
    await commitChanges(scope, [
      { op: 'hold', kind, id, owner, fence },
      {
        ...({ op: 'replace', kind, id, expect: record.revision } as const),
        columns: { dueAt },
        body: { evaluated: done },
      },
    ]);
  }

  async function servedDeployments(): Promise<readonly Watched[]> {
    const left = { from: 'column', name: 'status' } as const;
    const gone: Predicate = { op: 'in', left, values: ['TERMINATING', 'STOPPED'] };
    const found: Watched[] = [];
    const query = { where: { op: 'not', of: gone } as const, body: false };
    for await (const record of everyRecord(scope, 'deployment', query)) {
      found.push({ id: record.id, name: record.columns['name'] as string });
    }
    return [...found, ...(await watchedFunctions(scope))];
  }

  async function hasWork(): Promise<boolean> {
    const left = { from: 'column', name: 'enabled' } as const;
    const where: Predicate = { op: 'compare', left, cmp: '=', value: true };
    const { records } = await metadata.query(workspace, 'alert_rule', { where, limit: 1 });
    return records.length > 0 || ((await parts.hasWork?.()) ?? false);
  }

  return {
    name: 'alerting',
    idleMs: 1000,
    async runOnce(given) {
      const record = await metadata.find(workspace, kind, id);
      // An idle platform writes nothing.
      if (record !== undefined && (record.columns['dueAt'] as number) > clock.now()) return false;
      if (!(await hasWork())) return false;
      if (record === undefined) await ensureTurn();
      const claimed = await claim();
      if (claimed === undefined) return false;
      const onFault = (error: unknown): void =>
        scope.logger.warn({ component: 'monitoring', error }, 'The turn at alerting was not kept.');
      const hold = holdClaim(metadata, claimed, { leaseMs, signal: given, onFault });
      try {
        await turn(claimed, hold.signal);
        return true;
      } catch (error) {
        if (hold.signal.aborted || isKeelsonError(error, 'LOST', 'STALE')) return false;
        throw error;
      } finally {
        await hold.release();
      }
    },
  };
}

function isDue(now: number): Predicate {
  return { op: 'compare', left: { from: 'column', name: 'dueAt' }, cmp: '<=', value: now };
}

/** The last multiple of the interval whose data are in. */
function lastTime(everyMs: number, now: number): number {
  return Math.floor((now - settleMs) / everyMs) * everyMs;
}

/** The times at which rules of an interval are to be evaluated now, oldest first. */
function dueTimes(
  everyMs: number,
  evaluatedAt: number | undefined,
  now: number,
): readonly { readonly at: number; readonly everyMs: number }[] {
  const last = lastTime(everyMs, now);
  const first = Math.max(
    evaluatedAt === undefined ? last : evaluatedAt + everyMs,
    last - (maxMissed - 1) * everyMs,
  );
  const times = Math.max(0, Math.floor((last - first) / everyMs) + 1);
  return Array.from({ length: times }, (_, i) => ({ at: first + i * everyMs, everyMs }));
}

/** The names of the rules in force for a deployment; undefined where it is not served. */
function inForce(
  all: readonly StoredAlertRule[],
  served: readonly Watched[],
  deploymentId: string,
): ReadonlySet<string> | undefined {
  const deployment = served.find((each) => each.id === deploymentId);
  return deployment && new Set(rulesFor(all, deployment.name).map(({ name }) => name));
}
