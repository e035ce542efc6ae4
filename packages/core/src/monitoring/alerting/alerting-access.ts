import { type AccessRules, asks, named, namedIn } from '../../operations/access-guard.ts';
import type { AlertingService } from './alerting.ts';

const manages = (path: readonly string[], index = 0) =>
  asks('alert.manage', (args) => namedIn('deployment', ...path)(args.slice(index)));

const settings = {
  put: asks('alert.manage'),
  remove: asks('alert.manage'),
  get: asks('monitor.read'),
  list: asks('monitor.read'),
} as const;

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
    test: asks('alert.manage', (args) => namedIn('deployment', 'deployment')(args.slice(1))),
  },
  alertRoutes: settings,
  inhibitions: settings,
  silences: {
    list: asks('monitor.read'),
    get: asks('monitor.read'),
    end: asks('alert.respond'),
    preview: asks('monitor.read'),
  },
  silence: asks('alert.respond'),
  acknowledge: asks('alert.respond', named('alert')),
  unacknowledge: asks('alert.respond', named('alert')),
  resolveAlert: asks('alert.respond', named('alert')),
  explainAlert: asks('monitor.read', named('alert')),
  alertingLoops: 'hidden',
};
