import type { HealthCheck } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import { baselineWatch } from '../operations/health/baseline.ts';
import { schedules } from '../operations/health/check-schedules.ts';
import { damageCheck } from './damage-check.ts';

const canary = 'health:immutable';

/** The checks of the registry. `reserved` is a scope of the workspace in which checks may write. */
export function registryChecks(
  scope: Scope,
  reserved: Pick<Scope, 'metadata' | 'workspace' | 'principal'>,
): readonly HealthCheck[] {
  const { metadata, workspace } = scope;
  const base = { component: 'registry', critical: false, kind: 'deep', shared: true } as const;
  const judgeTime = baselineWatch('A walk through the lineage of the newest version');
  const newest = {
    orderBy: [{ by: { from: 'column', name: 'createdAt' }, direction: 'desc' }],
  } as const;

  return [
    damageCheck(scope),
    {
      ...{ ...base, ...schedules.performance, failureThreshold: 1 },
      name: 'immutability',
      run: () => immutability(reserved),
    },
    {
      ...{ ...base, ...schedules.performance, kind: 'performance', shared: false },
      name: 'lineage time',
      async run() {
        const { records } = await metadata.query(workspace, 'model_version', {
          ...newest,
          limit: 1,
        });
        const [latest] = records;
        if (latest === undefined) return { status: 'HEALTHY', message: 'There is no version yet.' };
        const startedAt = performance.now();
        const how = { direction: 'backward', depth: 50, limit: 1000 } as const;
        await metadata.reach(workspace, [latest.id], how);
        return judgeTime(performance.now() - startedAt);
      },
    },
  ];
}

/** Whether a version's core really cannot be changed: tried on one that nobody needs. */
async function immutability(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal'>,
): ReturnType<HealthCheck['run']> {
  const { metadata, workspace } = scope;
  const kind = 'model_version';
  let record = await metadata.find(workspace, kind, canary);
  if (record === undefined) {
    const columns = {
      ...{ modelId: canary, modelName: canary, number: 1, version: '1.0.0', format: 'CUSTOM' },
      ...{ sha256: '0'.repeat(64), sizeBytes: 0, createdBy: 'health' },
      ...{ stage: 'DEVELOPMENT', status: 'READY' },
    };
    try {
      await commitChanges(scope, [
        { op: 'create', kind, id: canary, columns, body: { files: [] } },
      ]);
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
    record = await metadata.find(workspace, kind, canary);
  }
  const expect = record?.revision ?? 1;
  try {
    await commitChanges(scope, [
      { op: 'replace', kind, id: canary, expect, columns: { sha256: 'f'.repeat(64) } },
    ]);
  } catch (error) {
    if (!isKeelsonError(error, 'IMMUTABLE')) throw error;
    return { status: 'HEALTHY', message: 'The store refuses to change what is immutable.' };
  }
  const message = 'The store let the digest of a registered version be changed.';
  return { status: 'UNHEALTHY', message };
}
