import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { scenarios } from './scenarios.ts';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));

function faults(...args: readonly string[]): { code: number | null; out: string; errors: string } {
  const ended = spawnSync(process.execPath, [...process.execArgv, main, ...args], {
    encoding: 'utf8',
    env: { ...process.env, KEELSON_SEED: '11' },
  });
  return { code: ended.status, out: ended.stdout, errors: ended.stderr };
}

test('a scenario is run, and what was done and what held is printed with the seed', () => {
  const { code, out, errors } = faults('work-crashes', '--short', '--store=sqlite');
  expect([code, errors]).toEqual([0, '']);
  expect(out).toContain('KEELSON_SEED=11');
  expect(out).toMatch(
    /work-crashes +sqlite +5 held +[\d.]+ s {2}\d+ throw, \d+ unknown, \d+ stall/,
  );
  expect(out).toContain('all held');
}, 60_000);

test('a scenario that is none, or another store, is refused, and the scenarios are listed', () => {
  for (const wrong of ['no-such', '--store=oracle', '--fast']) {
    const { code, errors } = faults(wrong);
    expect(code).toBe(2);
    for (const { name } of scenarios) expect(errors).toContain(name);
  }
});
