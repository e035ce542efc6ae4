import type { Scope } from '../contracts/scope.ts';
import { type AccessRules, asks, guard, streams } from './access-guard.ts';
import type { Operations } from './operations.ts';

/** Who may call what of operations. */
const rules: AccessRules<Operations> = {
  // Of one's own requests; the work asks for itself.
  once: 'local',
  gc: asks('workspace.collect'),
  verify: asks('workspace.verify'),
  reconcile: asks('health.repair'),
  backup: asks('platform.backup', () => 'platform'),
  // They are of the process, whatever workspace is asked.
  metrics: asks('metrics.read', () => 'platform'),
  health: asks('health.read', () => 'platform'),
  recoveries: asks('health.read', () => 'platform'),
  asOf: asks('audit.read'),
  serviceLevels: asks('health.read', () => 'platform'),
  audit: {
    verify: asks('audit.read'),
    entries: streams(asks('audit.read')),
    // What it attests is in it, whoever may see that.
    export: streams(asks('audit.manage')),
    seal: asks('audit.manage'),
    findContent: asks('audit.manage'),
    erase: asks('audit.manage'),
    erasures: streams(asks('audit.read')),
  },
  incidents: {
    open: asks('incident.manage'),
    get: asks('health.read'),
    list: asks('health.read'),
    note: asks('incident.manage'),
    resolve: asks('incident.manage'),
    review: asks('incident.manage'),
    report: asks('health.read'),
    markdown: asks('health.read'),
  },
  notifications: {
    test: asks('notification.manage'),
    deliveries: asks('notification.read'),
    redeliver: asks('notification.manage'),
  },
  sagas: {
    add: 'local',
    start: asks('saga.run'),
    // It drives those that are due.
    wait: asks('saga.run'),
    retry: asks('saga.run'),
    get: asks('saga.read'),
    list: asks('saga.read'),
  },
  quotas: {
    set: asks('quota.manage'),
    remove: asks('quota.manage'),
    list: asks('quota.read'),
  },
  access: {
    // These know the resource, and what its caller has on it.
    grant: 'local',
    revoke: 'local',
    delegate: 'local',
    listGrants: asks('access.read'),
    defineRole: asks('access.roles'),
    removeRole: asks('access.roles'),
    listRoles: asks('access.read'),
    // One's own, or those of others: they know.
    createApiKey: 'local',
    rotateApiKey: 'local',
    revokeApiKey: 'local',
    listApiKeys: 'local',
    explain: 'local',
    listPermissions: 'local',
  },
};

/** Operations, asking the scope's authorizer before every call. */
export function guardOperations(scope: Scope, operations: Operations): Operations {
  return guard(scope, operations, rules);
}
