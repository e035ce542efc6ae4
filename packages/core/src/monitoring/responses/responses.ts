import { z } from 'zod';
import { assertObject, checkOptions, signalOption } from '../../check-options.ts';
import type { StoredEvent } from '../../contracts/event.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { Order } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Deployments } from '../../deployments/deployments.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { withCorrelation } from '../../events/correlation.ts';
import type { Owners } from '../../events/subscription.ts';
import { asJson, assertText, type JsonObject } from '../../json.ts';
import {
  assertAllowed,
  commitChanges,
  decideAndCommit,
} from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import { thaw } from '../../operations/freezes.ts';
import type { Pipelines } from '../../pipelines/pipelines-types.ts';
import type { Registry } from '../../registry/registry.ts';
import type { Tracking } from '../../tracking/tracking.ts';
import type { Monitoring } from '../monitoring.ts';
import { ActLoop } from './act-loop.ts';
import { checkResponsePolicy } from './check-policy.ts';
import { decideOnEvent } from './decide-on-event.ts';
import { moveBaseline } from './move-baseline.ts';
import { gatherFacts } from './response-facts.ts';
import {
  policyFromRecord,
  type ResponsePolicy,
  type ResponsePolicyOptions,
} from './response-policy.ts';
import {
  actFromRecord,
  actsWhere,
  decisionFromRecord,
  type ResponseAct,
  type ResponseDecision,
} from './response-records.ts';
import { followCalendars } from './route-calendar.ts';
import { stopAct } from './stop-act.ts';
import { type VersionStory, whyVersion } from './why-version.ts';

