/** How many things of each sort were exported or imported. */
export interface MovedCounts {
  readonly experiments: number;
  readonly runs: number;
  /** Calls that logged params: the history of a run's params. */
  readonly paramEntries: number;
  /** Those of moved paths too. */
  readonly artifacts: number;
  /** Different contents of artifacts. */
  readonly contents: number;
  readonly points: number;
  readonly datasets: number;
  /** That a dataset went into a run. */
  readonly datasetLinks: number;
  /** Spellings, names and aliases alike. */
  readonly metricNames: number;
}

/** What counts are kept of records. */
export const countOfKind: Readonly<Record<string, keyof MovedCounts>> = {
  experiment: 'experiments',
  run: 'runs',
  param_entry: 'paramEntries',
  artifact: 'artifacts',
  dataset: 'datasets',
  edge: 'datasetLinks',
  metric_name: 'metricNames',
};

/** Counts that go up. */
export type Tally = { -readonly [K in keyof MovedCounts]: number };

/** Nothing counted yet. */
export function emptyTally(): Tally {
  return {
    experiments: 0,
    runs: 0,
    paramEntries: 0,
    artifacts: 0,
    contents: 0,
    points: 0,
    datasets: 0,
    datasetLinks: 0,
    metricNames: 0,
  };
}
