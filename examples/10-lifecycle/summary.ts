import type { Deployment, GateVerdict, Platform, ResponseAct, Rollout } from '@keelson/core';
import { isoDate } from './lifecycle.ts';

/** All that a lifecycle came to, read from what is stored: the same whether it was just made or long ago. */
export interface LifecycleSummary {
  readonly years: readonly {
    readonly year: number;
    readonly labels: number;
    readonly majority: string;
    readonly majorityShare: number;
    readonly right: number;
    readonly total: number;
  }[];
  readonly versions: readonly {
    readonly version: string;
    readonly number: number;
    readonly stage: string;
    readonly sha256: string;
    readonly accuracy: number;
  }[];
  readonly alerts: readonly {
    readonly rule: string;
    readonly at: number;
    readonly state: string;
    readonly summary: string;
  }[];
  readonly rollouts: readonly {
    readonly candidate: string;
    readonly baseline: string;
    readonly status: string;
    readonly began: number;
    readonly ended: number;
    readonly decisions: readonly {
      readonly at: number;
      readonly action: string;
      readonly reason: string;
    }[];
    readonly evidence: readonly Pick<GateVerdict, 'outcome' | 'inputs' | 'test'>[];
  }[];
  /** What answered the alerts, oldest first, and what it came to. */
  readonly responses: readonly string[];
  /** Why the version that serves exists. */
  readonly story: readonly string[];
  readonly analyses: number;
  readonly requests: number;
  readonly serving: string;
}

/** Reads the summary. */
export async function summarise(platform: Platform): Promise<LifecycleSummary> {
  const deployment = await platform.deployments.get('weather');
  const versions = await platform.registry.listVersions('weather');
  const rollouts = await platform.deployments.listRollouts('weather');
  const alerts = await platform.monitoring.listAlerts(deployment.id);
  const analyses = await platform.monitoring.listAnalyses(deployment.id);
  const years = await Promise.all(
    [2013, 2014, 2015].map((year) => yearOf(platform, deployment, year)),
  );
  const { route } = await platform.deployments.route('weather');
  const serving = await platform.registry.getVersionById(route.targets[0]?.versionId ?? '');
  const { responses } = platform.monitoring;
  const decisions = await responses.decisions('weather');
  const { sentences } = await responses.why(serving.id);
  return {
    years,
    versions: versions.map(({ version, number, stage, sha256, metrics }) => ({
      version,
      number,
      stage,
      sha256,
      accuracy: metrics['accuracy'] ?? Number.NaN,
    })),
    alerts: alerts.map((alert) => ({
      rule: alert.rule,
      at: alert.firstAt,
      state: alert.state,
      summary: alert.summary,
    })),
    rollouts: rollouts.map(rolloutSummary),
    responses: decisions
      .toReversed()
      .flatMap(({ acts }) => acts.map(actSummary))
      .sort(),
    story: sentences.filter((sentence) => !/[0-9a-f]{8}-[0-9a-f]{4}/.test(sentence)),
    analyses: analyses.length,
    requests: years.reduce((sum, year) => sum + year.total, 0),
    serving: `${serving.model}@${serving.version}`,
  };
}

// Without ids, which differ from run to run.
function actSummary({ action, state, outcome, reason }: ResponseAct): string {
  return `${action} ${state}: ${(outcome ?? reason).replaceAll(/[0-9a-f]{8}-[-:0-9a-z]+/g, '…')}`;
}

async function yearOf(
  platform: Platform,
  deployment: Deployment,
  year: number,
): Promise<LifecycleSummary['years'][number]> {
  const range = { from: Date.parse(`${year}-01-01`), to: Date.parse(`${year + 1}-01-01`) };
  const { labels, majority, served } = await platform.monitoring.performance(deployment.id, range);
  return {
    year,
    labels,
    majority: majority?.label ?? '',
    majorityShare: majority?.share ?? 0,
    right: served?.right ?? 0,
    total: served?.total ?? 0,
  };
}

function rolloutSummary(rollout: Rollout): LifecycleSummary['rollouts'][number] {
  return {
    candidate: rollout.candidate,
    baseline: rollout.baseline,
    status: rollout.status,
    began: rollout.beganAt,
    ended: rollout.evaluatedAt,
    decisions: rollout.decisions.map(({ at, action, reason }) => ({ at, action, reason })),
    evidence: rollout.latest.map(({ outcome, inputs, test }) => ({ outcome, inputs, test })),
  };
}

