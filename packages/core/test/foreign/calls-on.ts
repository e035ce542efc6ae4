import { RuleRuntime } from '../rule-runtime.ts';
import { secretPipeline, secretSaga, type WorldNames } from './secret-world.ts';

type Args = readonly unknown[];

/** Where a call may write, and archives that it may read. */
export interface Places {
  /** A new directory. */
  fresh(): string;
}

/**
 * Calls of every method that name things of a world: what its own people call to see and change them. A
 * method that is missing is handed the names as they come; where it refuses all of those as INVALID, it has
 * to be written down here.
 */
export function callsOn(w: WorldNames, places: Places): Readonly<Record<string, readonly Args[]>> {
  const [run, other] = w.runIds;
  const until = Date.now() + 3_600_000;
  const range = { from: 0, to: until };
  const deployment = { id: w.deploymentId, name: w.deployment };
  const handler = (): void => undefined;
  return {
    'tracking.createExperiment': [[{ name: w.experiment, ifExists: 'reuse' }]],
    'tracking.listExperiments': [
      [],
      [{ lifecycle: 'deleted' }],
      [{ cursor: w.experimentsCursor, limit: 1 }],
    ],
    'tracking.updateExperiment': [
      [w.experiment, { description: 'x' }],
      [w.experimentId, { name: 'x' }],
    ],
    'tracking.setExperimentTags': [[w.experimentId, { a: 'b' }]],
    'tracking.removeExperimentTags': [[w.experimentId, ['a']]],
    'tracking.createLoggedModel': [[{ runId: run, name: 'm' }]],
    'tracking.updateLoggedModel': [['m-1', { status: 'READY' }]],
    'tracking.experiment': [],
    'tracking.startRun': [[{ experiment: w.experiment, environment: false, parentRunId: run }]],
    'tracking.elsewhere.start': [[{ experiment: w.experiment, parentRunId: run }]],
    'tracking.elsewhere.logParams': [[run, { a: 1 }]],
    'tracking.elsewhere.logDataset': [[run, { name: 'd', digest: '1', role: 'train' }]],
    'tracking.elsewhere.appendPoints': [
      [
        {
          ...{ writer: 'w-1', sequence: 1, series: [{ runId: run, key: 'loss' }] },
          ...{ seriesIndex: [0], steps: [0], timestamps: [1], values: [1] },
        },
      ],
    ],
    'tracking.elsewhere.note': [[run, { late: true }]],
    'tracking.elsewhere.finish': [[run, { status: 'FAILED', reason: 'mine' }]],
    'tracking.withRun': [
      [{ experiment: w.experiment, environment: false, parentRunId: run }, () => undefined],
    ],
    'tracking.updateRun': [[run, { name: 'x' }]],
    'tracking.setRunTags': [[run, { a: 'b' }]],
    'tracking.removeRunTags': [[run, ['note']]],
    'tracking.reap': [[]],
    'tracking.searchRuns': [
      [{ experiment: w.experiment }],
      [{ experiment: [w.experimentId] }],
      [{ parentRunId: run }],
      [{ filter: `params.note LIKE '%SECRET%'` }],
      [{ cursor: w.runsCursor, limit: 1 }],
    ],
    'tracking.eachRun': [[{ experiment: w.experimentId }], [{}]],
    'tracking.countRuns': [[{ experiment: w.experimentId }]],
    'tracking.compareRuns': [[[run, other]]],
    'tracking.comparisonPage': [[[run, other]]],
    'tracking.compareGroups': [
      [{ groups: { a: [run, other], b: ['none', 'neither'] }, metrics: ['w-loss'] }],
    ],
    'tracking.listArtifacts': [[run], [run, { cursor: w.artifactsCursor, limit: 1 }]],
    'tracking.getArtifact': [[run, w.artifact]],
    'tracking.artifactUri': [[run, w.artifact]],
    'tracking.signedArtifactUrl': [[run, w.artifact, { expiresMs: 60_000 }]],
    'tracking.openArtifact': [[run, w.artifact]],
    'tracking.readArtifact': [[run, w.artifact]],
    'tracking.downloadArtifact': [[run, 'w', places.fresh()]],
    'tracking.getMetricHistory': [[run, 'w-loss']],
    'tracking.getMetricsAt': [[run, 0]],
    'tracking.downsampleMetric': [[run, 'w-loss', { buckets: 2 }]],
    'tracking.defineMetric': [[{ name: 'w-loss' }]],
    'tracking.exportExperiments': [
      [{ to: places.fresh(), experiments: [w.experimentId] }],
      [{ to: places.fresh() }],
    ],
    'tracking.importExperiments': [[{ from: places.fresh() }]],

    'registry.register': [
      [{ model: w.model, from: { runId: run, path: 'w' }, format: 'CUSTOM' }],
      [
        {
          model: w.model,
          from: { files: { a: new Uint8Array(1) } },
          format: 'CUSTOM',
          lineage: { sourceRunId: run, parentVersionIds: [w.versionId] },
        },
      ],
    ],
    'registry.setPolicy': [
      [w.model, { transitions: [], singleProduction: true, selfApproval: true }],
    ],
    'registry.createModel': [[{ name: w.model }]],
    'registry.updateModel': [[w.model, { description: 'x', tags: { a: 'b' } }]],
    'registry.asOf': [[w.model, Date.now()]],
    'registry.getVersion': [[w.model, w.version]],
    'registry.resolve': [[`${w.model}@${w.version}`], [`${w.model}@latest`]],
    'registry.updateVersion': [[w.versionId, { description: 'x' }]],
    'registry.setAlias': [[w.model, 'champion', w.version]],
    'registry.removeAlias': [[w.model, 'champion']],
    'registry.deprecate': [[w.model, w.version, { reason: 'x' }]],
    'registry.undeprecate': [[w.model, w.version]],
    'registry.deleteVersion': [[w.model, w.version, { reason: 'x', force: true }]],
    'registry.restoreVersion': [[w.model, w.version]],
    'registry.deleteModel': [[w.model, { reason: 'x', force: true }]],
    'registry.rollback': [[w.model, { reason: 'x' }]],
    'registry.setAutomation': [
      [{ name: 'x', experiment: w.experiment, model: w.model, path: 'w', criteria: [] }],
    ],
    'registry.addCheck': [],
    'registry.addEffect': [],
    'registry.setVersionTags': [[w.versionId, { a: 'b' }]],
    'registry.setCard': [[w.versionId, { team: 'x' }]],
    'registry.cardPage': [[w.versionId, 'html']],
    'registry.setCardSchema': [[w.model, { type: 'object' }]],
    'registry.setValidationSuite': [
      [w.model, { name: 'w-suite', tests: [{ test: 'performance', limits: {} }] }],
    ],
    'registry.getValidationSuite': [[w.model, 'w-suite']],
    'registry.removeValidationSuite': [[w.model, 'w-suite']],
    'registry.validate': [[w.ruleVersionId, 'w-suite', { runtime: new RuleRuntime() }]],
    'registry.validationPage': [[w.reportId, 'html']],
    'registry.compare': [[[w.versionId, w.secondVersionId]]],
    'registry.comparisonPage': [[[w.versionId, w.secondVersionId], 'html']],
    'registry.download': [[w.versionId, places.fresh()]],
    'registry.exportModels': [
      [{ to: places.fresh(), models: [w.model] }],
      [{ to: places.fresh() }],
    ],
    'registry.importModels': [[{ from: places.fresh() }]],
    'registry.verify': [[w.versionId]],
    'registry.sign': [[w.versionId]],
    'registry.exportSignatures': [[w.versionId, places.fresh()]],
    'registry.lineage': [[w.versionId], [run, { direction: 'forward' }]],
    'registry.impact': [[{ versionId: w.versionId }], [{ runId: run }]],
    'registry.requestTransition': [
      [{ model: w.model, version: w.version, to: 'STAGING', reason: 'x' }],
    ],

    'pipelines.schedules.put': [
      [{ name: 'nightly', pipeline: w.pipeline, cron: '0 6 * * *', parameters: {} }],
    ],
    'pipelines.triggers.put': [[{ name: 'push', pipeline: w.pipeline, on: 'run.completed' }]],
    'pipelines.add': [],
    'pipelines.close': [],
    'pipelines.putDefinition': [[secretPipeline]],
    'pipelines.start': [[w.pipeline], [secretPipeline]],
    'pipelines.list': [[], [{ pipeline: w.pipeline }], [{ cursor: w.executionsCursor, limit: 1 }]],
    'pipelines.wait': [[w.executionId, { timeoutMs: 1000 }]],
    'pipelines.outputs': [[w.executionId, 'only']],

    'deployments.create': [
      [{ name: w.deployment, versionId: w.versionId, environment: 'STAGING' }],
    ],
    'deployments.setVersion': [[w.deployment, w.secondVersionId, 'x']],
    'deployments.list': [[], [{ model: w.model }]],
    'deployments.configure': [[w.deployment, { serving: { replicas: 2 } }, 'x']],
    'deployments.remove': [[w.deployment, { reason: 'x' }]],
    'deployments.reportHealth': [[w.deployment, { status: 'FAILED', reason: 'x' }]],
    'deployments.reportScaling': [[w.deployment, { oldReplicas: 1, newReplicas: 2, reason: 'x' }]],
    'deployments.listRevisions': [[w.deployment]],
    'deployments.getRevision': [[w.deployment, 1]],
    'deployments.deploy': [[w.deployment, { versionId: w.secondVersionId, reason: 'x' }]],
    'deployments.rollback': [[w.deployment, { reason: 'x' }]],
    'deployments.addFigure': [],
    'deployments.pauseRollout': [[w.rolloutId, 'x']],
    'deployments.resumeRollout': [[w.rolloutId, 'x']],
    'deployments.promoteRollout': [[w.rolloutId, 'x']],
    'deployments.startAbTest': [
      [
        {
          deployment: w.deployment,
          arms: [
            { name: 'A', versionId: w.versionId, weightPercent: 50 },
            { name: 'B', versionId: w.secondVersionId, weightPercent: 50 },
          ],
          stickyHeader: 'x-user',
          metrics: [{ name: 'errors', outcome: { source: 'errors' }, goal: 'lower' }],
          reason: 'x',
        },
      ],
    ],
    'deployments.decideAbTest': [[w.rolloutId, { reason: 'x' }]],
    'deployments.stopAbTest': [[w.rolloutId, 'x']],
    'deployments.startRollout': [
      [
        {
          deployment: w.deployment,
          versionId: w.secondVersionId,
          steps: [{ weightPercent: 100, shadow: false, gates: [], minDurationMs: 1 }],
          reason: 'x',
        },
      ],
    ],
    'deployments.abortRollout': [[w.rolloutId, 'x']],

    'monitoring.predictions.record': [],
    'monitoring.predictions.flush': [],
    'monitoring.predictions.health': [],
    'monitoring.close': [],
    'monitoring.evidence.ask': [
      [{ figure: 'error_counts', deploymentId: w.deploymentId }],
      [{ figure: 'paired_accuracy', deploymentId: w.deploymentId }],
    ],
    'monitoring.predictions.refused': [],
    'monitoring.watch': [],
    'monitoring.watchLabels': [
      [{ deployment, versionId: w.versionId, rules: [], reference: [], at: 1 }],
    ],
    'monitoring.rebaseline': [
      [{ deployment, versionId: w.versionId, reference: [], at: 1, reason: 'x' }],
    ],
    'monitoring.setBaseline': [
      [{ deployment, versionId: w.versionId, reference: [{ x: 1 }, { x: 2 }] }],
    ],
    // `setBaseline` gives their own workspace one of the version.
    'monitoring.updateBaseline': [[w.deploymentId, { ...range, reason: 'x', versionId: 'none' }]],
    'monitoring.setPredictionSettings': [[w.deploymentId, { sampling: { rate: 0 } }]],
    'monitoring.eraseUser': [['user-1', { reason: 'x' }]],
    'monitoring.detokenise': [['x']],
    'monitoring.drift': [[w.deploymentId, range]],
    'monitoring.learnThresholds': [[w.deploymentId, { from: 0, to: 3_600_000, versionId: 'none' }]],
    'monitoring.dataQuality': [[w.deploymentId, range]],
    'monitoring.setUp': [[w.deployment, false]],
    'monitoring.getSetUp': [[w.deployment]],
    'monitoring.metrics': [[w.deploymentId, { from: until - 3_600_000, to: until }]],
    'monitoring.recentMetrics': [[w.deploymentId]],
    'monitoring.alertRules.put': [
      [{ name: 'w-rule', figure: 'error_rate', above: 0.5, deployment: w.deployment }],
    ],
    'monitoring.alertRules.get': [['w-rule']],
    'monitoring.alertRules.history': [['w-rule']],
    'monitoring.alertRules.remove': [['w-rule']],
    'monitoring.alertRules.test': [['w-rule', { deployment: w.deployment, fire: true }]],
    'monitoring.alertRoutes.put': [[{ name: 'w-route', receivers: ['x'] }]],
    'monitoring.alertRoutes.get': [['w-route']],
    'monitoring.alertRoutes.remove': [['w-route']],
    'monitoring.inhibitions.put': [[{ name: 'w-i', source: { rule: 'a' }, target: { rule: 'b' } }]],
    'monitoring.silences.preview': [[{ deployment: w.deployment }]],
    'monitoring.silences.get': [[w.silenceId]],
    'monitoring.silences.end': [[w.silenceId]],
    'monitoring.silence': [[{ match: { deployment: w.deployment }, reason: 'x', forMs: 60_000 }]],
    'monitoring.acknowledge': [[w.alertId, { comment: 'x' }]],
    'monitoring.resolveAlert': [[w.alertId, { comment: 'x' }]],
    'monitoring.responses.put': [[w.deployment, {}]],
    'monitoring.responses.unfreeze': [[w.deploymentId, { reason: 'x' }]],
    'monitoring.logPredictions': [
      [
        w.deploymentId,
        [
          {
            ...{ versionId: w.versionId, requestId: 'foreign', role: 'primary', at: 1 },
            ...{ features: {}, prediction: 'x', latencyMs: 1 },
          },
        ],
      ],
    ],
    'monitoring.listPredictions': [[w.deploymentId, range]],
    'monitoring.logLabels': [
      [w.deploymentId, [{ requestId: w.requestId, value: 'x', observedAt: 1 }]],
    ],
    'monitoring.evaluate': [[w.deploymentId, { at: until }]],
    'monitoring.performance': [[w.deploymentId, { ...range, segment: 'note' }]],
    'monitoring.performanceReport': [[w.deploymentId, { ...range, segment: 'note' }]],
    'monitoring.compare': [[w.deploymentId, range]],
    'monitoring.businessMetrics': [[w.deploymentId, range]],
    'monitoring.logOutcomes': [
      [w.deploymentId, [{ name: 'paid', requestId: 'r', value: 1, observedAt: until }]],
    ],
    'monitoring.analyseDrift': [
      [w.deploymentId, { type: 'CONCEPT', at: until }],
      [w.deploymentId, { type: 'MULTIVARIATE', at: until, reference: range }],
    ],
    'monitoring.sampledRequests': [[w.deploymentId, range]],
    'monitoring.labelledRows': [[w.deploymentId, range, { versionId: w.versionId }]],

    'events.subscribe': [[`foreign`, { types: ['invoice.sent'], from: 'start' }, handler]],
    'events.each': [
      [],
      [{ ids: [w.eventId] }],
      [{ subjects: ['w-invoice', `run:${run}`] }],
      [{ correlationId: w.correlationId }],
    ],
    'events.archived': [[], [{ ids: [w.eventId] }], [{ subjects: ['w-invoice'] }]],
    'events.archives': [[]],
    'events.follow': [[{}, { signal: AbortSignal.timeout(100) }]],
    'events.deliver': [[]],
    'events.settled': [[w.eventId, { subscriptions: [w.subscription], timeoutMs: 1000 }]],
    'events.replayDeadLetters': [[{ subscription: w.subscription }]],
    'events.dropDeadLetters': [[{ subscription: w.subscription }]],
    'events.publish': [[{ type: 'invoice.paid', subject: 'w-invoice' }]],
    'events.historyTree': [[w.correlationId]],

    'operations.gc': [[{ dryRun: true }]],
    'operations.verify': [[{ contents: 'read' }]],
    'operations.reconcile': [[{ mend: true }]],
    'operations.backup': [[places.fresh()]],
    'operations.health': [[], [{ fresh: true }]],
    'operations.serviceLevels': [[], [{ since: 0 }]],
    'operations.recoveries': [[], [{ check: 'database' }]],
    'operations.sagas.start': [[secretSaga, 'theirs']],
    'operations.sagas.get': [[w.sagaId]],
    'operations.sagas.list': [[], [{ name: 'w-saga' }]],
    'operations.sagas.wait': [[w.sagaId, { timeoutMs: 0 }]],
    'operations.sagas.retry': [[w.sagaId]],
    'operations.audit.verify': [[], [{ anchor: { number: 1, digest: 'x' } }]],
    'operations.audit.entries': [[], [{ subject: `model:${w.model}` }], [{ principal: 'user:w' }]],
    'operations.audit.seal': [[]],
    'operations.audit.findContent': [['SECRET']],
    'operations.audit.erase': [
      [{ events: [w.eventId], tags: [{ runId: run, keys: ['note'] }], reason: 'x' }],
      [{ predictions: [{ deploymentId: w.deploymentId, requestIds: [w.requestId] }], reason: 'x' }],
    ],
    'operations.audit.erasures': [[]],
    'operations.audit.export': [[{ events: true }], [{ subject: `model:${w.model}` }]],
    'operations.asOf': [
      ['model', w.model, until],
      ['run', run, until],
    ],
    'operations.incidents.open': [[{ title: 'x', concerns: `model:${w.model}` }]],
    'operations.incidents.list': [[], [{ review: 'open' }]],
    'operations.incidents.get': [[w.incidentId]],
    'operations.incidents.note': [[w.incidentId, 'x']],
    'operations.incidents.resolve': [[w.incidentId, 'x']],
    'operations.incidents.review': [[w.incidentId, { outcome: 'x' }]],
    'operations.incidents.report': [[w.incidentId]],
    'operations.incidents.markdown': [[w.incidentId]],
    'operations.quotas.set': [[{ resource: 'runs', limit: 1 }]],
    'operations.quotas.remove': [['runs']],
    'operations.quotas.list': [[]],
    'operations.access.grant': [
      [{ principal: 'user:x', role: 'owner', resource: `experiment:${w.experimentId}` }],
      [{ principal: 'user:x', role: 'owner', resource: 'platform' }],
      [{ principal: 'user:x', role: 'owner', resource: `workspace:${w.workspace}` }],
    ],
    'operations.access.revoke': [[w.grantId], [{ principal: 'user:w' }]],
    'operations.access.delegate': [
      [
        {
          to: 'user:x',
          permissions: ['model.read'],
          resource: `experiment:${w.experimentId}`,
          expiresAt: until,
        },
      ],
    ],
    'operations.access.listGrants': [[], [{ principal: 'user:w' }]],
    'operations.access.defineRole': [[{ name: 'mine', permissions: ['model.read'] }]],
    'operations.access.createApiKey': [
      [{ name: 'x', scopes: ['*'] }],
      [{ principal: 'user:w', name: 'x', scopes: ['*'] }],
    ],
    'operations.access.listApiKeys': [[], [{ principal: 'user:w' }]],
    'operations.access.explain': [
      [{ principal: 'user:w', action: 'run.write', resource: `run:${run}` }],
    ],
    'operations.access.listPermissions': [],
  };
}

/** Names of things of a world, as calls that nobody has written down are handed them. */
export function namesOf(w: WorldNames): readonly string[] {
  return Object.values(w).flatMap((name) => (typeof name === 'string' ? [name] : [...name]));
}
