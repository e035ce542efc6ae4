import type {
  BinnedMethod,
  Category,
  DatasetDrift,
  DriftResult,
  SampleMethod,
  Severity,
  ShareDrift,
} from '../../statistics/index.ts';
import type { DataTable } from '../data-columns.ts';
import type { MultivariateDrift } from '../drift/multivariate.ts';
import type { ColumnFigures, ColumnHistogram } from './column-figures.ts';

/** How two sets of data are compared. */
export interface DriftReportOptions {
  /** On the page; `Drift report` when left out. */
  readonly title?: string;
  /** The chance that data without drift is said to have any, over all features; 0.05 when left out. */
  readonly alpha?: number;
  /** The columns that are compared; all when left out. */
  readonly columns?: readonly string[];
  /** Columns that are not. */
  readonly except?: readonly string[];
  /** The column with what the model answered: told apart from its features. */
  readonly prediction?: string;
  /** The column with the truth: told apart from the features too. */
  readonly target?: string;
  /** How much the model relies on each feature; all alike when left out. */
  readonly importances?: Readonly<Record<string, number>>;
  /** How columns of numbers are compared; by type and size when left out: see `numericDrift`. */
  readonly numeric?: SampleMethod | BinnedMethod;
  /** How columns of categories are; by size when left out. */
  readonly categorical?: BinnedMethod;
  /** How single columns are. */
  readonly methods?: Readonly<Record<string, SampleMethod | BinnedMethod>>;
  /** The smallest score that matters, by column; that of severity LOW when left out. */
  readonly effectThresholds?: Readonly<Record<string, number>>;
  /** A column whose values cut the rows into segments that are compared one by one as well. */
  readonly segment?: string;
  /** Whether it is looked at how features vary together; true when left out. */
  readonly multivariate?: boolean;
  /** Segments with fewer rows on a side are not compared; 100 when left out. */
  readonly minimumSegmentRows?: number;
}

/** What a column is for the model. */
export type ColumnRole = 'feature' | 'prediction' | 'target';

/** How a column differs. Plain JSON. */
export type ColumnDrift = DatasetDrift['features'][number] & {
  readonly role: ColumnRole;
  /** How it was compared. */
  readonly type: 'number' | 'category';
  readonly reference: ColumnFigures;
  readonly current: ColumnFigures;
  /** Shares of rows that are missing, infinite or of another type, with p corrected for their number. */
  readonly shares: readonly {
    readonly of: ShareKind;
    readonly drift: ShareDrift;
    readonly adjustedPValue: number;
    readonly detected: boolean;
  }[];
  /** Categories that the reference does not have, the most frequent ones; at most 20. */
  readonly newCategories: readonly { readonly category: Category; readonly count: number }[];
  /** Categories of the reference that are gone; at most 20. */
  readonly vanished: readonly Category[];
  readonly histogram?: ColumnHistogram;
};

/** What the share of is compared. */
export type ShareKind = 'missing' | 'infinite' | 'wrong-type';

/** A drift report as plain JSON. */
export interface DriftReportData {
  readonly format: 1;
  readonly title: string;
  readonly rows: { readonly reference: number; readonly current: number };
  /** Whether any feature, how they vary together, a share of bad entries, or the set of columns has changed. */
  readonly detected: boolean;
  /** Of the features, by importance; at least LOW where anything was detected. */
  readonly severity: Severity;
  /** Whether the features vary together as they did; missing where too few rows or features can tell. */
  readonly multivariate?: MultivariateDrift;
  /** The features together: shares of those that drifted, score, severity. */
  readonly dataset: Omit<DatasetDrift, 'features'>;
  /** Worst first. */
  readonly columns: readonly ColumnDrift[];
  /** Columns that only one side has. */
  readonly schema: readonly { readonly column: string; readonly change: 'gone' | 'new' }[];
  /** Columns that were not compared, and why. */
  readonly setAside: readonly { readonly column: string; readonly reason: string }[];
  /** Worst first; those with too few rows have no severity. */
  readonly segments: readonly SegmentDrift[];
}

/** How one segment differs. Plain JSON. */
export type SegmentDrift = {
  readonly segment: Category;
  readonly rows: { readonly reference: number; readonly current: number };
  /** Missing where it has too few rows. */
  readonly drift?: {
    readonly detected: boolean;
    readonly severity: Severity;
    /** Share of the features that drifted. */
    readonly driftedShare: number;
    readonly score: number;
    /** The features that drifted, worst first. */
    readonly features: readonly {
      readonly feature: string;
      readonly severity: Severity;
      readonly score: number;
      readonly result: DriftResult;
    }[];
  };
};

/** A side of a comparison. */
export interface ReportSide {
  readonly table: DataTable;
  readonly rows: number;
}

/** Whether anything about a column was detected. */
export function hasDrifted(column: Pick<ColumnDrift, 'detected' | 'shares'>): boolean {
  return column.detected || column.shares.some((share) => share.detected);
}

/** What a column is for the model. */
export function roleOf(column: string, options: DriftReportOptions): ColumnRole {
  if (column === options.prediction) return 'prediction';
  return column === options.target ? 'target' : 'feature';
}
