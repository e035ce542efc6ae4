export type { ArchiveSource } from './archive/archive-reader.ts';
export type { ArchiveTarget } from './archive/archive-writer.ts';
export {
  type RestoreBackupOptions,
  restoreBackup,
  type VerifyBackupOptions,
  verifyBackup,
} from './backups.ts';
export type * from './contracts/artifact-store.ts';
export type * from './contracts/backend.ts';
export type { BackupProgress, BackupReport } from './contracts/backup.ts';
export type * from './contracts/caretaker.ts';
export type * from './contracts/event.ts';
export type * from './contracts/evidence-source.ts';
export type * from './contracts/executor.ts';
export type * from './contracts/loop.ts';
export type * from './contracts/metadata-store.ts';
export type * from './contracts/metric-writer.ts';
export type * from './contracts/model-format.ts';
export type * from './contracts/model-runtime.ts';
export type * from './contracts/module-context.ts';
export type * from './contracts/point-target.ts';
export type * from './contracts/ports.ts';
export type * from './contracts/prediction-sink.ts';
export type * from './contracts/query.ts';
export type * from './contracts/quota.ts';
export type * from './contracts/record.ts';
export type * from './contracts/scope.ts';
export type * from './contracts/series-store.ts';
export type * from './contracts/serving-config.ts';
export type * from './contracts/traffic-router.ts';
export * from './deployments/index.ts';
export type { BackupCheck, BackupFinding } from './embedded/backup-check.ts';
export type { RestoreReport } from './embedded/backup-restore.ts';
export { type CacheOptions, cachedArtifacts } from './embedded/cached-artifacts.ts';
export { type DirectoryFormat, directoryFormat } from './embedded/directory-format.ts';
export {
  ProcessExecutor,
  type ProcessExecutorOptions,
} from './embedded/processes/process-executor.ts';
export {
  ThreadExecutor,
  type ThreadExecutorOptions,
} from './embedded/processes/thread-executor.ts';
export {
  type ErrorClass,
  type ErrorCode,
  type ErrorDetails,
  errorCodes,
  isKeelsonError,
  KeelsonError,
} from './errors.ts';
export {
  type CloudEvent,
  type CloudEventFacts,
  type CloudEventMessage,
  cloudEventMessage,
  fromCloudEvent,
  toCloudEvent,
} from './events/cloud-event.ts';
export { correlatedLogger } from './events/correlated-logger.ts';
export { type Correlation, currentCorrelation, withCorrelation } from './events/correlation.ts';
export {
  type CorrelationHeaders,
  correlationFromHeaders,
  headersOfCorrelation,
} from './events/correlation-headers.ts';
export type { DeadLetter, DeadLetterChoice } from './events/dead-letters.ts';
export type { EventTypeDeclaration } from './events/declared-events.ts';
export type { EventArchive } from './events/event-archives.ts';
export type { EventAliases, EventPayloads, EventType } from './events/event-catalogue.ts';
export type { Events, SubscribeOptions } from './events/events.ts';
export {
  type HistoryEvent,
  type HistoryGap,
  type HistoryOptions,
  type HistoryTree,
  historyText,
} from './events/history-tree.ts';
export type { WaitsFor } from './events/parked-subjects.ts';
export type {
  PlatformEvents,
  PublishedEvent,
  TypedFilter,
  TypedHandler,
} from './events/platform-events.ts';
export type { Replay, ReplayFilter, ReplayOptions } from './events/replays.ts';
export type { EventRetention, RetentionTime } from './events/retention.ts';
export type { EventHandler, HandlerContext, OnDeadLetter } from './events/subscription.ts';
export type { SubscriptionView } from './events/subscription-records.ts';
export { addSpan, describeSpan, inSpan, type SpanOptions } from './events/tracing.ts';
export type { EventOf, PayloadOf, ResolvedType } from './events/typed-event.ts';
export {
  asJson,
  canonicalJson,
  decodeJson,
  digestJson,
  encodeJson,
  type Json,
  type JsonObject,
} from './json.ts';
export type { Alert } from './monitoring/alerting/alert.ts';
export type { AlertRule, RecommendedAction } from './monitoring/alerting/alert-rule.ts';
export type { StoredAlertRule } from './monitoring/alerting/alert-rules.ts';
export type { AlertSchedule } from './monitoring/alerting/alert-schedule.ts';
export type {
  AlertRoute,
  EscalationStep,
  Inhibition,
} from './monitoring/alerting/alert-settings.ts';
export type { Acknowledgement } from './monitoring/alerting/alert-state.ts';
export type { AlertRules, Silences } from './monitoring/alerting/alerting.ts';
export type { AcknowledgeOptions } from './monitoring/alerting/answering.ts';
export type { AlertOutlook } from './monitoring/alerting/dispatcher.ts';
export type { FigureMeaning } from './monitoring/alerting/figure-source.ts';
export type { Matchers } from './monitoring/alerting/matchers.ts';
export type {
  PresetName,
  PresetOptions,
  PresetSetting,
} from './monitoring/alerting/rule-presets.ts';
export type { RuleSight } from './monitoring/alerting/rule-sights.ts';
export type { Heartbeat } from './monitoring/alerting/self-watch.ts';
export type { Silence, SilenceOptions } from './monitoring/alerting/silences.ts';
export type { RuleTest, TestRuleOptions } from './monitoring/alerting/test-rule.ts';
export type {
  BaselineService,
  SetBaselineOptions,
  UpdateBaselineOptions,
} from './monitoring/baselines/baseline-service.ts';
export type {
  LearnThresholdsOptions,
  LearntThresholds,
  ThresholdService,
} from './monitoring/baselines/learnt-thresholds.ts';
export type { Season } from './monitoring/baselines/season.ts';
export type { BaselineSource, StoredBaseline } from './monitoring/baselines/stored-baseline.ts';
export type { Dimension } from './monitoring/metrics/metric-counts.ts';
export type { EndpointMetricName } from './monitoring/metrics/metric-figures.ts';
export type {
  EndpointMetric,
  EndpointMetrics,
  MetricPoint,
  MetricsOptions,
  RecentMetricsOptions,
} from './monitoring/metrics/metrics.ts';
export type { Analysis, Monitor, WatchLabelsOptions } from './monitoring/monitor.ts';
export type { Monitoring } from './monitoring/monitoring.ts';
export type { Label, LabelResult } from './monitoring/performance/labels.ts';
export type {
  Accuracy,
  Performance,
  PerformanceOptions,
  RealisedPerformance,
} from './monitoring/performance/performance.ts';
export type { AnonymisingSettings, Treatment } from './monitoring/predictions/anonymising.ts';
export type {
  ListPredictionsOptions,
  LoggedPrediction,
} from './monitoring/predictions/logged-predictions.ts';
export type {
  PredictionSettings,
  RetentionSettings,
  StoredPredictionSettings,
} from './monitoring/predictions/prediction-settings.ts';
export type { SampleOptions } from './monitoring/predictions/sampled-requests.ts';
export type { SamplingSettings, StratumBy } from './monitoring/predictions/sampling.ts';
export type { StoredPrediction } from './monitoring/predictions/stored-predictions.ts';
export type { ResponseFacts, Trouble } from './monitoring/responses/response-decision.ts';
export {
  type ResponseAction,
  type ResponseActionName,
  type ResponseKind,
  type ResponsePolicy,
  type ResponsePolicyOptions,
  type ResponseRule,
  type RetrainPlan,
  type RouteCalendar,
  responseMatrix,
} from './monitoring/responses/response-policy.ts';
export type { ResponseAct, ResponseDecision } from './monitoring/responses/response-records.ts';
export type { Responses } from './monitoring/responses/responses.ts';
export type { VersionStory } from './monitoring/responses/why-version.ts';
export type { KnownRow, MonitorRule, RuleVerdict } from './monitoring/rule.ts';
export type { SetUpService } from './monitoring/set-up/set-up.ts';
export type {
  MonitoringSetUp,
  SetUpOptions,
  VersionSetUp,
} from './monitoring/set-up/set-up-record.ts';
export type { WatchFunctionOptions } from './monitoring/watching/watched-function.ts';
export type { DataQuality, QualityFinding } from './monitoring/windows/data-quality.ts';
export type { SegmentWindowDrift } from './monitoring/windows/segment-drift.ts';
export type {
  DriftAnalysis,
  DriftOptions,
  QualityAnalysis,
  QualityOptions,
  WindowDriftService,
} from './monitoring/windows/window-drift.ts';
export { openPlatform, type Platform, type Services } from './open-platform.ts';
export type { Access, ExplainOptions, Explanation } from './operations/access.ts';
export type { Role } from './operations/access-roles.ts';
export type { ApiKey, ApiKeyOptions, NewApiKey } from './operations/api-keys.ts';
export type { RecordAsOf } from './operations/as-of.ts';
export type { Attested } from './operations/audit/attestation.ts';
export type { Audit, AuditFilter, ErasedThing } from './operations/audit/audit.ts';
export type { AuditEntry } from './operations/audit/audit-entry.ts';
export type { AuditExportOptions } from './operations/audit/audit-export.ts';
export type {
  AuditProblem,
  AuditProgress,
  AuditReport,
} from './operations/audit/audit-report.ts';
export type { AuditVerifyOptions } from './operations/audit/audit-verification.ts';
export type { ErasedContent, Erasure } from './operations/audit/erasure.ts';
export type { Credentials } from './operations/authenticate.ts';
export type { TokenOptions } from './operations/bearer-tokens.ts';
export { type ExpectedRevision, withExpectedRevision } from './operations/expected-revision.ts';
export type { GarbageOptions, GarbageProgress, GarbageReport } from './operations/garbage.ts';
export type {
  DelegateOptions,
  Grant,
  GrantFilter,
  GrantOptions,
} from './operations/grant.ts';
export type { CheckState } from './operations/health/check-state.ts';
export type { Health, HealthOptions, RecoveryFilter } from './operations/health/health.ts';
export { type HealthAnswer, healthAnswer } from './operations/health/health-answer.ts';
export type { CheckReport, HealthReport } from './operations/health/health-keeper.ts';
export type { RecoveryAttempt } from './operations/health/recovery-history.ts';
export { type RecoveryRule, recoveryRules } from './operations/health/recovery-rules.ts';
export type { ServiceLevel } from './operations/health/service-levels.ts';
export type { Incident, IncidentNote, IncidentTrigger } from './operations/incidents/incident.ts';
export type { IncidentImpact, IncidentReport } from './operations/incidents/incident-report.ts';
export type { IncidentMoment } from './operations/incidents/incident-timeline.ts';
export type {
  IncidentFilter,
  Incidents,
  OpenIncident,
} from './operations/incidents/incidents.ts';
export {
  type MetricDefinition,
  type MetricName as CatalogueMetric,
  type MetricPart,
  metricCatalogue,
} from './operations/metrics/metric-catalogue.ts';
export { Metrics, metricsContentType } from './operations/metrics/metrics.ts';
export type { AddressRange } from './operations/notifiers/addresses.ts';
export {
  type AlertmanagerOptions,
  alertmanagerNotifier,
} from './operations/notifiers/alertmanager-notifier.ts';
export type { Delivery } from './operations/notifiers/delivery.ts';
export type { Notifications, NotifierRoute } from './operations/notifiers/notifications.ts';
export {
  type PagerDutyOptions,
  pagerDutyNotifier,
} from './operations/notifiers/pagerduty-notifier.ts';
export { type SlackOptions, slackNotifier } from './operations/notifiers/slack-notifier.ts';
export { type SmtpOptions, smtpNotifier } from './operations/notifiers/smtp-notifier.ts';
export { type WebhookOptions, webhookNotifier } from './operations/notifiers/webhook-notifier.ts';
export {
  type VerifiedWebhook,
  type VerifyWebhookOptions,
  verifyWebhook,
} from './operations/notifiers/webhook-signature.ts';
export type { Once, OnceOptions } from './operations/once.ts';
export type { BackupOptions, Operations } from './operations/operations.ts';
export { type Permission, permissions } from './operations/permissions.ts';
export type { QuotaOptions, Quotas, QuotaUse } from './operations/quotas.ts';
export type { ReconcileOptions, ReconcileReport } from './operations/reconcile/reconcile.ts';
export {
  defineSaga,
  type SagaContext,
  type SagaDefinition,
  type SagaStep,
  type SagaStepDone,
} from './operations/saga.ts';
export type { Saga, SagaStatus } from './operations/saga-state.ts';
export type { SagaFilter, Sagas } from './operations/sagas.ts';
export {
  type EnvironmentSecretsOptions,
  environmentSecrets,
} from './operations/secrets/environment-secrets.ts';
export { type FileSecretsOptions, fileSecrets } from './operations/secrets/file-secrets.ts';
export { derivedKeys, secretKeys } from './operations/secrets/keys.ts';
export { hideSecret, type SecretSource, secretFrom } from './operations/secrets/secret-source.ts';
export type { VerifyOptions, VerifyReport } from './operations/verification.ts';
export * from './pipelines/public.ts';
export type {
  AccessOptions,
  DownloadCacheOption,
  EventOptions,
  MetricOptions,
  MonitoringOptions,
  PlatformOptions,
  ServicesOptions,
} from './platform-options.ts';
export { type BackgroundOptions, type PlatformRole, platformRoles } from './platform-roles.ts';
export type { Aliases } from './registry/aliases.ts';
export type {
  Automation,
  AutomationCriterion,
  AutomationOutcome,
  AutomationState,
  NewAutomation,
} from './registry/automation/automation.ts';
export type { Automations } from './registry/automation/automations.ts';
export type { CardPerformance, ModelCard } from './registry/cards/card.ts';
export type { CardCheck } from './registry/cards/card-check.ts';
export type { CardRevision } from './registry/cards/cards.ts';
export type { CheckOutcome, OwnCheck } from './registry/checks.ts';
export type { CompareVersionsOptions } from './registry/compare-versions.ts';
export type { FileProblem, VersionVerification } from './registry/damage.ts';
export type { DeleteOptions, Deletion } from './registry/deletion.ts';
export type { DownloadOptions } from './registry/downloads.ts';
export { modelFormats, readModelFacts } from './registry/formats/read-model-facts.ts';
export type { FileProgress, FilesOrigin } from './registry/gather-files.ts';
export type {
  Impact,
  ImpactedVersion,
  ImpactQuestion,
  ProductionPeriod,
} from './registry/impact.ts';
export { type DiagramFormat, lineageDiagram } from './registry/lineage-diagram.ts';
export type {
  LineageEdge,
  LineageEdgeType,
  LineageGraph,
  LineageNode,
  LineageNodeType,
  LineageReach,
} from './registry/lineage-graph.ts';
export type { FoundModel, ModelPage, ModelSearch } from './registry/model-search.ts';
export type {
  LineageDataset,
  Model,
  ModelFile,
  ModelLineage,
  ModelOrigin,
  ModelVersion,
  Stage,
} from './registry/model-version.ts';
export type { ModelChanges, Models, NewModel } from './registry/models.ts';
export type {
  ModelExportOptions,
  ModelExportProgress,
  ModelExportReport,
  OutsideNodes,
} from './registry/moving/export-models.ts';
export type {
  ModelImportOptions,
  ModelImportProgress,
  ModelImportReport,
} from './registry/moving/import-models.ts';
export type { MovedModelCounts } from './registry/moving/moved-model-counts.ts';
export type { PageFormat } from './registry/page-document.ts';
export { withThresholds } from './registry/policy-shape.ts';
export type { RegisterOptions } from './registry/register-options.ts';
export type { Registry } from './registry/registry.ts';
export type { Rollback, RollbackOptions } from './registry/rollback.ts';
export type { TrustOptions } from './registry/signing/signatures.ts';
export type { VerifiedSignature, VersionSignature } from './registry/signing/version-signature.ts';
export type { StageEffect, StageEffectContext } from './registry/stage-effects.ts';
export {
  type Approval,
  defaultStagePolicy,
  type LineagePart,
  type PolicyCheck,
  type StagePolicy,
  type TransitionRule,
} from './registry/stage-policy.ts';
export type { ModelAsOf, TimeTravel, VersionAsOf } from './registry/time-travel.ts';
export type { StageTransition, TransitionStatus } from './registry/transition.ts';
export type { TransitionRequest } from './registry/transition-requests.ts';
export type { Transitions } from './registry/transitions.ts';
export type { PerformanceFigures, Round } from './registry/validation/performance-test.ts';
export type {
  TestFigures,
  TestOutcome,
  TestResult,
  TestSummary,
  ValidationReport,
  ValidationSummary,
} from './registry/validation/report.ts';
export type { SegmentsFigures } from './registry/validation/segments-test.ts';
export type {
  GoldenCase,
  GoldenTest,
  LabelledPrediction,
  MetricFunction,
  MetricLimit,
  MetricsTest,
  PerformanceTest,
  PredictionReading,
  ReplayTest,
  SegmentsTest,
  SuiteDataSource,
  SuiteTest,
  ValidationSuite,
  ValidationSuiteOptions,
} from './registry/validation/suite.ts';
export type { SampledRequest } from './registry/validation/test-context.ts';
export type { Tolerance } from './registry/validation/tolerance.ts';
export type {
  ValidateOptions,
  ValidationProgress,
} from './registry/validation/validate-options.ts';
export type { ValidatedCheck } from './registry/validation/validated-check.ts';
export type {
  ComparedFile,
  ComparedSignatures,
  ComparedVersion,
  ComparedVersionMetric,
  VersionComparison,
} from './registry/version-comparison.ts';
export type { VersionPage, VersionSearch } from './registry/version-search.ts';
export type { VersionChanges, Versions } from './registry/versions.ts';
export type { RemotePlatform, RemoteRegistry, RemoteTracking } from './remote/open-remote.ts';
export { type RemoteReach, remoteMethods, remoteProtocol } from './remote/remote-methods.ts';
export type { RemoteOptions } from './remote/remote-options.ts';
export { decodePoints, pointsMediaType } from './remote/remote-points.ts';
export type { SyncProgress, SyncReport } from './remote/sync-to.ts';
export {
  type BreakerState,
  createPolicy,
  isTransient,
  type Policy,
  type PolicyOptions,
  type PolicyReport,
} from './resilience.ts';
export { type SyncOptions, syncDirectory } from './sync-directory.ts';
export {
  type ActiveRun,
  currentRun,
  type MetricOptions as LogMetricOptions,
} from './tracking/active-run.ts';
export type { Artifact, LogArtifactOptions } from './tracking/artifacts.ts';
export type {
  CompareGroupsOptions,
  CompareOptions,
  RunComparisons,
} from './tracking/compare-runs.ts';
export type {
  BaselineChange,
  ComparedArtifact,
  ComparedMetric,
  ComparedRun,
  Comparison,
  Difference,
  Gap,
} from './tracking/comparison.ts';
export type { DatasetInput } from './tracking/dataset.ts';
export type { RunDataset } from './tracking/datasets.ts';
export type { EnvironmentOptions } from './tracking/environment.ts';
export type {
  Experiment,
  ExperimentChange,
  NewExperiment,
  StoredExperiment,
} from './tracking/experiment.ts';
export type { ExperimentSearch } from './tracking/experiment-search.ts';
export type { ExportOptions, ExportProgress, ExportReport } from './tracking/export-experiments.ts';
export {
  type EpochCallback,
  type EpochCallbackOptions,
  type EpochLogs,
  type EpochRun,
  epochCallback,
} from './tracking/framework-hooks.ts';
export type {
  GroupComparison,
  GroupedMetric,
  GroupPair,
  GroupSummary,
  GroupTest,
} from './tracking/group-comparison.ts';
export type { ImportOptions, ImportProgress, ImportReport } from './tracking/import-experiments.ts';
export type {
  LoggedModel,
  LoggedModelChange,
  LoggedModelMetric,
  LoggedModelStatus,
  NewLoggedModel,
} from './tracking/logged-model.ts';
export type { LoggedModelSearch } from './tracking/logged-models.ts';
export type { MetricDirection } from './tracking/metric-direction.ts';
export type { MetricName } from './tracking/metric-name.ts';
export type { NewMetricName } from './tracking/metric-names.ts';
export type { MovedCounts } from './tracking/moved-counts.ts';
export type { AwayPoints } from './tracking/points-elsewhere.ts';
export type { Run, RunStatus, SourceType } from './tracking/run.ts';
export type { RunHealth } from './tracking/run-health.ts';
export type { RunChange, RunRevision } from './tracking/runs.ts';
export type {
  FinishElsewhere,
  RunElsewhere,
  RunNote,
  RunsElsewhere,
  StartElsewhere,
  Told,
} from './tracking/runs-elsewhere.ts';
export type { RunPage, RunSearch } from './tracking/search.ts';
export type { MetricFigures } from './tracking/series-figures.ts';
export type { StartRunOptions } from './tracking/start-run-options.ts';
export type { SystemMetricsOption } from './tracking/system-metrics.ts';
export {
  type TfModelArtifacts,
  type TfSaveResult,
  type TfWeightSpec,
  tfLoadHandler,
  tfSaveHandler,
} from './tracking/tf-model.ts';
export type { Threshold } from './tracking/threshold.ts';
export type { Tracking, TrackingOptions } from './tracking/tracking.ts';
export type {
  ExperimentTypes,
  TypedExperiment,
  TypedRun,
  TypedStartOptions,
} from './tracking/typed-experiment.ts';
export { uuidV7 } from './uuid.ts';
