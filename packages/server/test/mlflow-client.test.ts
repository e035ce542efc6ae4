import { defaultStagePolicy } from '@keelson/core';
import { expect, test } from 'vitest';
import { findPython, runChecks } from '../../serve/test/python/interpreter.ts';
import { shareMlflowServer } from './mlflow-server.ts';

const python = findPython();
const server = shareMlflowServer();

test.skipIf(python === undefined)(
  "MLflow's own client works unmodified, and what it logs is the platform's",
  async () => {
    const script = new URL('python/client_checks.py', import.meta.url).href;
    // One of them behind a prefix, as it is where the handler is mounted.
    const sessions = [
      [server.url, 'experiments', 'runs', 'search', 'artifacts'],
      [`${server.url}/mlops`, 'models', 'registry'],
    ];
    const checks = (
      await Promise.all(sessions.map((asked) => runChecks(python as string, script, ...asked)))
    ).flat();
    expect(checks.filter(({ error }) => error !== null)).toEqual([]);
    expect(checks.length).toBeGreaterThanOrEqual(13);

    const { tracking } = server.platform;
    const { runs } = await tracking.searchRuns({ experiment: 'logged' });
    const [run] = runs;
    expect(runs).toHaveLength(1);
    expect(run).toMatchObject({
      name: 'first',
      status: 'COMPLETED',
      description: 'what it is',
      params: { rate: '0.1', depth: '3', 'model/kind': 'tree' },
      tags: { team: 'risk', a: '1' },
      metrics: { loss: 0.2, auc: 0.9, nan: Number.NaN, inf: Number.POSITIVE_INFINITY },
    });
    const history = await tracking.getMetricHistory(run?.id ?? '', 'loss');
    expect([...history.steps]).toEqual([0, 1, 2, 3, 4, 5]);

    const nested = await tracking.searchRuns({ experiment: 'nested', filter: "name = 'parent'" });
    const { runs: children } = await tracking.searchRuns({
      parentRunId: nested.runs[0]?.id ?? '',
      orderBy: ['name'],
    });
    expect(children.map(({ name }) => name)).toEqual(['child 0', 'child 1']);
    const compared = await tracking.compareRuns(children.map(({ id }) => id));
    expect(JSON.stringify(compared)).toContain('"n"');

    const [logging] = (await tracking.searchRuns({ experiment: 'inputs' })).runs;
    expect(await tracking.listDatasets(logging?.id ?? '')).toMatchObject([
      { name: 'eval', role: 'validation', context: 'holdout', rowCount: 2 },
      { name: 'rain', role: 'train', context: 'training', rowCount: 3 },
    ]);
    const [filed] = (await tracking.searchRuns({ experiment: 'artifacts' })).runs;
    const weights = await tracking.getArtifact(filed?.id ?? '', 'out/weights.bin');
    expect(weights.sizeBytes).toBe(3_000_000);

    const { registry } = server.platform;
    const version = await registry.resolve('fraud@champion');
    expect(version).toMatchObject({
      number: 2,
      version: '2.0.0',
      stage: 'STAGING',
      format: 'SKLEARN',
      metrics: { auc: 0.91 },
      tags: { team: 'risk' },
    });
    expect(version.signature?.inputs).toHaveLength(1);
    const [trained] = (
      await tracking.searchRuns({ experiment: 'models', filter: 'metrics.auc > 0.9' })
    ).runs;
    expect(version.lineage.sourceRunId).toBe(trained?.id);
    const { nodes } = await registry.lineage('fraud@champion');
    expect(nodes.map(({ id }) => id)).toContain(trained?.id);
    expect((await registry.compare(['fraud@1', 'fraud@2'])).versions).toHaveLength(2);
    await registry.requestTransition({
      ...{ model: 'fraud', version: '2.0.0', to: 'PRODUCTION', reason: 'it is the best' },
    });
    expect((await registry.productionVersion('fraud'))?.number).toBe(2);
    const { model_versions: latest } = await server.ok(
      'POST',
      'registered-models/get-latest-versions',
      {
        ...{ name: 'fraud', stages: ['Production'] },
      },
    );
    expect(latest).toMatchObject([{ version: '2', current_stage: 'Production' }]);

    // Under a policy that asks for approval, clients are told who has to act.
    await registry.setPolicy('fraud', defaultStagePolicy);
    const asked = await server.call('POST', 'model-versions/transition-stage', {
      ...{ name: 'fraud', version: '1', stage: 'Production', archive_existing_versions: 'false' },
    });
    expect(asked).toMatchObject({ status: 400, body: { error_code: 'INVALID_PARAMETER_VALUE' } });
  },
  180_000,
);
