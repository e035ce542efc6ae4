import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { type MetricName, nearness } from './metric-name.ts';

/** Looks at the names that metrics are logged under, beside the training, never in its way. */
export interface MetricNameWatch {
  /** A key that a run of an experiment logs for the first time in this process. */
  seen(experimentId: string, key: string): void;
  /** Resolves when every key seen so far has been looked at. */
  settled(): Promise<void>;
}

const earlierRuns = 20;

/**
 * Warns, once for each key, of one that is nearly an old one and not the same: nearly a name or an alias
 * that the workspace has defined, nearly a key of the experiment's last 20 runs, or the same words as a
 * key logged before in this process, written otherwise.
 */
export function createMetricNameWatch(
  scope: Scope,
  parts: {
    readonly names: () => Promise<readonly MetricName[]>;
    warn(message: string, fields: object): void;
  },
): MetricNameWatch {
  const known = new Set<string>();
  const session = new Map<string, string[]>();
  const earlier = new Map<string, Promise<readonly string[]>>();
  let waiting: { readonly experimentId: string; readonly key: string }[] = [];
  let work = Promise.resolve();

  async function lookAtAll(): Promise<void> {
    const keys = waiting;
    waiting = [];
    try {
      const defined = (await parts.names()).flatMap((metric) => [metric.name, ...metric.aliases]);
      for (const { experimentId, key } of keys) {
        let before = earlier.get(experimentId);
        if (before === undefined) {
          before = keysOfEarlierRuns(experimentId);
          earlier.set(experimentId, before);
        }
        lookAt(key, { experimentId, defined, before: await before });
      }
    } catch (error) {
      // Only advice is lost; what is wrong with the store, those who need it will say.
      if (!isKeelsonError(error, 'CLOSED'))
        parts.warn('Names of metrics could not be looked at.', { error });
    }
  }

  function lookAt(
    key: string,
    old: {
      readonly experimentId: string;
      readonly defined: readonly string[];
      readonly before: readonly string[];
    },
  ): void {
    const here = session.get(old.experimentId) ?? [];
    session.set(old.experimentId, [...here, key]);
    if (old.defined.includes(key) || old.before.includes(key)) return;
    const near =
      [...old.defined, ...old.before].find((name) => nearness(key, name) !== undefined) ??
      here.find((name) => nearness(key, name) === 'spelling');
    if (near === undefined) return;
    parts.warn(
      `Metric ${JSON.stringify(key)} is nearly ${JSON.stringify(near)}, which is there already. If both mean the same, log it under one name, or say so: tracking.defineMetric({ name: ${JSON.stringify(near)}, aliases: [${JSON.stringify(key)}] }).`,
      { metric: key, near },
    );
  }

  async function keysOfEarlierRuns(experimentId: string): Promise<readonly string[]> {
    const left = { from: 'column', name: 'experimentId' } as const;
    const { records } = await scope.metadata.query(scope.workspace, 'run', {
      where: { op: 'compare', left, cmp: '=', value: experimentId },
      orderBy: [{ by: { from: 'column', name: 'startedAt' }, direction: 'desc' }],
      limit: earlierRuns,
    });
    const ids = records.filter(({ columns }) => columns['status'] !== 'RUNNING').map((r) => r.id);
    if (ids.length === 0) return [];
    const summaries = await scope.series.summariesOf(scope.workspace, ids);
    return [...new Set([...summaries.values()].flatMap((of) => [...of.keys()]))];
  }

  return {
    seen(experimentId, key) {
      const id = JSON.stringify([experimentId, key]);
      if (known.has(id)) return;
      known.add(id);
      waiting.push({ experimentId, key });
      if (waiting.length === 1) work = work.then(lookAtAll);
    },
    settled: () => work,
  };
}
