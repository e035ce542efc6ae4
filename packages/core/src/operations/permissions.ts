import { KeelsonError } from '../errors.ts';

/** Every permission there is, with what it lets one do. `assertAllowed` takes no other. */
export const permissions = {
  'tracking.read': 'see experiments, runs, params, metrics, datasets and artifacts, bytes included',
  'experiment.create': 'make experiments',
  'experiment.update': 'rename, describe and tag experiments',
  'experiment.delete': 'delete and restore experiments',
  'experiment.export': 'write experiments with all that is theirs into an archive',
  'experiment.import': 'bring experiments in from an archive',
  'run.create': 'start runs',
  'run.write': 'log to runs, resume, tag, rename, delete and restore them',
  'metric.define': 'define names of metrics',
  'model.read': 'see models, versions, their files and where they came from',
  'model.register': 'register versions of models',
  'model.update': 'describe and tag models and versions, and write their cards',
  'model.policy': 'say which transitions a model may take, and what its cards must hold',
  'model.validate': 'keep validation suites of models, and run them on versions',
  'model.sign': 'vouch for versions with the keys of the platform',
  'model.promote': 'ask for a version to move to another stage',
  'model.approve': 'approve or reject such a move',
  'model.rollback': 'bring the former version back in an emergency, without approvals',
  'model.alias': 'let aliases point to versions',
  'model.delete': 'deprecate, delete and restore versions and models',
  'model.export': 'write models with all that is theirs, bytes included, into an archive',
  'model.import': 'bring models in from an archive, with their stages and their audit',
  'model.deploy': 'take a version into a deployment',
  'pipeline.read': 'see pipelines, executions and their outputs',
  'pipeline.define': 'store definitions of pipelines',
  'pipeline.run': 'start, cancel and retry executions',
  'deployment.read': 'see deployments, routes and rollouts',
  'deployment.create': 'make deployments',
  'deployment.deploy': 'move traffic: rollouts and routes',
  'deployment.predict': 'have deployments answer requests',
  'monitor.read': 'see monitors, analyses, alerts, reports and figures of predictions',
  'monitor.manage': 'watch deployments, evaluate, set references',
  'alert.manage': 'keep alert rules and routes',
  'alert.respond': 'acknowledge, resolve and silence alerts',
  'label.write': 'tell what was really the case',
  'prediction.write': 'log predictions',
  'prediction.read.output': 'see what was predicted, and labels',
  'prediction.read.features': 'see what predictions were made from',
  'prediction.read.identity': 'see which request and caller a prediction belongs to',
  'event.read': 'see events, subscriptions and dead letters',
  'event.publish': 'say that something of one’s own has happened',
  'event.subscribe': 'have events of the workspace handled',
  'event.replay': 'replay events, replay and drop dead letters',
  'saga.read': 'see sagas and what their steps have answered',
  'saga.run': 'start sagas, wait for them, and retry those that are stuck',
  'workspace.verify': 'look whether everything that is kept is whole',
  'workspace.collect': 'free what nobody needs any more',
  'audit.read': 'see and verify the audit trail, and how things were at a time',
  'audit.manage': 'seal, export and erase',
  'health.read': 'see health, incidents and service levels',
  'health.repair': 'run recoveries and reconciliation',
  'incident.manage': 'open incidents, note, resolve and review them',
  'metrics.read': 'read the metrics of this process, over all workspaces',
  'notification.read': 'see what notifiers delivered',
  'notification.manage': 'test notifiers and deliver again',
  'quota.read': 'see limits and use of the workspace',
  'quota.manage': 'set limits of the workspace',
  'access.read': 'see grants, roles and keys, and why somebody may do something',
  'access.grant': 'grant and revoke roles',
  'access.delegate': 'lend permissions of his own for a time',
  'access.roles': 'define roles',
  'key.create': 'make, rotate and revoke keys of his own',
  'key.manage': 'make, rotate and revoke keys of others',
  'platform.backup': 'write a backup of all workspaces',
} as const;

/** The name of one thing that somebody may be allowed to do, such as `model.promote`. */
export type Permission = keyof typeof permissions;

const names = Object.keys(permissions) as readonly Permission[];

/** What patterns stand for: a permission, `tracking.*`, or `*`. INVALID, by name, for what matches nothing. */
export function expandPermissions(patterns: readonly string[]): ReadonlySet<Permission> {
  const all = new Set<Permission>();
  for (const pattern of patterns) {
    const found = names.filter((name) => matches(name, pattern));
    if (found.length === 0) {
      throw new KeelsonError(
        'INVALID',
        `There is no permission ${JSON.stringify(pattern)}; there are ${names.join(', ')}, and patterns such as tracking.*`,
        { details: { permission: pattern } },
      );
    }
    for (const name of found) all.add(name);
  }
  return all;
}

/** Whether one of the patterns stands for the permission. */
export function covers(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matches(name, pattern));
}

/** Whether it is in the list. */
export function isPermission(name: string): name is Permission {
  return Object.hasOwn(permissions, name);
}

function matches(name: string, pattern: string): boolean {
  return pattern === '*' || name === pattern || isBelow(name, pattern);
}

function isBelow(name: string, pattern: string): boolean {
  return pattern.endsWith('.*') && name.startsWith(pattern.slice(0, -1));
}
