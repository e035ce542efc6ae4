import type { Benchmark } from './benchmark.ts';

/**
 * All benchmarks. What they measure is loaded when they run: `npm run bench` alone, and a wrong name,
 * answer at once.
 */
export const benchmarks: readonly Benchmark[] = [
  {
    name: 'base',
    sentence:
      'What everything stands on: the seven below, one after another, in about three minutes.',
    run: async (context) => {
      const parts = [
        'commits',
        'log-calls',
        'points',
        'search',
        'history',
        'artifacts',
        'cold-start',
      ];
      const rows = [];
      for (const name of parts) {
        const part = benchmarks.find((each) => each.name === name);
        if (part === undefined) throw new Error(`There is no benchmark ${name}.`);
        rows.push(...(await part.run(context)));
      }
      return rows;
    },
  },
  {
    name: 'tracking',
    sentence: 'Every figure of tracking that has a goal, beside its baseline (full: half an hour).',
    run: async (context) => (await import('./tracking.ts')).benchTracking(context),
  },
  {
    name: 'audit',
    sentence: 'What an audit entry costs a commit on both stores; sealing and verifying.',
    run: async (context) => (await import('./audit.ts')).benchAudit(context),
  },
  {
    name: 'many-runs',
    sentence: '500 runs open at once in one process, beside the same points of one run.',
    run: async (context) => (await import('./many-runs.ts')).benchManyRuns(context),
  },
  {
    name: 'large-file',
    sentence: 'The memory that a large artifact takes, up and down, beside bare streams.',
    run: async (context) => (await import('./large-file.ts')).benchLargeFile(context),
  },
  {
    name: 'rollouts',
    sentence: 'Simulated canaries: how many good ones are turned back, how soon failing ones are.',
    run: async (context) => (await import('./rollouts.ts')).benchRollouts(context),
  },
  {
    name: 'pg-series',
    sentence: 'Points, histories and predictions on PostgreSQL, beside rows that pg inserts.',
    run: async (context) => {
      const [{ benchPgSeries }, { PgBench }] = await Promise.all([
        import('./pg-series.ts'),
        import('./pg-server.ts'),
      ]);
      await using server = await PgBench.start();
      return await benchPgSeries(context, server);
    },
  },
  {
    name: 's3',
    sentence: 'A file up to S3-compatible storage and down again, beside the plain SDK.',
    run: async (context) => (await import('./s3-artifacts.ts')).benchS3Artifacts(context),
  },
  {
    name: 'pg-soak',
    sentence: '50 writers, 1,000 points a second each, on one PostgreSQL (full: ten minutes).',
    run: async (context) => (await import('./pg-soak.ts')).benchPgSoak(context),
  },
  {
    name: 'commits',
    sentence: 'Commits of one change and of 50 to the metadata store, beside bare node:sqlite.',
    run: async (context) => (await import('./commits.ts')).benchCommits(context),
  },
  {
    name: 'log-calls',
    sentence: 'What a logMetric call costs a loop that never awaits, beside pushing into an array.',
    run: async (context) => (await import('./log-calls.ts')).benchLogCalls(context),
  },
  {
    name: 'points',
    sentence: 'Metric points a second, durable and folded, beside rows in bare node:sqlite.',
    run: async (context) => (await import('./ingest.ts')).benchIngest(context),
  },
  {
    name: 'search',
    sentence: 'Run search, realistic and adversarial, first page and page 100, beside plain SQL.',
    run: async (context) => (await import('./search.ts')).benchSearch(context),
  },
  {
    name: 'history',
    sentence:
      'A metric of 1,000,000 points, downsampled and read whole, beside rows in node:sqlite.',
    run: async (context) => (await import('./history.ts')).benchHistory(context),
  },
  {
    name: 'artifacts',
    sentence: 'Throughput of the file artifact store, beside sha256sum, cp and bare reading.',
    run: async (context) => (await import('./artifacts.ts')).benchArtifacts(context),
  },
  {
    name: 'cold-start',
    sentence: 'openPlatform() in a fresh process, beside a bare process and a bare SQLite file.',
    run: async (context) => (await import('./cold-start.ts')).benchColdStart(context),
  },
  {
    name: 'search-shapes',
    sentence: 'Run searches of other shapes: patterns, alternatives, negation, beside plain SQL.',
    run: async (context) => (await import('./search.ts')).benchSearchShapes(context),
  },
  {
    name: 'contention',
    sentence:
      'Eight processes that commit to one file, and how long their event loops stand still.',
    run: async (context) => (await import('./contention.ts')).benchContention(context),
  },
  {
    name: 'stores',
    sentence:
      'Commits, claims and searches on PostgreSQL beside plain SQL; contents on S3 beside the plain SDK.',
    run: async (context) => (await import('./stores.ts')).benchStores(context),
  },
  {
    name: 'events',
    sentence:
      'Events committed and handed to a subscription, on both stores, beside an outbox table that is polled.',
    run: async (context) => (await import('./events.ts')).benchEvents(context),
  },
  {
    name: 'registry',
    sentence:
      'Lineage of 1,000 nodes, impact and searches of versions, on both stores, beside recursive SQL; downloads.',
    run: async (context) => [
      ...(await (await import('./registry-downloads.ts')).benchRegistryDownloads(context)),
      ...(await (await import('./registry.ts')).benchRegistry(context)),
    ],
  },
  {
    name: 'registry-downloads',
    sentence: 'A large model registered, downloaded cold and from the cache, beside bare copies.',
    run: async (context) =>
      (await import('./registry-downloads.ts')).benchRegistryDownloads(context),
  },
  {
    name: 'pipelines',
    sentence:
      'What the engine costs a step on both stores; a command as a step, beside the bare spawn.',
    run: async (context) => (await import('./pipelines.ts')).benchPipelines(context),
  },
  {
    name: 'containers',
    sentence: 'A step in a Docker container, beside the same container by the Engine API alone.',
    run: async (context) => (await import('./containers.ts')).benchContainers(context),
  },
  {
    name: 'predictions',
    sentence:
      'Rows of the prediction log, appended and read, beside rows with JSON in node:sqlite.',
    run: async (context) => (await import('./predictions.ts')).benchPredictions(context),
  },
  {
    name: 'serving',
    sentence:
      'The CPU of a served request, beside a bare HTTP echo; replicas, batching, log, cache, codec, routing.',
    run: async (context) => (await import('./serving.ts')).benchServing(context),
  },
  {
    name: 'serving-servers',
    sentence: 'One model served here, by MLServer and by MLflow: requests a second and p99.',
    run: async (context) => (await import('./serving-servers.ts')).benchServingServers(context),
  },
  {
    name: 'http',
    sentence:
      "MLflow's client against this server and MLflow's own: logging, runs, search; memory at rest, start.",
    run: async (context) => (await import('./http.ts')).benchHttp(context),
  },
  {
    name: 'monitoring',
    sentence:
      'Drift of 1,000,000 rows × 20, beside Evidently; false alarms and power; figures by the minute.',
    run: async (context) => [
      ...(await (await import('./monitoring.ts')).benchMonitoring(context)),
      ...(await (await import('./monitoring-windows.ts')).benchMonitoringWindows(context)),
    ],
  },
  {
    name: 'false-alarms',
    sentence: 'Monitoring over three years in which nothing changes, and in which labels worsen.',
    run: async (context) => (await import('./false-alarms.ts')).benchFalseAlarms(context),
  },
];
