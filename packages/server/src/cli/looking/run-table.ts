import type { Run } from '@keelson/core';
import type { View } from '../output.ts';
import type { Column } from '../table.ts';
import { shortId } from './find-by-id.ts';

/** The columns of a table of runs; metrics by their names. */
export function runColumns(view: View, metrics: readonly string[]): readonly Column<Run>[] {
  return [
    { title: 'RUN', value: ({ id }) => shortId(id), whole: true },
    { title: 'NAME', value: ({ name }) => name },
    { title: 'STATUS', value: ({ status }) => status },
    { title: 'STARTED', value: ({ startedAt }) => view.ago(startedAt), align: 'right' },
    {
      title: 'TOOK',
      value: ({ durationMs }) => (durationMs === undefined ? '' : view.duration(durationMs)),
      align: 'right',
    },
    ...metrics.map(
      (name): Column<Run> => ({
        title: name,
        value: ({ metrics: of }) => view.figure(of[name]),
        align: 'right',
      }),
    ),
  ];
}

/** The metrics that most of the runs have, but for those of the machine. */
export function commonMetrics(runs: readonly Run[], most: number): readonly string[] {
  const counts = new Map<string, number>();
  for (const { metrics } of runs) {
    for (const name of Object.keys(metrics)) {
      if (!name.startsWith('system/')) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return [...counts]
    .toSorted(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .slice(0, most)
    .map(([name]) => name);
}