/** The summary for people, with the lineage of the serving version and the timeline of an alert. */
export async function printSummary(
  platform: Platform,
  summary: LifecycleSummary,
  print: (line: string) => void,
): Promise<void> {
  const deployment = await platform.deployments.get('weather');
  print('\nAccuracy of the answers by year, beside always saying the year’s most frequent class');
  for (const year of summary.years) {
    const share = (100 * year.right) / year.total;
    print(
      `  ${year.year}  ${share.toFixed(1)} %  (${year.right} of ${year.total})   ${year.majority} ${(100 * year.majorityShare).toFixed(1)} %`,
    );
  }
  print('\nVersions');
  for (const { version, stage, accuracy, sha256 } of summary.versions) {
    print(
      `  weather ${version}  ${stage.padEnd(11)} cross-validated ${accuracy.toFixed(3)}  sha256 ${sha256.slice(0, 12)}`,
    );
  }
  print(
    `\nAlerts (${summary.analyses} weekly analyses; the three rules together raise a false alarm with a chance of at most 5 %)`,
  );
  if (summary.alerts.length === 0) print('  none: nothing changed that the evidence can show');
  for (const alert of summary.alerts) {
    print(`  ${isoDate(alert.at)}  ${alert.rule}, ${alert.state}\n    ${alert.summary}`);
  }
  print('\nWhat answered them');
  if (summary.responses.length === 0) print('  nothing');
  for (const line of summary.responses) print(`  ${line}`);
  print('\nRollouts');
  if (summary.rollouts.length === 0) print('  none');
  for (const rollout of summary.rollouts) printRollout(rollout, print);
  print('\nWhy the version that serves exists');
  for (const sentence of summary.story) print(`  ${sentence}`);
  await printLineage(platform, print);
  await printTimeline(platform, deployment, print);
}

function printRollout(
  rollout: LifecycleSummary['rollouts'][number],
  print: (line: string) => void,
): void {
  print(
    `  ${rollout.candidate} after ${rollout.baseline}: ${rollout.status}, ${isoDate(rollout.began)} to ${isoDate(rollout.ended)}`,
  );
  for (const { at, action, reason } of rollout.decisions)
    print(`    ${isoDate(at)}  ${action}: ${reason}`);
  for (const { outcome, test, inputs } of rollout.evidence)
    print(`    ${describeEvidence(outcome, test, inputs)}`);
}

function describeEvidence(
  outcome: string,
  test: GateVerdict['test'],
  inputs: GateVerdict['inputs'],
): string {
  const interval = test['interval'] as { readonly low: number; readonly high: number } | undefined;
  if (interval !== undefined) {
    const { candidateOnly, baselineOnly } = inputs as Record<string, number>;
    const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
    return `${outcome}: on ${test['items']} labels candidate − baseline is within [${percent(interval.low)}, ${percent(interval.high)}]; right alone ${candidateOnly} : ${baselineOnly}`;
  }
  const canary = test['canary'] as { readonly requests: number; readonly bad: number };
  return `${outcome}: ${canary.bad} errors in ${canary.requests} canary answers`;
}

async function printLineage(platform: Platform, print: (line: string) => void): Promise<void> {
  const { route } = await platform.deployments.route('weather');
  const graph = await platform.registry.lineage(route.targets[0]?.versionId ?? '');
  print('\nLineage of the version that serves, back to its data');
  for (const node of graph.nodes) print(`  ${'  '.repeat(node.depth)}${node.type}  ${node.label}`);
}

async function printTimeline(
  platform: Platform,
  deployment: Deployment,
  print: (line: string) => void,
): Promise<void> {
  const [alert] = await platform.monitoring.listAlerts(deployment.id);
  if (alert === undefined) return;
  print(`\nWhat followed from the first alert, under correlation id ${alert.correlationId}`);
  const types = new Map<string, number>();
  for await (const event of platform.events.each({ correlationId: alert.correlationId })) {
    types.set(event.type, (types.get(event.type) ?? 0) + 1);
  }
  const told = [...types].map(([type, count]) => (count > 1 ? `${type} ×${count}` : type));
  for (let i = 0; i < told.length; i += 5) print(`  ${told.slice(i, i + 5).join(' → ')}`);
}
