import type { Scope } from '../contracts/scope.ts';
import {
  type AccessRules,
  asks,
  at,
  guard,
  named,
  namedIn,
  resourceOf,
  streams,
} from '../operations/access-guard.ts';
import type { Experiment, StoredExperiment } from './experiment.ts';
import type { Tracking } from './tracking.ts';
import { createTypedExperiments } from './typed-experiment.ts';

const readsRun = asks('tracking.read', named('run'));
const readsExperiment = asks('tracking.read', named('experiment'));
const writesRun = asks('run.write', named('run'));
const startsRun = asks('run.create', namedIn('experiment', 'experiment'));

/** The experiments that a search is limited to; the workspace where it is not. */
const searches = asks('tracking.read', ([search]) =>
  namesOf('experiment', at(search, ['experiment'])),
);
const comparesRuns = asks('tracking.read', ([ids]) => namesOf('run', ids));

/** Who may call what of tracking. */
const rules: AccessRules<Tracking> = {
  createExperiment: asks('experiment.create', namedIn('experiment', 'name')),
  getExperiment: readsExperiment,
  findExperiment: readsExperiment,
  listExperiments: {
    ...asks('tracking.read'),
    items: {
      of: (page: { experiments: readonly Experiment[] }) => page.experiments,
      with: (page: object, experiments) => ({ ...page, experiments }),
      resource: (experiment: Experiment) => `experiment:${experiment.id}`,
    },
  },
  updateExperiment: asks('experiment.update', named('experiment')),
  searchExperiments: {
    ...asks('tracking.read'),
    items: {
      of: (page: { experiments: readonly StoredExperiment[] }) => page.experiments,
      with: (page: object, experiments) => ({ ...page, experiments }),
      resource: (experiment: StoredExperiment) => `experiment:${experiment.id}`,
    },
  },
  setExperimentTags: asks('experiment.update', named('experiment')),
  removeExperimentTags: asks('experiment.update', named('experiment')),
  deleteExperiment: asks('experiment.delete', named('experiment')),
  restoreExperiment: asks('experiment.delete', named('experiment')),
  // Its methods are those of the guarded service.
  experiment: 'local',

  startRun: startsRun,
  withRun: startsRun,
  getRun: readsRun,
  findRun: readsRun,
  getParams: readsRun,
  getParamHistory: readsRun,
  getRunHistory: readsRun,
  resumeRun: writesRun,
  joinRun: writesRun,
  updateRun: writesRun,
  setRunTags: writesRun,
  removeRunTags: writesRun,
  deleteRun: writesRun,
  restoreRun: writesRun,
  reap: asks('run.write'),

  searchRuns: searches,
  eachRun: streams(searches),
  countRuns: searches,
  compareRuns: comparesRuns,
  compareGroups: asks('tracking.read', ([options]) => {
    const groups = at(options, ['groups']);
    const lists = typeof groups === 'object' && groups !== null ? Object.values(groups) : [];
    return namesOf('run', lists.flat());
  }),
  comparisonPage: comparesRuns,
  runPage: readsRun,

  listArtifacts: readsRun,
  getArtifact: readsRun,
  artifactUri: readsRun,
  signedArtifactUrl: readsRun,
  openArtifact: readsRun,
  readArtifact: readsRun,
  downloadArtifact: readsRun,
  removeArtifact: writesRun,
  createLoggedModel: asks('run.write', namedIn('run', 'runId')),
  getLoggedModel: asks('tracking.read', named('logged-model')),
  updateLoggedModel: asks('run.write', named('logged-model')),
  deleteLoggedModel: asks('run.write', named('logged-model')),
  searchLoggedModels: asks('tracking.read', ([search]) =>
    namesOf('experiment', at(search, ['experimentIds'])),
  ),
  listLoggedModelsOf: comparesRuns,
  listDatasets: readsRun,
  listDatasetsOf: comparesRuns,
  getMetricHistory: readsRun,
  getMetricsAt: readsRun,
  getMetricSummaries: readsRun,
  getMetricSummariesOf: comparesRuns,
  downsampleMetric: readsRun,

  defineMetric: asks('metric.define'),
  findMetricName: asks('tracking.read'),
  listMetricNames: asks('tracking.read'),
  removeMetricName: asks('metric.define'),

  exportExperiments: asks('experiment.export', ([options]) =>
    namesOf('experiment', at(options, ['experiments'])),
  ),
  importExperiments: asks('experiment.import'),

  elsewhere: {
    lateLogging: 'local',
    heartbeatTimeoutMs: 'local',
    start: startsRun,
    join: writesRun,
    logParams: writesRun,
    logDataset: writesRun,
    logArtifact: writesRun,
    appendPoints: asks('run.write', ([batch]) => {
      const series = at(batch, ['series']);
      const runs = Array.isArray(series) ? series.map((one) => at(one, ['runId'])) : [];
      return namesOf('run', [...new Set(runs)]);
    }),
    beat: asks('run.write', ([ids]) => namesOf('run', ids)),
    note: writesRun,
    finish: writesRun,
  },
};

/** Tracking that asks the scope's authorizer before every call. */
export function guardTracking(scope: Scope, tracking: Tracking): Tracking {
  const guarded = guard(scope, tracking, rules);
  return { ...guarded, ...createTypedExperiments(guarded) };
}

/** The resources of a name or a list of names; the workspace where one of them is none. */
function namesOf(kind: string, names: unknown): readonly string[] | undefined {
  const resources = [names].flat().map((name) => resourceOf(kind, name));
  const known = resources.filter((resource) => resource !== undefined);
  return known.length === 0 || known.length < resources.length ? undefined : known;
}
