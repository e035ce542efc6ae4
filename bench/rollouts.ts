import { clopperPearsonInterval, median, quantile, sorted } from '@keelson/core/statistics';
import {
  failingCanary,
  failingCanaryOfUsers,
  nullCanary,
  nullCanaryOfUsers,
  type SimulatedEnd,
} from '../packages/core/test/rollout-simulation.ts';
import type { BenchContext } from './benchmark.ts';
import type { Row } from './row.ts';

const canaries = { smallest: 5, usual: 300, full: 1000 };
/** The stated chance of turning a candidate back that is as good. */
const alpha = 0.05;

/**
 * Simulated canaries through the real gates: how many candidates that are exactly as good are turned back, and after
 * how many requests one that fails twenty times as often is.
 */
export async function benchRollouts(context: BenchContext): Promise<Row[]> {
  const count = context.seeds ?? canaries[context.scale];
  const simulate = (what: string, run: (seed: number) => SimulatedEnd): SimulatedEnd[] =>
    Array.from({ length: count }, (_, seed) => {
      context.tell(`${what}: ${seed + 1} of ${count}`);
      return run(seed);
    });
  const alike = simulate('as good', nullCanary);
  const failing = simulate('failing', failingCanary);
  const ofUsers = simulate('as good, of users', (seed) => nullCanaryOfUsers(seed, true));
  const failingOfUsers = simulate('failing, of users', failingCanaryOfUsers);
  const turnedBackOfUsers = ofUsers.filter(({ action }) => action === 'rollback').length;
  const unendedOfUsers = ofUsers.filter(({ action }) => action === 'fail').length;
  const foundOfUsers = failingOfUsers.filter(({ action }) => action !== 'complete').length;
  const turnedBack = alike.filter(({ action }) => action === 'rollback').length;
  const found = failing.filter(({ action }) => action === 'rollback');
  const requests = sorted(found.map(({ canaryRequests }) => canaryRequests));
  const unended = alike.filter(({ action }) => action === 'fail').length;
  return [
    {
      name: `canaries as good as the baseline, turned back (of ${count})`,
      ...{ value: (100 * turnedBack) / count, unit: '%' },
      spread: shareOf(turnedBack, count),
      goal: { most: 130 * alpha },
    },
    {
      name: 'canaries as good as the baseline, not at their end in time',
      ...{ value: (100 * unended) / count, unit: '%' },
      spread: shareOf(unended, count),
    },
    {
      name: 'errors 1 % → 20 %: canary requests until the rollback',
      ...{ value: median(requests), unit: 'requests' },
      spread: [quantile(requests, 0.25), quantile(requests, 0.75)],
      goal: { most: 30 },
    },
    {
      name: 'errors 1 % → 20 %: canaries that were turned back',
      ...{ value: (100 * found.length) / count, unit: '%' },
      spread: shareOf(found.length, count),
      goal: { least: 100 },
    },
    {
      name: `users who come twenty times: canaries as good, turned back (of ${count})`,
      ...{ value: (100 * turnedBackOfUsers) / count, unit: '%' },
      spread: shareOf(turnedBackOfUsers, count),
      goal: { most: 130 * alpha },
    },
    {
      name: 'users who come twenty times: canaries as good, not at their end in time',
      ...{ value: (100 * unendedOfUsers) / count, unit: '%' },
      spread: shareOf(unendedOfUsers, count),
    },
    {
      name: 'users who come twenty times, errors 1 % → 20 %: not let through',
      ...{ value: (100 * foundOfUsers) / count, unit: '%' },
      spread: shareOf(foundOfUsers, count),
      goal: { least: 100 },
    },
  ];
}

/** The 95 % interval of a share, in percent. */
function shareOf(successes: number, trials: number): readonly [low: number, high: number] {
  const { low, high } = clopperPearsonInterval({ successes, trials }, 0.05);
  return [100 * low, 100 * high];
}
