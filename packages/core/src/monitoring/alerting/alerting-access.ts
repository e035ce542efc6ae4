import { type AccessRules, asks, named, namedIn } from '../../operations/access-guard.ts';
import type { AlertingService } from './alerting.ts';

const manages = (path: readonly string[], index = 0) =>
  asks('alert.manage', (args) => namedIn('deployment', ...path)(args.slice(index)));

/** Who may call what of alerting. Rules of one deployment ask for that deployment, general ones for the workspace. */
export const alertingRules: AccessRules<AlertingService> = {
  alertRules: {
    put: manages(['deployment']),
    remove: manages(['deployment'], 1),
    get: asks('monitor.read', (args) => namedIn('deployment', 'deployment')(args.slice(1))),
    list: asks('monitor.read', namedIn('deployment', 'deployment')),
    history: asks('monitor.read', (args) => namedIn('deployment', 'deployment')(args.slice(1))),
    status: asks('monitor.read', named('deployment-id')),
    figures: asks('monitor.read'),
  },
  alertingLoops: 'hidden',
};
