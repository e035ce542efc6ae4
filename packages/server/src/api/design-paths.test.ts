import { expect, test } from 'vitest';
import { RouteLookup } from './route-lookup.ts';
import { routeTable } from './route-table.ts';

/** Every method and path of the design document: its API tables, workflows and verification calls. */
const designed = `
POST /api/v1/experiments
POST /api/v1/runs
POST /api/v1/runs/{run_id}/params
POST /api/v1/runs/{run_id}/metrics
POST /api/v1/runs/{run_id}/artifacts
GET /api/v1/runs/{run_id}
GET /api/v1/runs/{run_id}/artifacts
GET /api/v1/runs/{run_id}/artifacts/model/fraud_detector.pkl
PUT /api/v1/runs/{run_id}/status
POST /api/v1/runs/search
POST /api/v1/runs/compare
POST /api/v1/runs/complete
GET /api/v1/events
GET /api/v1/models
POST /api/v1/models
POST /api/v1/models/search
POST /api/v1/models/compare
GET /api/v1/models/{name}/lineage
GET /api/v1/models/{name}/versions
POST /api/v1/models/{name}/versions
GET /api/v1/models/{name}/versions/latest
GET /api/v1/models/{name}/versions/{version}
PUT /api/v1/models/{name}/versions/{version}/stage
POST /api/v1/models/{name}/versions/{version}/promote
GET /api/v1/models/{name}/versions/{version}/lineage
GET /api/v1/models/{name}/versions/{version}/artifact
POST /api/v1/pipelines
POST /api/v1/pipelines/trigger
POST /api/v1/pipelines/{pipeline_id}/runs
GET /api/v1/pipelines/{pipeline_id}/runs/{run_id}
GET /api/v1/pipelines/{pipeline_id}/runs/{run_id}/status
POST /api/v1/pipelines/{pipeline_id}/runs/{run_id}/cancel
GET /api/v1/pipelines/{pipeline_id}/runs/{run_id}/logs
GET /api/v1/pipelines/{pipeline_id}/runs/{run_id}/artifacts
GET /api/v1/pipelines/runs/{run_id}/steps/{step}/logs
POST /api/v1/deploy
POST /api/v1/deployments
GET /api/v1/deployments/endpoints
POST /api/v1/deployments/predict
PUT /api/v1/deployments/{deployment_id}/traffic
PUT /api/v1/deployments/{deployment_id}/scale
POST /api/v1/deployments/{deployment_id}/rollback
GET /api/v1/deployments/{deployment_id}/health
POST /api/v1/monitoring/predictions
POST /api/v1/monitoring/predictions/batch
GET /api/v1/monitoring/models/{name}/metrics
POST /api/v1/monitoring/models/{name}/drift/analyze
GET /api/v1/monitoring/models/{name}/alerts
PUT /api/v1/monitoring/models/{name}/thresholds
GET /api/v1/monitoring/models/{name}/baseline
GET /api/v1/monitoring/{name}/metrics
GET /api/v1/monitoring/{name}/realtime
GET /api/v1/monitoring/{name}/drift
GET /api/v1/monitoring/{name}/alerts
POST /monitor/log_prediction
GET /monitor/predictions
POST /v1/models/{name}:predict
GET /v1/models/{name}/metadata
`;

/** Those that the serving answers which is mounted beside the control plane; test/control-plane.test.ts asks them. */
const ofServing: readonly string[] = [
  'POST /v1/models/{name}:predict',
  'GET /v1/models/{name}/metadata',
];

test('every path of the design document is a row, or one of serving', () => {
  const lookup = new RouteLookup(routeTable);
  const found = designed
    .trim()
    .split('\n')
    .filter((line) => {
      const [method = '', path = ''] = line.split(' ');
      return lookup.find(path.replace(/\{\w+\}/g, 'some'))?.byMethod.has(method) !== true;
    });
  expect(found).toEqual(ofServing);
});
