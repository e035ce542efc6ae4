import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { isKeelsonError } from '../errors.ts';
import { commitChanges, type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { everyRecord } from '../operations/every-record.ts';
import type { Registry } from '../registry/registry.ts';
import { type Deployment, mainTarget } from './deployment.ts';
import { alertRaised, alertResolved } from './deployment-alerts.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import type { Revision } from './revision.ts';
import { candidatesForRollback } from './rollback-targets.ts';

/** How many versions a deployment can go back to are kept verified, and how old that may be. */
const keptVerified = 2;
const verifiedForMs = 6 * 3_600_000;

type Found = 'whole' | 'damaged';

/**
 * Reads, every six hours, all content of the two newest known-good versions that a deployment could go back to; where
 * one is damaged, of further ones. The revision says what was found, and a rollback passes over what is damaged.
 * Where none is whole, somebody is called while what answers still does.
 */
export function createTargetLoop(
  scope: Scope,
  registry: Pick<Registry, 'verify' | 'getVersionById'>,
  records: DeploymentRecords,
): Loop {
  const { metadata, workspace, clock } = scope;

  async function look(id: string, signal: AbortSignal): Promise<void> {
    const deployment = await records.getById(id);
    if (deployment.status === 'TERMINATING') return;
    const { body } = await records.routeRecord(id);
    const answering = new Set([mainTarget(body as unknown as Route)]);
    const problems: string[] = [];
    let whole = 0;
    for await (const revision of candidatesForRollback(scope, deployment, answering)) {
      if (signal.aborted) return;
      if ((await found(revision, signal)) === 'whole') whole += 1;
      else problems.push(revision.after.version);
      if (whole >= keptVerified) break;
    }
    await tell(deployment, whole, problems);
  }

  /** What is known of a revision's version, or found out now. */
  async function found(revision: Revision, signal: AbortSignal): Promise<Found> {
    const { verified, after } = revision;
    const now = clock.now();
    const fresh = verified !== undefined && now - verified.at < verifiedForMs;
    const { status, deletedAt } = await registry.getVersionById(after.versionId);
    if (deletedAt !== undefined) return 'damaged';
    // What the registry flags is damaged whenever that was; what it has healed is looked at anew.
    if (fresh && (verified.damage === undefined) === (status === 'READY'))
      return verified.damage === undefined ? 'whole' : 'damaged';
    const damage = await damageOf(after.versionId, signal);
    await note(revision.id, now, damage);
    return damage === undefined ? 'whole' : 'damaged';
  }

  async function damageOf(versionId: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      const { problems, version } = await registry.verify(versionId, { signal });
      return problems.length === 0 ? undefined : (version.failure ?? problems[0]?.problem);
    } catch (error) {
      // Its content was given up.
      if (isKeelsonError(error, 'CONFLICT', 'NOT_FOUND')) return error.message;
      throw error;
    }
  }

  async function note(id: string, verifiedAt: number, damage: string | undefined): Promise<void> {
    await decideAndCommit(scope, async (): Promise<Decision<undefined>> => {
      const record = await metadata.find(workspace, 'deployment_revision', id);
      if (record === undefined) return { changes: [], result: undefined };
      const columns = { verifiedAt, damage };
      const expect = record.revision;
      return {
        changes: [{ op: 'replace', kind: 'deployment_revision', id, expect, columns }],
        result: undefined,
        reason: 'its content was verified',
      };
    });
  }

  async function tell(
    deployment: Deployment,
    whole: number,
    problems: readonly string[],
  ): Promise<void> {
    const at = clock.now();
    const rule = 'rollback-targets';
    if (whole > 0) {
      const resolution = 'there is a version again that it can go back to';
      await once(() => alertResolved(scope, deployment, { rule, resolution, at }));
      return;
    }
    // A deployment that never had another version has lost none.
    if (problems.length === 0) return;
    const summary = `${deployment.name} has nothing to go back to: ${problems.join(', ')} damaged or deleted`;
    const about = { rule, severity: 'EMERGENCY', summary, at } as const;
    const evidence = { versions: problems };
    const correlationId = scope.ids.next();
    await once(() => alertRaised(scope, deployment, { ...about, evidence, correlationId }));
  }

  /** Another process may tell the same at the same time. */
  async function once(decide: () => ReturnType<typeof alertRaised>): Promise<void> {
    try {
      await commitChanges(scope, await decide());
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT', 'STALE')) throw error;
    }
  }

  return {
    name: 'rollback-targets',
    idleMs: 600_000,
    async runOnce(signal) {
      let fault: unknown;
      for await (const { id } of everyRecord(scope, 'deployment', { body: false })) {
        if (signal.aborted) return false;
        try {
          await look(id, signal);
        } catch (error) {
          // One that cannot be looked at keeps no other waiting.
          fault ??= error;
        }
      }
      if (fault !== undefined) throw fault;
      return false;
    },
  };
}
