import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { withCorrelation } from '../events/correlation.ts';
import { asJson, type JsonObject } from '../json.ts';
import { decideAndCommit } from '../operations/decide-and-commit.ts';
import type { Alerts } from './alerting/alerts.ts';
import { readCounted, writeCounted } from './counted-requests.ts';
import { type Analysis, type Monitor, stateOf, windowAt } from './monitor.ts';
import { type LabelledRequest, readLabelled } from './performance/labels.ts';
import { fairLabelledFeatures } from './predictions/fair-sample.ts';
import {
  countForRule,
  judgeRule,
  knownRows,
  type RuleCounts,
  type RuleState,
  updateRule,
} from './rule.ts';

/** Analyses monitors. */
export interface Analyses {
  /** See `Monitoring.evaluate`. */
  evaluate(deploymentId: string, at: number): Promise<Analysis | undefined>;
  /** Oldest first. */
  list(deploymentId: string): Promise<readonly Analysis[]>;
}

/** {@link Analyses} of a scope. */
export function createAnalyses(
  scope: Scope,
  alerts: Alerts,
  getMonitor: (deploymentId: string) => Promise<Monitor>,
  maxDelayMs: number,
): Analyses {
  const { metadata, workspace } = scope;

  async function evaluate(deploymentId: string, at: number): Promise<Analysis | undefined> {
    const before = await getMonitor(deploymentId);
    if (at <= before.evaluatedAt) return findAnalysis(deploymentId, at);
    const correlationId = scope.ids.next();
    await withCorrelation({ correlationId }, () =>
      decideAndCommit(scope, async () => {
        const monitor = await getMonitor(deploymentId);
        if (at <= monitor.evaluatedAt) return { changes: [], result: undefined };
        return { changes: await analyse(monitor, at, correlationId), result: undefined };
      }),
    );
    return findAnalysis(deploymentId, at);
  }

  async function analyse(
    monitor: Monitor,
    at: number,
    correlationId: string,
  ): Promise<readonly Change[]> {
    const id = scope.ids.next();
    const labelled = await uncounted(monitor, at);
    const requests = labelled.map((each) => each.requestId);
    await writeCounted(scope, monitor.deploymentId, { id, at }, requests);
    const fair = fairLabelledFeatures(labelled);
    const rows = knownRows(fair.map((each) => withoutLeft(monitor, each)));
    const suspended = windowAt(monitor, at)?.reason;
    const counts: Record<string, RuleCounts> = {};
    const states: Record<string, RuleState> = {};
    for (const rule of monitor.rules) {
      counts[rule.name] = countForRule(rule, rows);
      const before = stateOf(monitor, rule);
      states[rule.name] =
        suspended === undefined
          ? updateRule(rule, before, counts[rule.name] as RuleCounts)
          : before;
    }
    const verdicts = monitor.rules.map((rule) => judgeRule(rule, states[rule.name] as RuleState));
    const raised =
      suspended === undefined ? await alerts.raiseAll(monitor, verdicts, at, correlationId) : [];
    const analysis: Analysis = {
      at,
      from: monitor.evaluatedAt,
      versionId: monitor.versionId,
      referenceSetAt: monitor.referenceSetAt,
      labels: rows.length,
      counts,
      verdicts,
      alertIds: raised.map((each) => each.id),
      ...(suspended === undefined ? {} : { suspended }),
    };
    return [
      {
        op: 'replace',
        kind: 'monitor',
        id: monitor.deploymentId,
        expect: monitor.revision,
        columns: { evaluatedAt: at },
        body: asJson({
          rules: monitor.rules,
          references: monitor.references,
          states,
          windows: monitor.windows,
          ...(monitor.held === undefined ? {} : { held: monitor.held }),
        }) as JsonObject,
      },
      {
        op: 'create',
        kind: 'analysis',
        id,
        columns: {
          deploymentId: monitor.deploymentId,
          at,
          changed: verdicts.some((verdict) => verdict.changed),
        },
        body: asJson(analysis) as JsonObject,
      },
      ...raised.flatMap((each) => each.changes),
    ];
  }

  /** Labels observed up to `at` and since the reference was set, but for those that were counted before. */
  async function uncounted(monitor: Monitor, at: number): Promise<readonly LabelledRequest[]> {
    const { deploymentId, evaluatedAt, referenceSetAt } = monitor;
    const from = Math.max(referenceSetAt, evaluatedAt - maxDelayMs);
    const [labelled, analyses] = await Promise.all([
      readLabelled(scope, deploymentId, { from, to: at }, maxDelayMs),
      analysisRecords(deploymentId, from),
    ]);
    const ids = new Set(analyses.map((record) => record.id));
    const counted = await readCounted(scope, deploymentId, ids, { from, to: evaluatedAt + 1 });
    return labelled.filter((each) => !counted.has(each.requestId));
  }

  async function listAnalyses(deploymentId: string): Promise<readonly Analysis[]> {
    const records = await analysisRecords(deploymentId, 0);
    return records.map((record) => record.body as unknown as Analysis);
  }

  /** Analyses made for times behind `from`, oldest first. */
  async function analysisRecords(
    deploymentId: string,
    from: number,
  ): Promise<readonly StoredRecord[]> {
    const all: StoredRecord[] = [];
    const left = { from: 'column', name: 'deploymentId' } as const;
    const behind = { from: 'column', name: 'at' } as const;
    let cursor: string | undefined;
    do {
      const page = await metadata.query(workspace, 'analysis', {
        where: {
          op: 'and',
          of: [
            { op: 'compare', left, cmp: '=', value: deploymentId },
            { op: 'compare', left: behind, cmp: '>', value: from },
          ],
        },
        orderBy: [{ by: { from: 'column', name: 'at' }, direction: 'asc' }],
        limit: 1000,
        ...(cursor === undefined ? {} : { cursor }),
      });
      all.push(...page.records);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return all;
  }

  async function findAnalysis(deploymentId: string, at: number): Promise<Analysis | undefined> {
    const { records } = await metadata.query(workspace, 'analysis', {
      where: {
        op: 'and',
        of: [
          {
            op: 'compare',
            left: { from: 'column', name: 'deploymentId' },
            cmp: '=',
            value: deploymentId,
          },
          { op: 'compare', left: { from: 'column', name: 'at' }, cmp: '=', value: at },
        ],
      },
      limit: 1,
    });
    return records[0]?.body as unknown as Analysis | undefined;
  }

  return { evaluate, list: listAnalyses };
}

/** Without what a version had answered before traffic left it: that says nothing of the one that answers now. */
function withoutLeft({ windows }: Monitor, labelled: LabelledRequest): LabelledRequest {
  const predictions = labelled.predictions.filter(
    ({ versionId, at, role }) =>
      role !== 'primary' ||
      !windows.some((window) => window.versionId === versionId && at < window.until),
  );
  return { ...labelled, predictions };
}
