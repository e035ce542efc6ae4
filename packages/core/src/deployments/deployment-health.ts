import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { asJson, assertText, type JsonObject } from '../json.ts';
import { type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { type Deployment, mainTarget } from './deployment.ts';
import type { DeploymentRecords } from './deployment-records.ts';

/** How a version runs in a process. */
export interface VersionHealth {
  readonly versionId: string;
  /** Replicas that answer, of those that there should be. */
  readonly liveReplicas: number;
  readonly replicas: number;
}

/** What a process that serves a deployment says of it. */
export interface DeploymentHealth {
  readonly status: 'HEALTHY' | 'DEGRADED' | 'FAILED';
  /** Why, where it is not HEALTHY. */
  readonly reason?: string;
  /** The generation of the route that is in force there. */
  readonly generation?: number;
  readonly versions?: readonly VersionHealth[];
  /** Who says so: the one word of a process replaces its last one. */
  readonly reporter?: string;
  readonly endpointUrl?: string;
}

/** What is kept of a report. */
export interface KeptHealth extends DeploymentHealth {
  readonly at: number;
}

const count = z.number().int().min(0);
const shape = z.strictObject({
  status: z.enum(['HEALTHY', 'DEGRADED', 'FAILED']),
  reason: z.string().max(2000).optional(),
  generation: count.optional(),
  versions: z
    .array(z.strictObject({ versionId: z.string(), liveReplicas: count, replicas: count }))
    .max(100)
    .optional(),
  reporter: z.string().min(1).max(255).optional(),
  endpointUrl: z.url({ protocol: /^https?$/ }).optional(),
} satisfies Record<keyof DeploymentHealth, z.ZodType>);

/** A process whose last word is older counts no longer. */
const forgottenMs = 120_000;
const mostReporters = 50;
/** Of a status that stays, a new word is written only so often. */
const againMs = 5_000;

/** That a process has other numbers of replicas now. */
export interface ScalingReport {
  readonly oldReplicas: number;
  readonly newReplicas: number;
  readonly reason: string;
}

const scalingShape = z.strictObject({
  oldReplicas: count,
  newReplicas: count,
  reason: z.string().min(1).max(2000),
} satisfies Record<keyof ScalingReport, z.ZodType>);

/** Tells that the replicas of a deployment follow its load. */
export async function reportScaling(
  scope: Scope,
  records: DeploymentRecords,
  name: string,
  report: ScalingReport,
): Promise<void> {
  assertText(name, 'A deployment name');
  asJson(report ?? null, 'What reportScaling was given');
  checkOptions(scalingShape, report, 'reportScaling');
  await records.get(name);
  await scope.metadata.commit({
    workspace: scope.workspace,
    principal: scope.principal.id,
    changes: [records.emit('scaling.decided', name, report)],
  });
}

/** Takes in what a process says, and tells when the status changes by it. */
export async function reportHealth(
  scope: Scope,
  records: DeploymentRecords,
  name: string,
  health: DeploymentHealth,
): Promise<Deployment> {
  assertText(name, 'A deployment name');
  asJson(health ?? null, 'What reportHealth was given');
  checkOptions(shape, health, 'reportHealth');
  const { reporter = 'a process' } = health;
  await decideAndCommit(scope, async (): Promise<Decision<undefined>> => {
    const deployment = await records.get(name);
    const { id } = deployment;
    const at = scope.clock.now();
    const record = await scope.metadata.find(scope.workspace, 'deployment_health', id);
    const before = (record?.body['reports'] ?? {}) as unknown as Record<string, KeptHealth>;
    const last = before[reporter];
    const now: KeptHealth = { ...health, at };
    const reports = Object.fromEntries(
      [...Object.entries(before), [reporter, now] as const]
        .filter(([, each]) => each.at > at - forgottenMs)
        .slice(-mostReporters),
    );
    const changes = await changed(deployment, statusOf(Object.values(reports)), health);
    const said = last !== undefined && last.at > at - againMs && isSame(last, now);
    if (said && changes.length === 0) return { changes: [], result: undefined };
    const body = asJson({ reports }) as JsonObject;
    const columns = { checkedAt: at };
    const keep: Change =
      record === undefined
        ? {
            ...({ op: 'create', kind: 'deployment_health', id } as const),
            columns: { ...columns, deploymentId: id },
            body,
          }
        : { op: 'replace', kind: 'deployment_health', id, expect: record.revision, columns, body };
    return { changes: [keep, ...changes], result: undefined };
  });
  return records.get(name);

  async function changed(
    deployment: Deployment,
    status: DeploymentHealth['status'],
    { reason = '', versions = [], endpointUrl }: DeploymentHealth,
  ): Promise<readonly Change[]> {
    const { id, status: old } = deployment;
    if (old === 'STOPPED' || old === 'TERMINATING') return [];
    const moved = endpointUrl !== undefined && deployment.endpointUrl === undefined;
    if (old === status && !moved) return [];
    const replace = records.replaceDeployment(deployment, {
      status,
      ...(moved ? { endpointUrl } : {}),
    });
    if (old === status) return [replace];
    const route = (await records.routeRecord(id)).body as unknown as Route;
    const versionId = mainTarget(route);
    const replicas = versions.reduce((sum, each) => sum + each.liveReplicas, 0);
    if (status === 'HEALTHY' && old === 'CREATING')
      return [
        replace,
        records.emit('deployment.healthy', name, { deploymentId: id, versionId, replicas }),
      ];
    if (status === 'FAILED') {
      const error = reason === '' ? 'It does not answer.' : reason;
      return [
        replace,
        records.emit('deployment.failed', name, { deploymentId: id, versionId, error }),
      ];
    }
    const facts = { deploymentId: id, reason };
    const event =
      status === 'HEALTHY'
        ? records.emit('deployment.recovered', name, facts)
        : records.emit('deployment.degraded', name, facts);
    return [replace, event];
  }
}

/** What processes said of a deployment and may still hold: those that were silent since are left out. */
export async function readReports(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  deploymentId: string,
  at: number,
): Promise<readonly KeptHealth[]> {
  const record = await metadata.find(workspace, 'deployment_health', deploymentId);
  const reports = (record?.body['reports'] ?? {}) as unknown as Readonly<
    Record<string, KeptHealth>
  >;
  return Object.values(reports).filter((each) => each.at > at - forgottenMs);
}

/** Of several processes: it answers where one of them does, and well where all of them do. */
function statusOf(reports: readonly KeptHealth[]): DeploymentHealth['status'] {
  if (reports.every(({ status }) => status === 'HEALTHY')) return 'HEALTHY';
  return reports.every(({ status }) => status === 'FAILED') ? 'FAILED' : 'DEGRADED';
}

function isSame(a: KeptHealth, b: KeptHealth): boolean {
  return JSON.stringify({ ...a, at: 0 }) === JSON.stringify({ ...b, at: 0 });
}
