import { expect, test } from 'vitest';
import type { EvidenceQuery } from '../contracts/evidence-source.ts';
import { windowCounts } from './evidence-windows.ts';
import type { StoredPrediction } from './predictions/stored-predictions.ts';

const query: EvidenceQuery = {
  ...{ figure: 'error_counts', deploymentId: 'd', candidateVersionId: 'b' },
  ...{ baselineVersionId: 'a', from: 0, to: 400, windowMs: 100, splitAt: [200] },
};

/** Rows as `at version key`, failed where a `!` follows. */
function counted(...rows: readonly string[]): ReturnType<typeof windowCounts> {
  const made = rows.map((text, i): StoredPrediction => {
    const [at, versionId = '', key] = text.replace('!', '').split(' ');
    return {
      ...{ at: Number(at), versionId, requestId: `${i}`, role: 'primary', features: {} },
      ...{ prediction: 1, latencyMs: 1, ...(key === undefined ? {} : { key }) },
      ...(text.endsWith('!') ? { error: 'it failed' } : {}),
    };
  });
  return windowCounts(query, made, ({ error }) => error !== undefined);
}

function told(windows: ReturnType<typeof windowCounts>['windows']): readonly string[] {
  return windows.map(
    (each) =>
      `${each.canaryBad}/${each.canaryRequests} ${each.baselineBad}/${each.baselineRequests}`,
  );
}

test('requests without keys are counted by windows, as they come', () => {
  const { windows, units } = counted('1 a', '2 a!', '3 b', '150 b!', '210 b', '220 c');
  expect([told(windows), units]).toEqual([['0/1 1/2', '1/1 0/0', '0/1 0/0'], undefined]);
});

test('users count once in each stage and version, by their first request', () => {
  const rows = ['1 a u', '2 a u!', '3 b v!', '150 b v', '160 b w', '170 a', '180 a!'];
  const { windows, units } = counted(...rows, '210 b u!', '220 b u!', '310 b v', '320 a x');
  expect(told(windows)).toEqual(['1/1 1/2', '0/2 1/2', '2/2 0/0', '0/1 0/1']);
  expect(units?.map(told)).toEqual([
    ['1/1 0/1', '0/1 1/2'],
    ['1/1 0/0', '0/1 0/1'],
  ]);
});
