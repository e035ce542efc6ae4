import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { EvidenceSource } from '../contracts/evidence-source.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { correlated, withCorrelation } from '../events/correlation.ts';
import { asJson, assertText, type JsonObject } from '../json.ts';
import { assertAllowed, type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { columnIs } from '../operations/every-record.ts';
import { assertUnfrozen } from '../operations/freezes.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Registry } from '../registry/registry.ts';
import {
  type AbTest,
  abTestFromRecord,
  bodyOfAbTest,
  checkAbTest,
  routeOfAbTest,
  type StartAbTest,
} from './ab-test.ts';
import { type AbTestReport, reportOf } from './ab-test-report.ts';
import { deployables } from './deployable.ts';
import { mainTarget, nameOf, stateOf } from './deployment.ts';
import { assertIdle, assertPresent, assertReason } from './deployment-changes.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import { nextRevision } from './revision.ts';
import { moveTraffic } from './traffic-move.ts';

/** The verbs on A/B tests. */
export interface AbTests {
  /**
   * Deals users out among versions until somebody decides. CONFLICT while a rollout or another test of the deployment
   * is under way; INVALID names the field.
   */
  startAbTest(options: StartAbTest): Promise<AbTest>;
  getAbTest(id: string): Promise<AbTest>;
  /** Newest first. */
  listAbTests(deployment: string): Promise<readonly AbTest[]>;
  /** What can be said now, or could be at a time; as often as wanted: the figures hold at all looks together. */
  abTestReport(id: string, options?: { readonly at?: number }): Promise<AbTestReport>;
  /**
   * Ends a test: all traffic to the winner of its report, or to the arm that is named. CONFLICT where the report names
   * none and none is given.
   */
  decideAbTest(
    id: string,
    options: { readonly reason: string; readonly winner?: string },
  ): Promise<AbTest>;
  /** Breaks a test off: all traffic back to its control; what users were dealt out by is burnt. */
  stopAbTest(id: string, reason: string): Promise<AbTest>;
}

const reportShape = z.strictObject({ at: z.number().optional() });
const decideShape = z.strictObject({ reason: z.string(), winner: z.string().optional() });

/** {@link AbTests} of a scope. */
export function createAbTests(
  scope: Scope,
  registry: Registry,
  records: DeploymentRecords,
  evidence: () => EvidenceSource,
): AbTests {
  const { metadata, workspace } = scope;

  async function getAbTest(id: string): Promise<AbTest> {
    const record = await metadata.find(workspace, 'ab_test', assertText(id, 'The id of a test'));
    if (record !== undefined) return abTestFromRecord(record);
    throw new KeelsonError('NOT_FOUND', `There is no A/B test ${id}.`);
  }

  async function findByKey(key: string | undefined): Promise<AbTest | undefined> {
    if (key === undefined) return undefined;
    const where = columnIs('requestKey', key);
    const found = await metadata.query(workspace, 'ab_test', { where, limit: 1 });
    return found.records[0] && abTestFromRecord(found.records[0]);
  }

  async function decideStart(
    id: string,
    options: StartAbTest,
    correlationId: string,
  ): Promise<Decision<undefined>> {
    const { arms, metrics, guardrails = [], alpha = 0.05, minimumUnits = 100, reason } = options;
    const deployment = await records.get(options.deployment);
    assertIdle(deployment);
    assertPresent(deployment);
    const { id: deploymentId, model } = deployment;
    const unfrozen = await assertUnfrozen(scope, 'rollouts', { model, deploymentId });
    const ids = arms.map(({ versionId }) => versionId);
    const { versions, changes } = await deployables(scope, registry, ids);
    const record = await records.routeRecord(deployment.id);
    const route = record.body as unknown as Route;
    const at = options.at ?? scope.clock.now();
    const named = arms.map((arm, i) => ({ ...arm, version: nameOf(versions[i] as ModelVersion) }));
    const test: AbTest = {
      ...{ id, deploymentId: deployment.id, deployment: deployment.name, status: 'RUNNING' },
      ...{ arms: named, control: options.control ?? (arms[0]?.name as string) },
      ...{ stickyHeader: options.stickyHeader, salt: id, saltBurnt: false },
      ...{ metrics, guardrails, alpha, minimumUnits, reason, beganAt: at, correlationId },
      ...(route.sticky === undefined ? {} : { stickyBefore: route.sticky }),
      ...{ createdBy: scope.principal.id, revision: 0 },
    };
    return {
      changes: [
        unfrozen,
        ...changes,
        records.replaceDeployment(deployment, { activeRolloutId: id }),
        {
          ...({ op: 'create', kind: 'ab_test', id } as const),
          columns: {
            ...{ deploymentId: deployment.id, status: 'RUNNING', beganAt: at },
            ...{ createdBy: scope.principal.id, requestKey: options.requestKey },
          },
          body: asJson(bodyOfAbTest(test)) as JsonObject,
        },
        ...records.shift(deployment, record, routeOfAbTest(route, test), reason),
        records.emit('abtest.started', deployment.name, {
          testId: id,
          arms: Object.fromEntries(arms.map((arm) => [arm.name, arm.versionId])),
          reason,
        }),
      ],
      result: undefined,
      reason,
    };
  }

  async function report(test: AbTest, at: number): Promise<AbTestReport> {
    const answers = await Promise.all(
      [...test.metrics, ...test.guardrails].map(async ({ name, outcome }) => {
        const answer = await evidence().ask({
          ...{ figure: 'outcomes', deploymentId: test.deploymentId, from: test.beganAt, to: at },
          ...{ versionIds: test.arms.map(({ versionId }) => versionId), outcome: { ...outcome } },
        });
        return [name, answer] as const;
      }),
    );
    return reportOf(test, new Map(answers), at);
  }

  /** Ends a test as `choose` says, of what stands at the moment. */
  async function end(
    id: string,
    reason: string,
    choose: (test: AbTest, at: number) => Promise<Ending>,
  ): Promise<AbTest> {
    assertReason(reason);
    const { correlationId, deployment: name } = await getAbTest(id);
    await assertAllowed(scope, 'deployment.deploy', `deployment:${name}`);
    await withCorrelation({ correlationId }, () =>
      decideAndCommit(scope, async () => {
        const test = await getAbTest(id);
        if (test.status !== 'RUNNING')
          throw new KeelsonError('CONFLICT', `A/B test ${id} is ${test.status} already.`);
        const at = Math.max(scope.clock.now(), test.beganAt);
        const changes = await ended(test, await choose(test, at), at, reason);
        return { changes, result: undefined, reason };
      }),
    );
    return getAbTest(id);
  }

  async function ended(
    test: AbTest,
    { arm: to, status, decision, figures }: Ending,
    at: number,
    reason: string,
  ): Promise<readonly Change[]> {
    const deployment = await records.getById(test.deploymentId);
    const record = await records.routeRecord(test.deploymentId);
    const { sticky: _, ...route } = record.body as unknown as Route;
    const base = test.stickyBefore === undefined ? route : { ...route, sticky: test.stickyBefore };
    const arm = test.arms.find(({ name }) => name === to);
    if (arm === undefined) {
      const names = test.arms.map(({ name }) => name).join(', ');
      throw new KeelsonError('NOT_FOUND', `A/B test ${test.id} has no arm ${to}; it has ${names}.`);
    }
    const before = stateOf(deployment, { ...base, targets: [controlOf(test)] });
    const { versionId, version: key } = arm;
    const move = moveTraffic(records, deployment, record, {
      ...{ versionId, key, cold: [], at, reason, base },
    });
    const revision = nextRevision(scope.ids.next(), deployment, {
      ...{ before, after: { ...before, versionId, version: key }, reason, at },
      ...{ strategy: 'immediate', rolloutStatus: 'COMPLETED', createdBy: scope.principal.id },
    });
    const changes = before.versionId === versionId ? undefined : revision;
    const next: AbTest = {
      ...{ ...test, saltBurnt: status === 'STOPPED' },
      decision: {
        ...(status === 'DECIDED' ? { winner: to } : {}),
        ...{ reason, by: scope.principal.id, at },
      },
    };
    return [
      {
        ...({ op: 'replace', kind: 'ab_test', id: test.id, expect: test.revision } as const),
        columns: { status, endedAt: at },
        body: asJson(bodyOfAbTest(next)) as JsonObject,
      },
      records.replaceDeployment(
        deployment,
        { activeRolloutId: undefined, ...move.columns, ...changes?.columns },
        move.body,
      ),
      ...(changes === undefined ? [] : [changes.create]),
      ...move.changes,
      records.emit('abtest.decided', deployment.name, {
        ...{ testId: test.id, decision, figures, reason },
        ...(status === 'DECIDED' ? { winnerVersionId: versionId } : {}),
      }),
    ];
  }

  return {
    getAbTest,

    async startAbTest(options) {
      const { requestKey, deployment } = checkAbTest(options);
      assertReason(options.reason);
      await assertAllowed(scope, 'deployment.deploy', `deployment:${deployment}`);
      const asked = await findByKey(requestKey);
      if (asked !== undefined) return asked;
      const id = scope.ids.next();
      try {
        await correlated(({ correlationId }) =>
          decideAndCommit(scope, () => decideStart(id, options, correlationId)),
        );
      } catch (error) {
        const first = isKeelsonError(error, 'CONFLICT') ? await findByKey(requestKey) : undefined;
        if (first === undefined) throw error;
        return first;
      }
      return getAbTest(id);
    },

    async listAbTests(name) {
      const where = columnIs('deploymentId', (await records.get(name)).id);
      const by = { from: 'column', name: 'beganAt' } as const;
      const query = { where, orderBy: [{ by, direction: 'desc' } as const], limit: 1000 };
      return (await metadata.query(workspace, 'ab_test', query)).records.map(abTestFromRecord);
    },

    async abTestReport(id, options = {}) {
      const { at } = checkOptions(reportShape, options, 'abTestReport');
      const test = await getAbTest(id);
      return report(test, at ?? test.endedAt ?? scope.clock.now());
    },

    async decideAbTest(id, options) {
      const { reason, winner } = checkOptions(decideShape, options, 'decideAbTest');
      return end(id, reason, async (test, at) => {
        const found = await report(test, at);
        const arm = winner ?? found.winner;
        if (arm === undefined) {
          throw new KeelsonError(
            'CONFLICT',
            `A/B test ${id} is ${found.decision}: ${found.reason}. Name a winner, or stop it.`,
          );
        }
        return { arm, status: 'DECIDED', decision: found.decision, figures: figuresOf(found) };
      });
    },

    stopAbTest: async (id, reason) =>
      end(id, reason, async (test) => ({
        ...{ arm: test.control, status: 'STOPPED', decision: 'STOPPED', figures: {} },
      })),
  };
}

/** Where a test's traffic goes, and what is told of it. */
interface Ending {
  readonly arm: string;
  readonly status: 'DECIDED' | 'STOPPED';
  readonly decision: string;
  readonly figures: Readonly<Record<string, number>>;
}

/** The control alone: what the deployment was before, and would be without the test. */
function controlOf({ arms, control }: AbTest): Route['targets'][number] {
  const arm = arms.find(({ name }) => name === control);
  const targets = arm === undefined ? [] : [{ versionId: arm.versionId, weightPercent: 100 }];
  const versionId = mainTarget({ targets } as unknown as Route);
  return { versionId, weightPercent: 100, key: arm?.version ?? versionId };
}

/** The difference and p-value of each arm by the first metric. */
function figuresOf({ metrics, exposures }: AbTestReport): Readonly<Record<string, number>> {
  const figures: Record<string, number> = {};
  for (const [arm, count] of Object.entries(exposures)) figures[`${arm} users`] = count;
  for (const { arm, difference, pValue } of metrics[0]?.arms ?? []) {
    if (difference !== undefined && difference !== null) figures[`${arm} difference`] = difference;
    if (pValue !== undefined) figures[`${arm} p`] = pValue;
  }
  return figures;
}
