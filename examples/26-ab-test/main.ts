/**
 * An A/B test: do more trees answer better? Users are dealt out by their id and stay with their arm; whoever reads the
 * report each day is right all the same, since its intervals hold at every look. The winner gets all of the traffic.
 */
import { type AbTestReport, openPlatform } from '@keelson/core';
import { seededRandom } from '@keelson/core/statistics';
import { loadWeather } from '../weather/weather-data.ts';
import {
  drawDays,
  registerForest,
  StoryClock,
  WeatherTraffic,
} from '../weather/weather-traffic.ts';

const dayMs = 86_400_000;
const random = seededRandom(11);
const clock = new StoryClock();
const platform = await openPlatform({ clock });
const { deployments } = platform;
const name = `weather-ab-${Date.now()}`;
const { days } = loadWeather();
const known = days.filter((day) => day.year <= 2014);
const asked = days.filter((day) => day.year === 2015);

await platform.registry.createModel({ name });
const few = await registerForest(platform, name, known.slice(0, 300), { trees: 3 });
const many = await registerForest(platform, name, known, { trees: 20 });
await deployments.create({ name, versionId: few, environment: 'PRODUCTION' });
const traffic = await WeatherTraffic.open(platform, name, clock);

const test = await deployments.startAbTest({
  deployment: name,
  stickyHeader: 'x-user',
  arms: [
    { name: 'three trees', versionId: few, weightPercent: 50 },
    { name: 'twenty trees', versionId: many, weightPercent: 50 },
  ],
  metrics: [{ name: 'accuracy', outcome: { source: 'accuracy' }, goal: 'higher' }],
  guardrails: [{ name: 'errors', outcome: { source: 'errors' }, goal: 'lower', margin: 0.01 }],
  reason: 'do more trees answer better?',
});

let report = await deployments.abTestReport(test.id);
for (let day = 1; report.decision === 'INCONCLUSIVE' && day <= 30; day += 1) {
  // Each day 150 of two thousand users ask, some of them again.
  const user = () => `user-${Math.floor(random.uniform() * 2000)}`;
  await traffic.ask(
    drawDays(asked, 150, () => random.uniform()),
    dayMs,
    user,
  );
  report = await deployments.abTestReport(test.id);
  console.log(`day ${day}: ${figures(report)}: ${report.decision}`);
}
console.log(`\n${report.decision}: ${report.reason}`);
for (const [arm, users] of Object.entries(report.exposures))
  console.log(`  ${users} users: ${arm}`);
if (report.winner !== 'twenty trees') throw new Error('More trees should have won.');

await deployments.decideAbTest(test.id, { reason: `${report.winner}: more right answers` });
const { route } = await deployments.route(name);
console.log(`${route.targets.map(({ key }) => key)} answers everybody from now on.`);
await traffic.close();
await platform.close();

/** Both shares, and by how much the second arm is better, with its interval. */
function figures({ metrics }: AbTestReport): string {
  const percent = (share: number | null | undefined) =>
    `${((share ?? Number.NaN) * 100).toFixed(0)}`;
  const [control, other] = metrics[0]?.arms ?? [];
  const { low, high } = other?.interval ?? { low: Number.NaN, high: Number.NaN };
  const difference = `${percent(other?.difference)} points (${percent(low)} … ${percent(high)})`;
  return `${percent(control?.mean)} % and ${percent(other?.mean)} %, ${difference}`;
}
