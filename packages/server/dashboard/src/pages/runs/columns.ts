import type { Run } from '@keelson/core';
import { showDuration, showValue } from '../../parts/format.ts';

/** A column of the table of runs. `field` is what the filter language calls it. */
export interface Column {
  readonly field: string;
  readonly title: string;
  readonly isNumber: boolean;
  /** Whether the platform can order by it. */
  readonly isOrdered: boolean;
  of(run: Run): unknown;
}

const fixed: readonly Column[] = [
  {
    field: 'attributes.status',
    title: 'Status',
    isNumber: false,
    isOrdered: true,
    of: (run) => run.status,
  },
  {
    field: 'attributes.start_time',
    title: 'Started',
    isNumber: false,
    isOrdered: true,
    of: (run) => run.startedAt,
  },
  {
    field: 'attributes.duration',
    title: 'Took',
    isNumber: true,
    isOrdered: true,
    of: (run) => run.durationMs,
  },
  {
    field: 'attributes.user_id',
    title: 'By',
    isNumber: false,
    isOrdered: true,
    of: (run) => run.userId,
  },
];

/** The columns that these runs have: the fixed ones, then each metric, param and tag, by its name. */
export function columnsOf(runs: readonly Run[]): readonly Column[] {
  const metrics = new Set<string>();
  const params = new Map<string, boolean>();
  const tags = new Set<string>();
  for (const run of runs) {
    for (const key of Object.keys(run.metrics)) if (!key.startsWith('system.')) metrics.add(key);
    for (const [key, value] of Object.entries(run.params)) {
      params.set(key, (params.get(key) ?? true) && typeof value === 'number');
    }
    for (const key of Object.keys(run.tags)) tags.add(key);
  }
  return [
    ...fixed,
    ...[...metrics].sort().map((key) => ({
      ...{ field: fieldOf('metrics', key), title: key, isNumber: true, isOrdered: true },
      of: (run: Run) => run.metrics[key],
    })),
    ...[...params]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, isNumber]) => ({
        ...{ field: fieldOf('params', key), title: key, isNumber, isOrdered: true },
        of: (run: Run) => run.params[key],
      })),
    ...[...tags].sort().map((key) => ({
      ...{ field: fieldOf('tags', key), title: key, isNumber: false, isOrdered: true },
      of: (run: Run) => run.tags[key],
    })),
  ];
}

/** Columns in which these runs do not all say the same. */
export function differing(columns: readonly Column[], runs: readonly Run[]): readonly Column[] {
  if (runs.length < 2) return columns;
  return columns.filter((column) => {
    const first = showValue(column.of(runs[0] as Run));
    return runs.some((run) => showValue(column.of(run)) !== first);
  });
}

/** A key as the filter language names it, quoted where it must be. */
function fieldOf(kind: 'metrics' | 'params' | 'tags', key: string): string {
  return /^[\w.]+$/.test(key) ? `${kind}.${key}` : `${kind}.\`${key}\``;
}

/** What stands in a cell. */
export function cellText(column: Column, run: Run): string {
  const value = column.of(run);
  if (column.field === 'attributes.duration') return showDuration(value as number | undefined);
  return showValue(value);
}

/** These rows as CSV (RFC 4180). */
export function csvOf(columns: readonly Column[], runs: readonly Run[]): string {
  const quote = (value: unknown): string => {
    const text =
      value === undefined || value === null
        ? ''
        : typeof value === 'object'
          ? JSON.stringify(value)
          : String(value);
    // A leading sign of a formula is kept from being one.
    const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const head = ['id', 'name', ...columns.map(({ field }) => field)].map(quote).join(',');
  const lines = runs.map((run) =>
    [run.id, run.name, ...columns.map((column) => column.of(run))].map(quote).join(','),
  );
  return [head, ...lines].join('\r\n');
}
