import { expandPermissions, type Permission, permissions } from './permissions.ts';

const viewer: readonly Permission[] = [
  'tracking.read',
  'model.read',
  'pipeline.read',
  'deployment.read',
  'monitor.read',
  'prediction.read.output',
  'event.read',
  'saga.read',
  'health.read',
  'quota.read',
];
const own: readonly Permission[] = ['access.delegate', 'key.create'];
const contributor: readonly string[] = [
  ...viewer,
  ...own,
  'experiment.*',
  'run.*',
  'metric.define',
  'model.register',
  'model.update',
  'model.validate',
  'pipeline.*',
  'deployment.predict',
  'label.write',
  'prediction.read.features',
  'event.publish',
  'event.subscribe',
];
const approver: readonly string[] = [
  ...viewer,
  ...own,
  'model.validate',
  'model.promote',
  'model.sign',
  'model.approve',
  'model.alias',
  'model.delete',
  'model.rollback',
];
const deployer: readonly string[] = [
  ...viewer,
  ...own,
  'model.deploy',
  'model.alias',
  'model.rollback',
  'saga.run',
  'deployment.*',
  'monitor.*',
  'alert.*',
  'label.write',
  'prediction.write',
  'event.publish',
  'event.subscribe',
];
const operator: readonly string[] = [
  ...deployer,
  'prediction.read.features',
  'event.replay',
  'workspace.*',
  'health.*',
  'incident.manage',
  'metrics.read',
  'notification.*',
];
const admin: readonly string[] = Object.keys(permissions).filter(
  (name) => name !== 'access.roles' && !name.startsWith('platform.'),
);

/** The roles that every platform has; others are records. */
export const builtInRoles: ReadonlyMap<string, ReadonlySet<Permission>> = new Map(
  Object.entries({
    viewer,
    contributor,
    editor: contributor,
    approver,
    deployer,
    operator,
    admin,
    owner: ['*'],
  }).map(([name, patterns]) => [name, expandPermissions(patterns)]),
);
