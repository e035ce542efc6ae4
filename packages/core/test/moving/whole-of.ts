import type { Services } from '../../src/open-platform.ts';

/**
 * A mean is a sum in order of arrival, which a move does not keep: equal but for rounding, and where the
 * sum leaves the doubles.
 */
function meanOf(mean: number | undefined, values: Float64Array): unknown {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value) || 0), 0);
  if (largest > 1e300 && Number.isFinite(largest)) return 'too large to tell';
  if (mean === undefined || !Number.isFinite(mean) || largest === 0) return mean;
  return (mean / largest).toFixed(10);
}

/** Everything that tracking can be asked, but for what names the platform itself (addresses of files). */
export async function wholeOf({ tracking }: Pick<Services, 'tracking'>): Promise<unknown> {
  const experiments = [];
  for (const lifecycle of ['active', 'archived', 'deleted'] as const) {
    experiments.push(...(await tracking.listExperiments({ lifecycle, limit: 1000 })).experiments);
  }
  const runs = [];
  for (const { id: experiment } of experiments) {
    for (const lifecycle of ['active', 'deleted'] as const) {
      for await (const run of tracking.eachRun({ experiment, lifecycle })) {
        runs.push(await wholeOfRun(tracking, run.id));
      }
    }
  }
  const searches = [
    "attributes.status = 'COMPLETED'",
    'metrics.loss > 0',
    'metrics.loss.count >= 1 AND params.rate > 0.0005',
    "params.text = '0.001' OR tags.phase = 'one'",
    'metrics.loss.min < 1',
  ];
  const found = [];
  for (const filter of searches) {
    for (const orderBy of [['metrics.loss ASC'], ['params.rate DESC', 'attributes.name ASC']]) {
      const page = await tracking.searchRuns({ filter, orderBy });
      found.push(page.runs.map(({ id }) => id));
      found.push(await tracking.countRuns({ filter, exact: true }));
    }
  }
  return { experiments, runs, found, names: await tracking.listMetricNames() };
}

async function wholeOfRun(tracking: Services['tracking'], id: string): Promise<unknown> {
  const summaries = await tracking.getMetricSummaries(id);
  const metrics = [];
  for (const { key, mean, ...summary } of summaries) {
    const { steps, timestamps, values } = await tracking.getMetricHistory(id, key);
    metrics.push({
      key,
      summary,
      mean: meanOf(mean, values),
      points: [steps, timestamps, values].map((column) => [...column]),
      drawn: await tracking.downsampleMetric(id, key, { buckets: 3 }),
    });
  }
  const { artifacts } = await tracking.listArtifacts(id);
  const files = [];
  for (const { uri: _, ...artifact } of artifacts) {
    const content = Buffer.from(await tracking.readArtifact(id, artifact.path)).toString('hex');
    files.push({ ...artifact, content });
  }
  return {
    run: await tracking.getRun(id),
    params: await tracking.getParams(id),
    paramHistory: await tracking.getParamHistory(id),
    datasets: await tracking.listDatasets(id),
    at: await tracking.getMetricsAt(id, 3),
    metrics,
    files,
  };
}