/** How troubles are answered by themselves: policies, what they decided, and what became of it. */
export interface Responses {
  /**
   * How a deployment's troubles are answered from now on, in processes that called `platform.start()`; the rows of
   * `responseMatrix` where nothing else is said. NOT_FOUND for a deployment that is none; INVALID or SYNTAX, by name, for
   * what nothing could be answered by.
   */
  put(deployment: string, options: ResponsePolicyOptions): Promise<ResponsePolicy>;
  /** NOT_FOUND where none was put. */
  get(deployment: string): Promise<ResponsePolicy>;
  list(): Promise<readonly ResponsePolicy[]>;
  /** Nothing more is decided, and what is under way stays where it is, until {@link Responses.enable}. */
  disable(deployment: string, reason: string): Promise<ResponsePolicy>;
  /** Goes on where it was disabled; what happened meanwhile is not answered. */
  enable(deployment: string): Promise<ResponsePolicy>;
  /** What was decided, with its inputs, and what became of it; newest first, 100 when left out, 1,000 at most. */
  decisions(
    deployment: string,
    options?: { readonly limit?: number },
  ): Promise<readonly ResponseDecision[]>;
  /**
   * Ends an act that is under way: its pipeline is cancelled, its rollout aborted, and nothing more follows. CONFLICT for
   * one that has ended.
   */
  stop(actId: string, reason: string): Promise<ResponseAct>;
  /** Lifts what an alert has frozen, without acknowledging it. NOT_FOUND where it froze nothing. */
  unfreeze(alertId: string, options: { readonly reason: string }): Promise<void>;
  /**
   * Does now what the loops of `platform.start()` would: decides on what has happened, carries out what is due, waits for
   * the pipelines that it started (running what this process can of them), until nothing moves. For scripts that own time.
   */
  advance(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Until when a deployment is looked at more closely; undefined when it is not. */
  attention(deploymentId: string): Promise<{ readonly until: number } | undefined>;
  /** Why a version exists: the drift, the decision, the data, the run, the gates and the rollout behind it. */
  why(versionId: string): Promise<VersionStory>;
}

/** What responses act with. */
export interface ResponseRooms {
  readonly pipelines: Pipelines;
  readonly deployments: Deployments;
  readonly registry: Registry;
  readonly tracking: Tracking;
  readonly owners: Owners;
  readonly events: {
    readonly subscribe: Subscribe;
    deliver(signal?: AbortSignal): Promise<boolean>;
  };
}

/** The types of events that responses follow. */
const followed = [
  ...['alert.triggered', 'alert.severity_changed', 'drift.detected', 'performance.degraded'],
  'alert.acknowledged',
] as const;

/** Subscribes durably to events; that of events fits as it is. */
type Subscribe = (
  name: string,
  options: { readonly types: readonly string[]; readonly from: 'start' },
  handler: (event: StoredEvent) => Promise<void>,
) => Promise<unknown>;

const advanceShape = z.strictObject({ signal: signalOption.optional() });

/** {@link Responses} of a scope; with the loops that decide and act. */
export function createResponses(
  scope: Scope,
  monitoring: Pick<
    Monitoring,
    'getMonitor' | 'rebaseline' | 'labelledRows' | 'getBaseline' | 'setBaseline' | 'updateBaseline'
  >,
  rooms: ResponseRooms,
): Responses & { readonly loops: readonly Loop[] } {
  const { metadata, workspace } = scope;

  async function findPolicy(deploymentId: string): Promise<ResponsePolicy | undefined> {
    const where = columnIs('deploymentId', deploymentId);
    const { records } = await metadata.query(workspace, 'response_policy', { where, limit: 1 });
    return records[0] && policyFromRecord(records[0]);
  }

  async function get(name: string): Promise<ResponsePolicy> {
    const { id } = await rooms.deployments.get(assertText(name, 'A deployment'));
    const policy = await findPolicy(id);
    if (policy !== undefined) return policy;
    throw new KeelsonError(
      'NOT_FOUND',
      `Deployment ${name} has no response policy; give it one with monitoring.responses.put.`,
    );
  }

  async function decision(id: string): Promise<ResponseDecision> {
    const record = await metadata.find(workspace, 'response_decision', id);
    if (record === undefined) throw new KeelsonError('NOT_FOUND', `There is no decision ${id}.`);
    return decisionFromRecord(record, await actsWhere(scope, columnIs('decisionId', id)));
  }

  async function handle(event: StoredEvent): Promise<void> {
    if (event.type === 'alert.acknowledged') return acknowledged(event);
    const { deployments } = rooms;
    const countLabels = async (deploymentId: string, from: number, to: number): Promise<number> =>
      (await monitoring.labelledRows(deploymentId, { from, to })).length;
    const facts: Parameters<typeof decideOnEvent>[1]['facts'] = (policy, trouble) =>
      gatherFacts(scope, deployments, policy, trouble, (from, to) =>
        countLabels(policy.deploymentId, from, to),
      );
    try {
      await decideOnEvent(scope, { findPolicy, facts }, event);
    } catch (error) {
      // Its deployment was removed meanwhile.
      if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
    }
  }

  /** An alert that somebody looks at freezes nothing any more. */
  async function acknowledged({ payload, correlationId, id }: StoredEvent): Promise<void> {
    const alertId = String(payload['alertId']);
    const by = typeof payload['by'] === 'string' ? ` by ${payload['by']}` : '';
    await withCorrelation({ correlationId, causationId: id }, () =>
      thaw(scope, alertId, `alert ${alertId} was acknowledged${by}`),
    );
  }

  async function setEnabled(
    name: string,
    enabled: boolean,
    reason: string,
  ): Promise<ResponsePolicy> {
    assertText(name, 'A deployment');
    assertText(reason, 'A reason', 2000);
    await assertAllowed(scope, 'monitor.manage', `deployment:${name}`);
    await decideAndCommit(scope, async () => {
      const { id, revision: expect, enabled: before } = await get(name);
      const columns = { enabled };
      return {
        changes:
          before === enabled
            ? []
            : [{ op: 'replace', kind: 'response_policy', id, expect, columns }],
        result: undefined,
        reason,
      };
    });
    if (enabled) acts.lookAgain();
    return get(name);
  }

  async function write(name: string, options: ResponsePolicyOptions): Promise<void> {
    const { id: deploymentId, model } = await rooms.deployments.get(name);
    const body = asJson(options) as JsonObject;
    const calendarOn = options.calendar?.follow === true;
    const there = await findPolicy(deploymentId);
    if (there === undefined) {
      const since = scope.clock.now();
      const columns = { deploymentId, deployment: name, model, enabled: true, since, calendarOn };
      const id = scope.ids.next();
      await commitChanges(scope, [{ op: 'create', kind: 'response_policy', id, columns, body }]);
      return;
    }
    await decideAndCommit(scope, async () => {
      const { id, revision: expect, calendarOn: on } = await get(name);
      // A calendar that is followed goes on being followed, unless there is none any more.
      const columns = { calendarOn: calendarOn || (on && options.calendar !== undefined) };
      return {
        changes: [{ op: 'replace', kind: 'response_policy', id, expect, columns, body }],
        result: undefined,
      };
    });
  }

  const acts = new ActLoop(scope, () => ({
    ...rooms,
    findPolicy,
    decision,
    moveBaseline: (of) => moveBaseline(monitoring, of),
  }));

  let subscribed: Promise<unknown> | undefined;

  /** Subscribes, once in this process, as soon as there is a policy; answers whether there is one. */
  async function subscribe(): Promise<boolean> {
    if (subscribed === undefined) {
      const { records } = await metadata.query(workspace, 'response_policy', { limit: 1 });
      if (records.length === 0) return false;
      const options = { types: followed, from: 'start' } as const;
      subscribed = rooms.events.subscribe('monitoring-responses', options, handle);
    }
    try {
      await subscribed;
      return true;
    } catch (error) {
      subscribed = undefined;
      throw error;
    }
  }

  async function advance(signal: AbortSignal): Promise<void> {
    if (!(await subscribe())) return;
    // One that nobody goes on with, as where its policy is disabled, has ended for good.
    const awaited = new Set<string>();
    for (let moved = true; moved && !signal.aborted; ) {
      await rooms.events.deliver(signal);
      acts.lookAgain();
      moved = await acts.runOnce(signal);
      moved = (await followCalendars(scope, rooms)) || moved;
      const state = { from: 'column', name: 'state' } as const;
      const running = await actsWhere(scope, { op: 'in', left: state, values: ['RUNNING'] });
      for (const { retraining } of running) {
        if (retraining?.stage !== 'TRAINING' || awaited.has(retraining.executionId)) continue;
        awaited.add(retraining.executionId);
        await rooms.pipelines.wait(retraining.executionId, { signal });
        moved = true;
      }
    }
  }

  const loops: readonly Loop[] = [
    {
      name: 'responses',
      idleMs: 1_000,
      runOnce: async (signal) => (await subscribe()) && acts.runOnce(signal),
    },
    {
      name: 'route calendars',
      idleMs: 5_000,
      runOnce: () => followCalendars(scope, rooms),
    },
  ];

  return {
    async put(name, options) {
      assertText(name, 'A deployment');
      checkResponsePolicy(assertObject(options, 'monitoring.responses.put'));
      await assertAllowed(scope, 'monitor.manage', `deployment:${name}`);
      if (options.retrain !== undefined) {
        // What it makes is registered and promoted with the platform's rights: who puts it has them too.
        const { model } = await rooms.deployments.get(name);
        await assertAllowed(scope, 'model.register', `model:${model}`);
        await assertAllowed(scope, 'model.promote', `model:${model}`);
      }
      try {
        await write(name, options);
      } catch (error) {
        // Another process made it first.
        if (!isKeelsonError(error, 'CONFLICT')) throw error;
        await write(name, options);
      }
      return get(name);
    },
    get,

    async list() {
      const orderBy = [{ by: { from: 'column', name: 'deployment' }, direction: 'asc' }] as const;
      const all = everyRecord(scope, 'response_policy', { orderBy });
      return (await Array.fromAsync(all)).map(policyFromRecord);
    },

    disable: (name, reason) => setEnabled(name, false, reason),
    enable: (name) => setEnabled(name, true, 'enabled'),

    async decisions(name, options = {}) {
      const { limit = 100 } = assertObject(options, 'monitoring.responses.decisions');
      if (!Number.isSafeInteger(limit) || limit < 1 || limit > 1000) {
        throw new KeelsonError(
          'INVALID',
          'The limit of decisions is a whole number from 1 to 1,000.',
        );
      }
      const { id } = await rooms.deployments.get(name);
      const { records } = await metadata.query(workspace, 'response_decision', {
        where: columnIs('deploymentId', id),
        orderBy: ['at', 'id'].map((column) => ({
          ...{ by: { from: 'column', name: column }, direction: 'desc' },
        })) as Order[],
        limit,
      });
      const left = { from: 'column', name: 'decisionId' } as const;
      const ids = records.map((record) => record.id);
      const all = ids.length === 0 ? [] : await actsWhere(scope, { op: 'in', left, values: ids });
      return records.map((record) =>
        decisionFromRecord(
          record,
          all.filter(({ decisionId }) => decisionId === record.id),
        ),
      );
    },

    async stop(actId, reason) {
      assertText(reason, 'A reason', 2000);
      const record = await metadata.find(
        workspace,
        'response_act',
        assertText(actId, 'An act', 500),
      );
      if (record === undefined) throw new KeelsonError('NOT_FOUND', `There is no act ${actId}.`);
      const act = actFromRecord(record);
      await assertAllowed(scope, 'monitor.manage', `deployment:${act.deployment}`);
      await withCorrelation({ correlationId: act.correlationId }, () =>
        stopAct(scope, rooms, act.id, reason),
      );
      return actFromRecord((await metadata.find(workspace, 'response_act', actId)) ?? record);
    },

    async unfreeze(alertId, options) {
      assertText(alertId, 'An alert id');
      const { reason } = assertObject(options, 'monitoring.responses.unfreeze');
      assertText(reason, 'A reason', 2000);
      if (await thaw(scope, alertId, reason)) return;
      throw new KeelsonError('NOT_FOUND', `Alert ${alertId} freezes nothing.`);
    },

    async advance(options = {}) {
      const { signal } = checkOptions(advanceShape, options, 'monitoring.responses.advance');
      await advance(signal ?? new AbortController().signal);
    },

    async attention(deploymentId) {
      assertText(deploymentId, 'A deployment id');
      const record = await metadata.find(workspace, 'attention', deploymentId);
      const until = record?.columns['until'] as number | undefined;
      return until === undefined || until <= scope.clock.now() ? undefined : { until };
    },

    why: (versionId) => whyVersion(assertText(versionId, 'A version id'), { ...rooms, decision }),
    loops,
  };
}
