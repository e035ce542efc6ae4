import type { StoredRecord } from '../../contracts/record.ts';
import type { Json, JsonObject } from '../../json.ts';
import type { Interval } from '../../statistics/index.ts';
import type { MetricFigure } from './metric-figure.ts';
import type { PerformanceFigures } from './performance-test.ts';
import type { SegmentsFigures } from './segments-test.ts';
import type { MetricLimit, SuiteTest } from './suite.ts';

/** What came of a test or suite. SKIPPED: there was nothing to compare with; it fails no suite. */
export type TestOutcome = 'PASSED' | 'FAILED' | 'SKIPPED';

/** What golden inputs came to. */
export interface GoldenFigures {
  readonly test: 'golden';
  readonly cases: number;
  readonly differing: number;
  /** The first ones. */
  readonly differences: readonly {
    /** From 1 on. */
    readonly case: number;
    readonly place: string;
    readonly expected: Json;
    readonly actual: Json;
  }[];
}

/** Figures with the limits they are held to. */
export interface MetricsFigures {
  readonly test: 'metrics';
  readonly rows: number;
  readonly figures: readonly (MetricFigure & MetricLimit & { readonly passed: boolean })[];
}

/** How the answers differ from those of the version in production. */
export interface ReplayFigures {
  readonly test: 'replay';
  readonly requests: number;
  readonly differing: number;
  readonly share: number;
  readonly interval: Interval;
  readonly productionVersion: string;
  /** Of outputs that are numbers: how far apart they are. */
  readonly outputs: readonly {
    readonly output: string;
    readonly differing: number;
    readonly meanGap: number | null;
    readonly largestGap: number | null;
  }[];
  /** The first ones; what was asked is not kept. */
  readonly differences: readonly {
    readonly request: string;
    readonly place: string;
    readonly production: Json;
    readonly candidate: Json;
  }[];
}

/** What a test measured. */
export type TestFigures =
  | GoldenFigures
  | MetricsFigures
  | SegmentsFigures
  | PerformanceFigures
  | ReplayFigures;

/** What a test came to, in a sentence. */
export interface TestSummary {
  readonly name: string;
  readonly test: SuiteTest['test'];
  readonly outcome: TestOutcome;
  readonly detail: string;
}

/** What a test came to. */
export interface TestResult extends TestSummary {
  readonly durationMs: number;
  /** Missing where it could not be carried through. */
  readonly figures?: TestFigures;
}

/** Where it was measured. */
export interface ValidationEnvironment {
  readonly runtime: string;
  readonly isolation: string;
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryBytes: number;
}

interface ReportFacts {
  readonly id: string;
  readonly modelId: string;
  readonly model: string;
  readonly versionId: string;
  readonly version: string;
  readonly suite: string;
  readonly suiteId: string;
  /** The revision of the suite that was run. */
  readonly suiteRevision: number;
  readonly outcome: 'PASSED' | 'FAILED';
  readonly startedAt: number;
  readonly endedAt: number;
  readonly by: string;
  /** The rows it was made with, so that it can be made again. */
  readonly data: Readonly<Record<string, { readonly sha256: string; readonly rows: number }>>;
  readonly environment: ValidationEnvironment;
}

/** What a suite found on a version. */
export interface ValidationReport extends ReportFacts {
  readonly tests: readonly TestResult[];
}

/** What a suite found on a version, without the figures. */
export interface ValidationSummary extends ReportFacts {
  readonly tests: readonly TestSummary[];
  /** The content of the whole report. */
  readonly sha256: string;
  /** The content of its HTML page. */
  readonly page: { readonly sha256: string };
}

/** A summary out of its record. */
export function summaryFromRecord({ id, columns: c, body }: StoredRecord): ValidationSummary {
  return {
    ...(body as unknown as Omit<ValidationSummary, 'id' | 'by' | 'suite' | 'outcome' | 'sha256'>),
    id,
    modelId: c['modelId'] as string,
    versionId: c['versionId'] as string,
    suite: c['suite'] as string,
    outcome: c['outcome'] as 'PASSED' | 'FAILED',
    sha256: c['sha256'] as string,
    by: c['createdBy'] as string,
  };
}

/** The contents that a report's record names: itself, its page, the rows it was made with. */
export function contentsOfReport({
  columns,
  body,
}: Pick<StoredRecord, 'columns' | 'body'>): readonly string[] {
  const data = Object.values((body['data'] ?? {}) as Readonly<Record<string, JsonObject>>);
  const page = (body['page'] ?? {}) as JsonObject;
  const all = [columns['sha256'], page['sha256'], ...data.map(({ sha256 }) => sha256)];
  return all.filter((each) => typeof each === 'string');
}
