import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { type MetricName, OldNames } from './metric-name.ts';

/** Looks at the names that metrics are logged under, beside the training, never in its way. */
export interface MetricNameWatch {
  /** A key that a run logs, for the first time in this process and experiment. */
  seen(run: { readonly id: string; readonly experimentId: string }, key: string): void;
}

const keysPerExperiment = 1000;

/** What this process knows of the keys of an experiment. */
interface Known {
  readonly here: OldNames;
  before?: Promise<OldNames>;
}

/**
 * Warns, once for each key, of one that is nearly an old one and not the same: nearly a name or an alias
 * that the workspace has defined, nearly a key of the experiment's last three runs, or the same words as
 * a key logged before in this process, written otherwise. Looks at the first 1,000 keys of an experiment:
 * more were not thought of by people.
 */
export function createMetricNameWatch(parts: {
  readonly names: () => Promise<readonly MetricName[]>;
  /** The keys of the runs of the experiment that ended last. */
  earlierKeys(experimentId: string, runId: string): Promise<Iterable<string>>;
  warn(message: string, fields: object): void;
}): MetricNameWatch {
  const seenKeys = new Map<string, Set<string>>();
  const experiments = new Map<string, Known>();
  let waiting: { readonly runId: string; readonly experimentId: string; readonly key: string }[] =
    [];

  async function lookAtAll(): Promise<void> {
    const keys = waiting;
    waiting = [];
    try {
      const names = await parts.names();
      const defined = new OldNames(names.flatMap((metric) => [metric.name, ...metric.aliases]));
      for (const { runId, experimentId, key } of keys) {
        const known: Known = experiments.get(experimentId) ?? { here: new OldNames() };
        experiments.set(experimentId, known);
        known.before ??= parts.earlierKeys(experimentId, runId).then((keys) => new OldNames(keys));
        lookAt(key, { defined, before: await known.before, here: known.here });
      }
    } catch (error) {
      // Only advice is lost; what is wrong with the store, those who need it will say.
      if (!isKeelsonError(error, 'CLOSED'))
        parts.warn('Names of metrics could not be looked at.', { error });
    }
  }

  function lookAt(
    key: string,
    old: { readonly defined: OldNames; readonly before: OldNames; readonly here: OldNames },
  ): void {
    const respelt = old.here.respelt(key);
    old.here.add(key);
    if (old.defined.has(key) || old.before.has(key)) return;
    const near = old.defined.near(key) ?? old.before.near(key) ?? respelt;
    if (near === undefined) return;
    parts.warn(
      `Metric ${JSON.stringify(key)} is nearly ${JSON.stringify(near)}, which is there already. If both mean the same, log it under one name, or make one an alias of the other with tracking.defineMetric({ name, aliases }).`,
      { metric: key, near },
    );
  }

  return {
    seen({ id: runId, experimentId }, key) {
      const keys = seenKeys.get(experimentId) ?? new Set();
      seenKeys.set(experimentId, keys);
      if (keys.size >= keysPerExperiment || keys.has(key)) return;
      keys.add(key);
      waiting.push({ runId, experimentId, key });
      if (waiting.length === 1) void Promise.resolve().then(lookAtAll);
    },
  };
}

/** How many earlier runs are looked at. */
export const earlierRuns = 3;

/** The keys of the runs that ended last, without the one that is logging: it may have ended by now. */
export async function keysOfEarlierRuns(
  scope: Scope,
  experimentId: string,
  runId: string,
): Promise<readonly string[]> {
  const left = { from: 'column', name: 'experimentId' } as const;
  const { records } = await scope.metadata.query(scope.workspace, 'run', {
    where: { op: 'compare', left, cmp: '=', value: experimentId },
    orderBy: [{ by: { from: 'column', name: 'startedAt' }, direction: 'desc' }],
    limit: earlierRuns + 1,
  });
  const ended = records.filter(
    ({ id, columns }) => id !== runId && columns['status'] !== 'RUNNING',
  );
  const ids = ended.slice(0, earlierRuns).map((record) => record.id);
  if (ids.length === 0) return [];
  const summaries = await scope.series.summariesOf(scope.workspace, ids);
  return [...summaries.values()].flatMap((of) => [...of.keys()]);
}
