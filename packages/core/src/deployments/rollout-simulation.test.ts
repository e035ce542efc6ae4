import { expect, test } from 'vitest';
import { failingCanary, nullCanary, nullCanaryOfUsers } from '../../test/rollout-simulation.ts';
import { median, sorted } from '../statistics/index.ts';

// `npm run bench -- rollouts` has the long form: 1,000 canaries, and the figures of docs/rollouts.md.

test('of 60 canaries that are as good, no more are turned back than chance allows', () => {
  const ends = Array.from({ length: 60 }, (_, seed) => nullCanary(seed));
  const turnedBack = ends.filter(({ action }) => action === 'rollback');
  // Of a share of 5 % more than 8 of 60 have a chance of one in 300.
  expect(turnedBack.length, turnedBack.map(({ reason }) => reason).join()).toBeLessThanOrEqual(8);
  expect(ends.filter(({ action }) => action === 'complete').length).toBeGreaterThanOrEqual(48);
}, 120_000);

test('errors of 20 % after 1 % are found within 30 requests, in the median', () => {
  const ends = Array.from({ length: 60 }, (_, seed) => failingCanary(seed));
  expect(ends.map(({ action }) => action)).toEqual(ends.map(() => 'rollback'));
  const requests = ends.map(({ canaryRequests }) => canaryRequests);
  expect(median(sorted(requests))).toBeLessThanOrEqual(30);
}, 120_000);

test('what chance gives a version of busy users that differ turns it back only where requests are counted', () => {
  // Of the seeds below 60, some of those on which counting requests is wrong.
  const seeds = [13, 16, 19, 21];
  const ends = (counted: boolean) => seeds.map((seed) => nullCanaryOfUsers(seed, counted).action);
  expect(ends(false)).toEqual(seeds.map(() => 'rollback'));
  expect(ends(true)).not.toContain('rollback');
}, 120_000);
