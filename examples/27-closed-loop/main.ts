/**
 * The loop closed, with nobody's hand in it, on 3,000,000 flights of 2001: a model learns in a stormy month how often
 * flights are late, and serves; the weather calms, which an analysis finds; an alert is answered by a retraining on the
 * last thirty days; the new version passes its checks, gets a canary, is promoted, and the baseline moves with it. The
 * clock is the flights' own, so that months pass in a minute.
 */
import { defaultStagePolicy, type MonitorRule, openPlatform } from '@keelson/core';
import { signature } from './flight-model.ts';
import { FlightTraffic } from './flight-traffic.ts';
import { readFlights } from './flights.ts';
import { isoDate, trainPipeline } from './train-pipeline.ts';

const dayMs = 86_400_000;
const learnsFrom = Date.parse('2001-02-12');
const begins = Date.parse('2001-03-12');
const ends = Date.parse('2001-06-11');
const name = `flights-${Date.now()}`;

let now = begins;
const platform = await openPlatform({ clock: { now: () => now } });
const { monitoring, registry, deployments, pipelines } = platform;

const startedAt = performance.now();
const flights = await readFlights();
console.log(`Read ${flights.count.toLocaleString('en')} flights in ${seconds()}.`);

// 1. A first version, trained by the pipeline that will train its successors.
const train = trainPipeline(flights);
pipelines.add(train);
const first = await pipelines.wait(
  (await pipelines.start(train, { from: learnsFrom, to: begins })).id,
);
const { runId, rows } = first.output as { readonly runId: string; readonly rows: number };
// The gates are checks: nobody has to approve.
const transitions = defaultStagePolicy.transitions.map((rule) => ({ ...rule, approvals: 0 }));
await registry.createModel({ name, policy: { ...defaultStagePolicy, transitions } });
const one = await registry.register({
  ...{ model: name, from: { runId, path: 'model' }, format: 'JS', signature, version: '1.0.0' },
  lineage: { pipelineExecutionId: first.id },
});
for (const to of ['STAGING', 'PRODUCTION'] as const) {
  await registry.requestTransition({ model: name, version: '1.0.0', to, reason: 'the first' });
}
console.log(
  `Trained 1.0.0 on ${rows.toLocaleString('en')} flights, ${isoDate(learnsFrom)} to ${isoDate(begins)}.`,
);

// 2. It serves, and is watched: has the share of late flights changed, given the time of day?
const deployment = await deployments.create({
  ...{ name, versionId: one.id, environment: 'PRODUCTION' },
});
const rule: MonitorRule = {
  ...{ name: 'late flights', rule: 'label-distribution', severity: 'WARNING' },
  strata: [{ feature: 'hour', edges: [10, 15, 19] }],
  ...{ alpha: 0.01, tolerance: 0.04, minimumTrials: 100 },
};
await monitoring.watchLabels({
  ...{ deployment, versionId: one.id, rules: [rule], at: begins },
  reference: FlightTraffic.known(flights, learnsFrom, begins, () => ''),
});

// 3. The policy: whatever drifts is answered by a retraining, and by what follows from it.
await monitoring.responses.put(name, {
  retrain: {
    ...{ pipeline: 'train-flights', minimumLabels: 1000 },
    rollout: {
      policy: {
        steps: [
          { weightPercent: 20, durationMs: 2 * dayMs },
          { weightPercent: 50, durationMs: 2 * dayMs },
        ],
        accuracy: { minimumLabels: 200, goMargin: 0.02, backMargin: 0.04 },
        ...{ latency: false, drift: false, ready: false },
      },
    },
  },
});

const telling = new AbortController();
const told = tellWhatHappens(telling.signal);
const traffic = await FlightTraffic.open(platform, deployment, flights);
console.log(`\nServing from ${isoDate(begins)} on; from here on nobody has a hand in it.\n`);
console.log('week of     late                          right   answered by');
for (let day = begins; day < ends; day += dayMs) {
  await traffic.ask(day, day + dayMs);
  now = day + dayMs;
  // What the loops of `platform.start()` do every ten minutes; here once a day of the flights.
  await monitoring.evaluate(deployment.id, { at: now });
  const active = await deployments.activeRollout(name);
  if (active !== undefined) await deployments.evaluateRollout(active.id, { at: now });
  await monitoring.responses.advance();
  if ((now - begins) % (7 * dayMs) === 0) await tellWeek(now - 7 * dayMs);
}
await traffic.close();
telling.abort();
await told;

// 4. Why does the version that serves exist?
const { route } = await deployments.route(name);
const { version, sentences } = await monitoring.responses.why(route.targets[0]?.versionId ?? '');
console.log(`\nWhy does ${version} exist?`);
for (const sentence of sentences) console.log(`  ${sentence}`);
const decisions = await monitoring.responses.decisions(name);
console.log(
  `\n${decisions.length} decisions were made, each recorded with its inputs. All took ${seconds()}.`,
);
const done = decisions.flatMap(({ acts }) => acts).some(({ state }) => state === 'DONE');
await platform.close();
if (version === `${name}@1.0.0` || !done) throw new Error('The loop was not closed.');

/** A line for a week: how many flights were late, how often the answers were right, and whose they were. */
async function tellWeek(monday: number): Promise<void> {
  const { requests, late, right } = traffic.tally();
  const percent = (of: number): string => `${((100 * of) / requests).toFixed(1).padStart(5)} %`;
  const bar = '█'.repeat(Math.round((60 * late) / requests)).padEnd(20, '·');
  const { route: current } = await deployments.route(name);
  const who = current.targets
    .filter(({ weightPercent }) => weightPercent > 0)
    .map(({ key, weightPercent }) => `${key?.split('@')[1]} (${weightPercent} %)`);
  console.log(`${isoDate(monday)} ${percent(late)} ${bar} ${percent(right)}   ${who.join(', ')}`);
}

/** Alerts, and what answers them, as it happens. */
async function tellWhatHappens(signal: AbortSignal): Promise<void> {
  const types = [
    ...['alert.triggered', 'response.decided', 'retraining.advanced', 'rollout.advanced'],
    ...['rollout.completed', 'deployment.rolled_back', 'baseline.updated', 'response.acted'],
  ];
  const subjects = [`deployment:${name}`];
  for await (const { type, payload, at } of platform.events.follow(
    { types, subjects },
    { signal },
  )) {
    const said: Readonly<Record<string, string>> = {
      'alert.triggered': `ALERT: ${payload['summary']}`,
      'response.decided': `drift of kind ${payload['matched']} is answered by: ${payload['actions']}`,
      'retraining.advanced': `retraining is at ${payload['stage']}`,
      'rollout.advanced': `canary: ${payload['reason']}`,
      'rollout.completed': `canary complete: ${payload['reason']}`,
      'deployment.rolled_back': `turned back: ${payload['reason']}`,
      'baseline.updated': 'the baseline has moved',
      'response.acted': `${payload['action']} is ${payload['state']}: ${payload['outcome']}`,
    };
    console.log(`  ${isoDate(at)}  ${(said[type] ?? type).replaceAll(`${name}@`, '')}`);
  }
}

function seconds(): string {
  return `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
}
