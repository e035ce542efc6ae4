import type { Scope } from '../contracts/scope.ts';
import {
  type AccessRules,
  asks,
  asksAll,
  at,
  guard,
  named,
  namedIn,
  resourceOf,
} from '../operations/access-guard.ts';
import type { Deployment } from './deployment.ts';
import type { DeploymentPage } from './deployment-lists.ts';
import type { Deployments } from './deployments.ts';

const reads = asks('deployment.read', named('deployment'));
const changes = asks('deployment.deploy', named('deployment'));
const steers = asks('deployment.deploy', named('rollout'));

/** Who may call what of deployments. Traffic to a version takes a right on its model too. */
const rules: AccessRules<Deployments> = {
  create: asksAll(
    asks('deployment.create', namedIn('deployment', 'name')),
    asks('model.deploy', namedIn('version', 'versionId')),
  ),
  get: reads,
  find: reads,
  list: {
    ...asks('deployment.read'),
    items: {
      of: ({ deployments }: DeploymentPage) => deployments,
      with: (page: DeploymentPage, kept) => ({ ...page, deployments: kept }),
      resource: (deployment: Deployment) => `deployment:${deployment.name}`,
    },
  },
  route: reads,
  routeHistory: reads,
  setVersion: asksAll(
    asks('deployment.deploy', named('deployment')),
    asks('model.deploy', named('version', 1)),
  ),
  startRollout: asksAll(
    asks('deployment.deploy', namedIn('deployment', 'deployment')),
    asks('model.deploy', namedIn('version', 'versionId')),
  ),
  getRollout: asks('deployment.read', named('rollout')),
  activeRollout: reads,
  listRollouts: reads,
  evaluateRollout: steers,
  abortRollout: steers,
  pauseRollout: steers,
  resumeRollout: steers,
  promoteRollout: steers,
  deploy: asksAll(
    changes,
    asks('model.deploy', (args) => resourceOf('version', at(args[1], ['versionId']))),
  ),
  rollback: changes,
  suggestStrategy: reads,
  addFigure: 'local',
  admit: asks('deployment.predict', named('deployment')),
  freezes: reads,
  startAbTest: asksAll(
    asks('deployment.deploy', namedIn('deployment', 'deployment')),
    asks('model.deploy', ([options]) => armsOf(options)),
  ),
  getAbTest: asks('deployment.read', named('ab-test')),
  listAbTests: reads,
  abTestReport: asks('deployment.read', named('ab-test')),
  decideAbTest: asks('deployment.deploy', named('ab-test')),
  stopAbTest: asks('deployment.deploy', named('ab-test')),
  configure: changes,
  stop: changes,
  start: changes,
  remove: changes,
  reportHealth: asks('prediction.write', named('deployment')),
  reportScaling: asks('prediction.write', named('deployment')),
  listRevisions: reads,
  getRevision: reads,
  loops: 'hidden',
};

/** The versions that a test takes in; what is no list is the method's to refuse. */
function armsOf(options: unknown): readonly string[] | undefined {
  const arms = at(options, ['arms']);
  if (!Array.isArray(arms)) return undefined;
  const found = arms.map((arm) => resourceOf('version', at(arm, ['versionId'])));
  return found.filter((each) => each !== undefined);
}

/** Deployments, asking the scope's authorizer before every call. */
export function guardDeployments(scope: Scope, deployments: Deployments): Deployments {
  return guard(scope, deployments, rules);
}
