import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openTestPlatform } from '../../../test/open-test-platform.ts';
import { schedules } from './check-schedules.ts';
import { recoveryRules } from './recovery-rules.ts';

const page = readFileSync(new URL('../../../../../docs/health.md', import.meta.url), 'utf8');

/** The rows of the table with these columns. */
function table(first: string, columns: number): readonly string[] {
  const from = page.indexOf(`| ${first}`);
  const lines = page.slice(from).split('\n\n', 1)[0]?.split('\n').slice(2) ?? [];
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, columns + 1)
      .map((cell) => cell.trim())
      .join(' | '),
  );
}

function span(ms: number): string {
  if (ms === 0) return 'at once';
  return ms >= 3_600_000 ? `${ms / 3_600_000} h` : `${ms / 60_000} min`;
}

test('the page lists every check of a platform as it is, and no other', async () => {
  const { platform } = await openTestPlatform();
  const { checks } = await platform.operations.health();
  const rows = checks
    .filter(({ name }) => !name.startsWith('postgres'))
    .map(({ name, component, kind, critical }) =>
      [name, component, kind, critical ? 'yes' : ''].join(' | '),
    );
  expect(table('check | component', 4).toSorted()).toEqual(rows.toSorted());
});

test('and the schedules, and the table of recoveries', () => {
  expect(table('schedule', 4)).toEqual(
    Object.entries(schedules).map(([name, { intervalMs, timeoutMs, failureThreshold }]) =>
      [name, `${intervalMs / 1000} s`, `${timeoutMs / 1000} s`, failureThreshold].join(' | '),
    ),
  );
  expect(table('check | once', 4)).toEqual(
    recoveryRules.map(({ check, afterMs, actions, escalateAfterMs }) =>
      [check, span(afterMs), actions.join(', ') || '–', span(escalateAfterMs)].join(' | '),
    ),
  );
});
