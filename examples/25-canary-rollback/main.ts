/**
 * A canary that is turned back by itself, since its model is really worse: it was trained on degrees Fahrenheit and is
 * asked in degrees Celsius. The next one is sound, and gets all of the traffic. Labels come in while it runs; the clock
 * is set by hand, so that its hours pass in seconds.
 */
import { openPlatform, type Rollout, type RolloutPolicy } from '@keelson/core';
import { seededRandom } from '@keelson/core/statistics';
import { featureNames, loadWeather } from '../weather/weather-data.ts';
import {
  drawDays,
  registerForest,
  StoryClock,
  WeatherTraffic,
} from '../weather/weather-traffic.ts';

const minuteMs = 60_000;
const random = seededRandom(7);
const clock = new StoryClock();
const platform = await openPlatform({ clock });
const { deployments } = platform;
const name = `weather-canary-${Date.now()}`;
const { days } = loadWeather();
const until = (year: number) => days.filter((day) => day.year <= year);
const asked = days.filter((day) => day.year === 2015);

await platform.registry.createModel({ name });
const first = await registerForest(platform, name, until(2012), { trees: 10 });
const fahrenheit = await registerForest(platform, name, until(2014), {
  trees: 15,
  seen: (features) =>
    features.map((value, i) => (featureNames[i]?.startsWith('temp') ? value * 1.8 + 32 : value)),
});
const sound = await registerForest(platform, name, until(2014), { trees: 15 });

await deployments.create({ name, versionId: first, environment: 'PRODUCTION' });
const traffic = await WeatherTraffic.open(platform, name, clock);

/** Steps of an hour, by errors and labels: all versions run in this process, so latencies would say nothing. */
const policy: RolloutPolicy = {
  steps: [
    { weightPercent: 20, durationMs: 60 * minuteMs },
    { weightPercent: 50, durationMs: 60 * minuteMs },
  ],
  accuracy: { minimumLabels: 60, goMargin: 0.02, backMargin: 0.05 },
  ...{ latency: false, drift: false, ready: false },
};

const bad = await rollOut(fahrenheit, 'trained on more years');
const good = await rollOut(sound, 'trained on more years, in degrees Celsius');

console.log('\nThe revisions of the deployment:');
const { revisions } = await deployments.listRevisions(name);
for (const { number, after, strategy, rolloutStatus, risk } of revisions.toReversed()) {
  const score = risk === undefined ? '' : `, risk ${risk.score} of 100`;
  console.log(`  ${number}. ${after.version} by ${strategy}: ${rolloutStatus}${score}`);
}
await traffic.close();
await platform.close();
if (bad.status !== 'ROLLED_BACK' || good.status !== 'COMPLETED')
  throw new Error(`The rollouts ended ${bad.status} and ${good.status}.`);

/** Rolls a version out to its end, under 400 requests an hour and their labels. */
async function rollOut(versionId: string, reason: string): Promise<Rollout> {
  const { id, candidate } = await deployments.deploy(name, { versionId, policy, reason });
  console.log(`\n${candidate} is rolled out: ${reason}.`);
  let [told, rollout] = [0, await deployments.getRollout(id)];
  for (let look = 1; rollout.status === 'IN_PROGRESS' && look <= 60; look += 1) {
    await traffic.ask(
      drawDays(asked, 100, () => random.uniform()),
      15 * minuteMs,
    );
    rollout = await deployments.evaluateRollout(id, { at: clock.now() });
    const weight = rollout.steps[rollout.stepIndex]?.weightPercent;
    console.log(`  after ${look * 15} min at ${weight} %: ${accuracies(rollout)}`);
    for (const decision of rollout.decisions.slice(told))
      console.log(`  ${decision.action}: ${decision.reason}`);
    told = rollout.decisions.length;
  }
  const { route } = await deployments.route(name);
  console.log(`  ${rollout.status}; ${route.targets.map(({ key }) => key)} answers.`);
  return rollout;
}

/** The share of right answers of both versions, as the gate of accuracy has seen it. */
function accuracies({ latest }: Rollout): string {
  const verdict = latest.find(({ gate }) => gate.gate === 'accuracy');
  if (verdict === undefined) return 'every gate has passed';
  const windows = (verdict.inputs['windows'] ?? []) as unknown as Record<string, number>[];
  const sum = (field: string) => windows.reduce((all, each) => all + (each[field] ?? 0), 0);
  const right = (arm: string): string => {
    const requests = sum(`${arm}Requests`);
    const share = ((requests - sum(`${arm}Bad`)) / Math.max(1, requests)) * 100;
    return `${share.toFixed(0)} % of ${requests}`;
  };
  return `right are ${right('canary')} of the canary, ${right('baseline')} of the baseline`;
}
