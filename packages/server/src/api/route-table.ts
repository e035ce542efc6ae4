import { abTestRows } from './rows/ab-test-rows.ts';
import { accessRows } from './rows/access-rows.ts';
import { alertRows } from './rows/alert-rows.ts';
import { artifactRows } from './rows/artifact-rows.ts';
import { auditRows } from './rows/audit-rows.ts';
import { comparisonRows } from './rows/comparison-rows.ts';
import { deploymentRows } from './rows/deployment-rows.ts';
import { driftRows } from './rows/drift-rows.ts';
import { eventRows } from './rows/event-rows.ts';
import { executionRows } from './rows/execution-rows.ts';
import { executionViewRows } from './rows/execution-view-rows.ts';
import { experimentRows } from './rows/experiment-rows.ts';
import { inferenceRows } from './rows/inference-rows.ts';
import { lineageRows } from './rows/lineage-rows.ts';
import { modelRows } from './rows/model-rows.ts';
import { monitoringRows } from './rows/monitoring-rows.ts';
import { operationsRows } from './rows/operations-rows.ts';
import { pipelineRows } from './rows/pipeline-rows.ts';
import { predictionRows } from './rows/prediction-rows.ts';
import { remoteRows } from './rows/remote-rows.ts';
import { rolloutRows } from './rows/rollout-rows.ts';
import { runDataRows } from './rows/run-data-rows.ts';
import { runRows } from './rows/run-rows.ts';
import { scheduleRows } from './rows/schedule-rows.ts';
import { stageRows } from './rows/stage-rows.ts';
import { systemRows } from './rows/system-rows.ts';
import { versionRows } from './rows/version-rows.ts';
import { webhookRows } from './rows/webhook-rows.ts';

/** Everything that the control plane can be asked, by resource and verb. */
export interface ControlPlane {
  readonly experiments: typeof experimentRows;
  readonly runs: typeof runRows & typeof runDataRows;
  readonly artifacts: typeof artifactRows;
  readonly compare: typeof comparisonRows;
  readonly models: typeof modelRows;
  readonly versions: typeof versionRows;
  readonly stages: typeof stageRows;
  readonly pipelines: typeof pipelineRows & typeof scheduleRows;
  readonly executions: typeof executionRows & typeof executionViewRows;
  readonly deployments: typeof deploymentRows & typeof inferenceRows;
  readonly rollouts: typeof rolloutRows;
  readonly abTests: typeof abTestRows;
  readonly monitoring: typeof monitoringRows & typeof driftRows;
  readonly predictions: typeof predictionRows;
  readonly alerts: typeof alertRows;
  readonly lineage: typeof lineageRows;
  readonly events: typeof eventRows;
  readonly webhooks: typeof webhookRows;
  readonly access: typeof accessRows;
  readonly audit: typeof auditRows;
  readonly remote: typeof remoteRows;
  readonly system: typeof systemRows & typeof operationsRows;
}

/** The table that routing, checks, description, client and tests are made of. */
export const routeTable: ControlPlane = {
  experiments: experimentRows,
  runs: { ...runRows, ...runDataRows },
  artifacts: artifactRows,
  compare: comparisonRows,
  models: modelRows,
  versions: versionRows,
  stages: stageRows,
  pipelines: { ...pipelineRows, ...scheduleRows },
  executions: { ...executionRows, ...executionViewRows },
  deployments: { ...deploymentRows, ...inferenceRows },
  rollouts: rolloutRows,
  abTests: abTestRows,
  monitoring: { ...monitoringRows, ...driftRows },
  predictions: predictionRows,
  alerts: alertRows,
  lineage: lineageRows,
  events: eventRows,
  webhooks: webhookRows,
  access: accessRows,
  audit: auditRows,
  system: { ...systemRows, ...operationsRows },
  remote: remoteRows,
};
