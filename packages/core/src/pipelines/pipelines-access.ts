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
  streams,
} from '../operations/access-guard.ts';
import type { Pipelines } from './pipelines-types.ts';

const readsExecution = asks('pipeline.read', named('execution'));
const runsExecution = asks('pipeline.run', named('execution'));

/** What starts pipelines by a name: schedules, triggers. */
const byName = {
  put: asksAll(
    asks('pipeline.define', namedIn('pipeline', 'pipeline')),
    asks('pipeline.run', namedIn('pipeline', 'pipeline')),
  ),
  get: asks('pipeline.read'),
  list: asks('pipeline.read', ([query]) => resourceOf('pipeline', at(query, ['pipeline']))),
  pause: asks('pipeline.define'),
  resume: asks('pipeline.define'),
  remove: asks('pipeline.define'),
  fire: asks('pipeline.run'),
} as const;

/** Who may call what of pipelines. */
const rules: AccessRules<Pipelines> = {
  // Functions of this process; an execution needs a right of its own.
  add: 'local',
  putDefinition: asks('pipeline.define', ([pipeline]) =>
    resourceOf('pipeline', at(pipeline, ['definition', 'name']) ?? at(pipeline, ['name'])),
  ),
  getDefinition: asks('pipeline.read', named('pipeline')),
  definitions: asks('pipeline.read', ([query]) => resourceOf('pipeline', at(query, ['name']))),
  start: asks('pipeline.run', ([pipeline]) =>
    resourceOf(
      'pipeline',
      typeof pipeline === 'string' ? pipeline : at(pipeline, ['definition', 'name']),
    ),
  ),
  get: readsExecution,
  find: readsExecution,
  list: asks('pipeline.read', ([query]) => resourceOf('pipeline', at(query, ['pipeline']))),
  steps: readsExecution,
  items: readsExecution,
  // It runs what it waits for.
  wait: asks('pipeline.run', ([execution]) =>
    resourceOf('execution', typeof execution === 'string' ? execution : at(execution, ['id'])),
  ),
  cancel: runsExecution,
  pause: runsExecution,
  resume: runsExecution,
  retry: runsExecution,
  outputs: readsExecution,
  artifacts: readsExecution,
  logs: streams(readsExecution),
  explainCache: readsExecution,
  clearCache: asks('pipeline.run', ([of]) => resourceOf('pipeline', at(of, ['pipeline']))),
  resources: asks('pipeline.read', () => 'pipeline:*'),
  queue: asks('pipeline.read', ([of]) => resourceOf('execution', at(of, ['executionId']))),
  schedules: { ...byName, next: asks('pipeline.read'), backfill: asks('pipeline.run') },
  triggers: byName,
  loops: 'hidden',
  close: 'local',
};

/** Pipelines, asking the scope's authorizer before every call. */
export function guardPipelines(scope: Scope, pipelines: Pipelines): Pipelines {
  return guard(scope, pipelines, rules);
}
