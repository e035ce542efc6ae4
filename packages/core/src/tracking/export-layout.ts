import { createHash } from 'node:crypto';

/** What exports of tracking say that they hold. */
export const exportHolds = 'experiments';

/** Datasets that went into the runs. */
export const datasetsPath = 'datasets.jsonl';

/** What the workspace has agreed on about the metrics of the runs. */
export const metricNamesPath = 'metric-names.jsonl';

/** Where the parts of an experiment lie. */
export interface ExperimentPaths {
  /** The experiment, then for each run its params, artifacts and datasets, then the run itself. */
  readonly records: string;
  /** The points of its runs, in the order of the runs. */
  readonly points: string;
}

/** The members of an experiment; named by its id where that may be a file's name on every system. */
export function experimentPaths(id: string): ExperimentPaths {
  const plain = /^[0-9a-z][0-9a-z-]{0,59}$/.test(id);
  const name = plain ? id : `id-${createHash('sha256').update(id).digest('hex').slice(0, 40)}`;
  return {
    records: `experiments/${name}/records.jsonl`,
    points: `experiments/${name}/points.bin`,
  };
}

/** Whether a member holds the records of an experiment. */
export function isExperimentRecords(path: string): boolean {
  return /^experiments\/[^/]+\/records\.jsonl$/.test(path);
}

/** The points that belong to the experiment whose records lie there. */
export function pointsBeside(records: string): string {
  return records.replace(/records\.jsonl$/, 'points.bin');
}

/** Where content lies. */
export function contentPath(sha256: string): string {
  return `content/${sha256.slice(0, 2)}/${sha256}`;
}

/** The digest of the content that lies there; undefined for other members. */
export function contentDigest(path: string): string | undefined {
  const found = /^content\/([0-9a-f]{2})\/([0-9a-f]{64})$/.exec(path);
  return found?.[2]?.startsWith(found[1] ?? '-') === true ? found[2] : undefined;
}

/** What the line of a run says of its points. */
export interface RunPoints {
  /** SHA-256 of its blocks. */
  readonly sha256: string;
  readonly blocks: number;
  /** How many points each of its metrics has, by metric ascending. */
  readonly counts: readonly (readonly [key: string, count: number])[];
}
