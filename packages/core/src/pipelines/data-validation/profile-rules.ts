import type { Category } from '../../statistics/index.ts';
import type { ColumnProfile, ColumnType, DataProfile } from './data-profile.ts';
import { type DataFinding, figure, percent, quoted } from './finding.ts';

/** From `min` to `max`, both included. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

/** What a column is held to; it must be there. */
export interface ColumnRules {
  readonly type?: ColumnType;
  /** The share of rows without a value, from 0 to 1: `{ max: 0.01 }`. */
  readonly missing?: Bounds;
  /** The share of values that are infinite. */
  readonly infinite?: Bounds;
  readonly distinct?: Bounds;
  readonly min?: Bounds;
  readonly max?: Bounds;
  readonly mean?: Bounds;
  readonly deviation?: Bounds;
  readonly p1?: Bounds;
  readonly p5?: Bounds;
  readonly p25?: Bounds;
  readonly p50?: Bounds;
  readonly p75?: Bounds;
  readonly p95?: Bounds;
  readonly p99?: Bounds;
  /** All values that may occur. */
  readonly values?: readonly Category[];
}

/** What the data as a whole is held to. */
export interface DataRules {
  /** At least one row when left out. */
  readonly rows?: Bounds;
  readonly columns?: Readonly<Record<string, ColumnRules>>;
}

const shareFigures = ['missing', 'infinite'] as const;
const figures = [
  ...(['distinct', 'min', 'max', 'mean', 'deviation'] as const),
  ...(['p1', 'p5', 'p25', 'p50', 'p75', 'p95', 'p99'] as const),
];
/** The names of rules that are bounds. */
export const boundNames: readonly string[] = [...shareFigures, ...figures];

/** What of a profile is out of its bounds. */
export function checkRules(rules: DataRules, profile: DataProfile): readonly DataFinding[] {
  const columns = new Map(profile.columns.map((each) => [each.column, each]));
  const rows = { min: 1, ...rules.rows };
  const counted = outside(profile.rows, rows);
  return [
    ...(counted === undefined
      ? []
      : [
          {
            kind: 'rows',
            detail: `there are ${profile.rows} rows, which is ${counted}`,
            weight: 100,
          } as const,
        ]),
    ...Object.entries(rules.columns ?? {}).flatMap(([name, rule]) => {
      const column = columns.get(name);
      // Without rows there is one thing to say, not one for each column.
      if (column === undefined && profile.rows === 0) return [];
      return column === undefined
        ? [finding(name, `the column ${quoted(name)} is not there`, 40)]
        : checkColumn(rule, column, profile.rows);
    }),
  ];
}

function checkColumn(
  rule: ColumnRules,
  column: ColumnProfile,
  rows: number,
): readonly DataFinding[] {
  const found: DataFinding[] = [];
  const name = quoted(column.column);
  if (rule.type !== undefined && column.type !== rule.type) {
    const detail = `${name} is of type ${column.type}, not ${rule.type}`;
    found.push(finding(column.column, detail, 40));
  }
  for (const share of shareFigures) {
    const value = rows === 0 ? 0 : column[share] / rows;
    const out = rule[share] && outside(value, rule[share], percent);
    if (out !== undefined) {
      const detail = `${percent(value)} of ${name} are ${share}, which is ${out}`;
      found.push(finding(column.column, detail, 20 + 10 * value));
    }
  }
  for (const what of figures) {
    const bounds = rule[what];
    if (bounds === undefined) continue;
    const value = figureOf(column, what);
    const out = value === null ? 'no number' : outside(value, bounds);
    if (out === undefined) continue;
    const said =
      value === null ? 'there are no numbers' : `it is ${figure(value)}, which is ${out}`;
    found.push(finding(column.column, `${what} of ${name}: ${said}`, 20));
  }
  return [...found, ...strangers(rule, column)];
}

function strangers(rule: ColumnRules, column: ColumnProfile): readonly DataFinding[] {
  if (rule.values === undefined) return [];
  const known = new Set<Category>(rule.values);
  const strange = column.top.filter(({ value }) => !known.has(value));
  const more = column.distinct > rule.values.length && strange.length === 0;
  if (strange.length === 0 && !more) return [];
  const shown = strange
    .slice(0, 5)
    .map(({ value, count }) => `${JSON.stringify(value)} (${count})`);
  const detail =
    strange.length > 0
      ? `${quoted(column.column)} has values that are not allowed: ${shown.join(', ')}`
      : `${quoted(column.column)} has ${column.distinct} different values, more than are allowed`;
  return [finding(column.column, detail, 25)];
}

function figureOf(column: ColumnProfile, what: (typeof figures)[number]): number | null {
  switch (what) {
    case 'distinct':
    case 'min':
    case 'max':
    case 'mean':
    case 'deviation':
      return column[what];
    default:
      return column.quantiles?.[what] ?? null;
  }
}

/** How a value is out of its bounds; undefined when it is not. NaN is out of any. */
function outside(
  value: number,
  { min, max }: Bounds,
  write: (value: number) => string = figure,
): string | undefined {
  if (min !== undefined && !(value >= min)) return `below ${write(min)}`;
  if (max !== undefined && !(value <= max)) return `above ${write(max)}`;
  return undefined;
}

function finding(column: string, detail: string, weight: number): DataFinding {
  return { kind: 'profile', column, detail, weight };
}
