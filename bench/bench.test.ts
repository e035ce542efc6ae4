import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { benchmarks } from './benchmarks.ts';
import { inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';
import { tableOf } from './table.ts';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'keelson-bench-test-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('each benchmark, at its smallest', () => {
  // The first two are of others or have a test of their own; the servers of the last one take half a minute to start.
  const elsewhere = ['base', 'tracking', 'serving-servers'];
  test.each(benchmarks.filter(({ name }) => !elsewhere.includes(name)))(
    '$name',
    async ({ name, run }) => {
      const dir = join(root, name);
      mkdirSync(dir);
      const told: string[] = [];
      const rows = await run({ dir, scale: 'smallest', tell: (message) => told.push(message) });
      expect(rows.length).toBeGreaterThan(1);
      for (const row of rows) expectRow(row);
      // A figure that is held against nothing says nothing.
      expect(rows.some(({ baseline, goal }) => (baseline ?? goal) !== undefined)).toBe(true);
      expect(told.length).toBeGreaterThan(0);
      for (const line of tableOf(rows).split('\n')) {
        expect(line.length, line).toBeLessThanOrEqual(80);
      }
    },
    180_000,
  );
});

describe('the program', () => {
  test('prints a table, writes the same as JSON with the facts of the machine, leaves nothing behind', () => {
    const dir = join(root, 'work');
    mkdirSync(dir);
    const json = join(root, 'figures', 'history.json');
    const ended = bench('history', '--smallest', `--dir=${dir}`, `--json=${json}`);
    expect(ended.status, ended.stderr).toBe(0);
    expect(readdirSync(dir)).toEqual([]);
    const report = JSON.parse(readFileSync(json, 'utf8'));
    expect(report).toMatchObject({ benchmark: 'history', scale: 'smallest' });
    expect(report.machine).toMatchObject({ node: process.version, cores: expect.any(Number) });
    expect(report.machine.fdatasyncMs.median).toBeGreaterThan(0);
    expect(Number.isFinite(report.machine.loadAverage)).toBe(true);
    expect(ended.stdout).toContain(tableOf(report.rows));
    expect(ended.stdout).toContain(json);
  });

  test('without a name lists the benchmarks, each with a sentence', () => {
    const { status, stdout } = bench();
    expect(status).toBe(0);
    const listed = stdout.split('\n').map((line) => line.trim().replace(/ +/g, ' '));
    for (const { name, sentence } of benchmarks) expect(listed).toContain(`${name} ${sentence}`);
  });

  test.each([
    ['a name that it does not know', ['nothing'], 'There is no benchmark nothing.'],
    ['an option that it does not know', ['base', '--fast'], '--fast'],
    ['a number that is none', ['false-alarms', '--seeds=many'], '--seeds'],
  ])('refuses %s, and says what there is', (_, args, named) => {
    const { status, stdout, stderr } = bench(...args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(named);
    expect(stderr).toContain('npm run bench -- NAME');
  });
});

test('tracking says of each figure whether its goal is reached', () => {
  const json = join(root, 'tracking.json');
  const { status, stdout, stderr } = bench('tracking', '--smallest', `--json=${json}`);
  expect(status, stderr).toBe(0);
  const { rows } = JSON.parse(readFileSync(json, 'utf8')) as { readonly rows: readonly Row[] };
  for (const row of rows) expectRow(row);
  expect(stdout.match(/goal .*: (reached|missed)/g)?.length).toBe(
    rows.filter(({ goal }) => goal !== undefined).length,
  );
}, 180_000);

describe('a row', () => {
  test('has medians, the ratio of each round, and quartiles', () => {
    const baseline = { name: 'bare', values: [1, 1, 10, 1, 2] };
    expect(rowOf('figure', 'ms', [2, 4, 30, 6, 8], baseline)).toEqual({
      name: 'figure',
      value: 6,
      unit: 'ms',
      baseline: { name: 'bare', value: 1 },
      ratio: 4,
      spread: [4, 8],
    });
  });

  test('comes from rounds in turning order, the first not counted unless it is the only one', async () => {
    const order: string[] = [];
    const note = (name: string) => async () => order.push(name);
    const measured = await inTurns(2, { a: note('a'), b: note('b'), c: note('c') });
    expect(order.join('')).toBe('abc' + 'bca' + 'cab');
    expect(measured).toEqual({ a: [6, 8], b: [4, 9], c: [5, 7] });
    expect(await inTurns(1, { a: async () => 1 })).toEqual({ a: [1] });
  });

  test('is two lines of at most 80 columns, value under value, three digits', () => {
    const baseline = { name: 'bare', values: [0.00456] };
    const lines = tableOf([rowOf('figure', 'points/s', [12_345_678], baseline)]).split('\n');
    expect(lines.slice(1).map((line) => line.replace(/ +/g, ' '))).toEqual([
      'figure [points/s] 12,300,000 12,300,000 … 12,300,000',
      ' beside bare 0.00456 ratio 2,710,000,000',
    ]);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines[1]?.indexOf('12,300,000')).toBe((lines[2]?.indexOf('0.00456') ?? 0) - 3);
  });
});

function expectRow({ name, value, unit, baseline, ratio, spread }: Row): void {
  const of = `${name} [${unit}]`;
  expect(name, of).toMatch(/\S/);
  expect(unit, of).toMatch(/\S/);
  expect(Number.isFinite(value), of).toBe(true);
  if (baseline !== undefined) {
    expect(baseline.name, of).toMatch(/\S/);
    expect(Number.isFinite(baseline.value), of).toBe(true);
    expect(Number.isFinite(ratio), of).toBe(true);
  }
  const [low, high] = spread ?? [];
  expect(Number.isFinite(low) && Number.isFinite(high), of).toBe(true);
  expect(low, of).toBeLessThanOrEqual(high as number);
}

function bench(...args: readonly string[]): SpawnSyncReturns<string> {
  const flags = ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning'];
  return spawnSync(process.execPath, [...flags, main, ...args], {
    encoding: 'utf8',
    timeout: 120_000,
  });
}
