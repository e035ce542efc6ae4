import type { ByteSource } from '../../contracts/artifact-store.ts';
import type { Json, JsonObject } from '../../json.ts';
import type { Tolerance } from './tolerance.ts';

/** An input whose output is known. */
export interface GoldenCase {
  /** By the names of columns, or of inputs that have none. */
  readonly inputs: JsonObject;
  /** By the names of outputs; those left out may be anything. */
  readonly expected: JsonObject;
}

/** Golden inputs: the outputs must be as expected. */
export interface GoldenTest {
  readonly test: 'golden';
  /** Unique within the suite; made of the kind when left out. */
  readonly name?: string;
  /** The cases, or the data that has them: rows `{ inputs, expected }`; in CSV, columns `expected.<output>`. */
  readonly cases?: readonly GoldenCase[];
  readonly data?: string;
  /** For all outputs. Floating-point outputs have 1e-6 absolute and 1e-5 relative when left out, others none. */
  readonly tolerance?: Tolerance;
  /** For single outputs. */
  readonly outputs?: Readonly<Record<string, Tolerance>>;
}

/** The figures that are known by name; others are handed in as functions. */
export const knownMetrics = [
  'accuracy',
  'balancedAccuracy',
  'precision',
  'recall',
  'f1',
  'auc',
  'logLoss',
  'rmse',
  'mae',
  'r2',
] as const;

/** What a figure must be. */
export interface MetricLimit {
  /** One of {@link knownMetrics}, or a function of `validate({ metrics })`. */
  readonly metric: string;
  readonly min?: number;
  readonly max?: number;
  /** `bound`: the whole 95 % interval must be within, not the estimate alone. */
  readonly judge?: 'estimate' | 'bound';
}

/**
 * How a prediction is read from outputs. When left out, output `label` is the prediction, and `probabilities` has
 * a column for each class; without `label` the only other output is, or the likeliest class.
 */
export interface PredictionReading {
  readonly output?: string;
  readonly probabilities?: string;
  /** The class that precision, recall, f1 and auc are about; for the first three, all classes when left out. */
  readonly positive?: string;
  readonly negative?: string;
  /** The output is a score: from here on the prediction is `positive` (`1` when left out), else `negative` (`0`). */
  readonly threshold?: number;
}

/** Figures on labelled rows, with limits. */
export interface MetricsTest {
  readonly test: 'metrics';
  readonly name?: string;
  readonly data: string;
  /** The column with what was really the case. */
  readonly label: string;
  readonly limits: readonly MetricLimit[];
  readonly prediction?: PredictionReading;
}

/** One figure for each segment of the rows: the largest gap has a limit. */
export interface SegmentsTest {
  readonly test: 'segments';
  readonly name?: string;
  readonly data: string;
  readonly label: string;
  readonly metric: string;
  /** Columns, each of which cuts the rows into segments. */
  readonly by: readonly string[];
  /** Where a column of numbers is cut: `{ age: [30, 60] }` makes below 30, 30 to below 60, from 60. */
  readonly edges?: Readonly<Record<string, readonly number[]>>;
  /** Between the best and the worst segment of a column. */
  readonly maxGap: number;
  /** Segments with fewer rows are shown, and not judged; 30 when left out. */
  readonly minRows?: number;
  readonly prediction?: PredictionReading;
}

/** Latency, throughput and memory under load. */
export interface PerformanceTest {
  readonly test: 'performance';
  readonly name?: string;
  /** Rows to ask with; made up (zeros, empty texts) when left out. */
  readonly data?: string;
  /** Requests under way at a time: each is followed by the next once it is answered. 1 when left out. */
  readonly concurrency?: number;
  /** Rows of a request; 1 when left out. */
  readonly batchRows?: number;
  /** Of a round; 200 when left out. */
  readonly requests?: number;
  /** Before the first round, not measured; 20 when left out. */
  readonly warmUpRequests?: number;
  /** Each figure is the median of the rounds; 3 when left out. */
  readonly rounds?: number;
  readonly limits: PerformanceLimits;
}

/** What is still fast and small enough. */
export interface PerformanceLimits {
  readonly maxP50Ms?: number;
  readonly maxP99Ms?: number;
  readonly minRequestsPerSecond?: number;
  /** Growth of the process from before the model was loaded. */
  readonly maxMemoryBytes?: number;
}

/** Requests of production are asked again: how often does this version answer otherwise than the one in production? */
export interface ReplayTest {
  readonly test: 'replay';
  readonly name?: string;
  /** Of those handed in; 1,000 when left out. */
  readonly maxRequests?: number;
  /** Fewer are no proof, and fail; 1 when left out. */
  readonly minRequests?: number;
  readonly maxDifferentShare: number;
  readonly tolerance?: Tolerance;
  readonly outputs?: Readonly<Record<string, Tolerance>>;
}

/** One test of a suite. */
export type SuiteTest = GoldenTest | MetricsTest | SegmentsTest | PerformanceTest | ReplayTest;

/**
 * Where rows come from: given here and kept with the suite; a file or bytes, kept too; content that is there;
 * `given`: handed to `validate` each time. CSV has its names in the first line; others are lines of JSON.
 */
export type SuiteDataSource =
  | 'given'
  | { readonly rows: readonly JsonObject[] }
  | { readonly file: string; readonly format?: DataFormat }
  | { readonly bytes: ByteSource; readonly format?: DataFormat }
  | { readonly sha256: string; readonly format?: DataFormat };

/** How rows are written; told by a file's extension, else `jsonl`, when left out. */
export type DataFormat = 'jsonl' | 'csv';

/** Rows that are kept with a suite. */
export interface SuiteData {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly format: DataFormat;
  readonly rows: number;
}

/** How a suite is run. */
export interface SuiteSettings {
  /** Rows asked at once where latency is not measured; 64 when left out. */
  readonly batchRows: number;
  /** A prediction that has not come by then has failed; 30 s when left out. */
  readonly predictTimeoutMs: number;
  /** 2 minutes when left out. */
  readonly loadTimeoutMs: number;
}

/** What a suite is made of. */
export interface ValidationSuiteOptions extends Partial<SuiteSettings> {
  readonly name: string;
  readonly description?: string;
  /** Rows by name, for the tests that use them. */
  readonly data?: Readonly<Record<string, SuiteDataSource>>;
  readonly tests: readonly SuiteTest[];
}

/** A test as it is kept: named, its cases among the suite's data. */
export type KeptTest = SuiteTest & { readonly name: string };

/** A suite as it is kept with its model. */
export interface ValidationSuite extends SuiteSettings {
  readonly id: string;
  readonly model: string;
  readonly name: string;
  readonly description: string;
  readonly data: Readonly<Record<string, SuiteData | 'given'>>;
  readonly tests: readonly KeptTest[];
  /** Rises with every change. */
  readonly revision: number;
  readonly updatedAt: number;
}

/** A labelled row with what the model said of it. */
export interface LabelledPrediction {
  readonly row: JsonObject;
  readonly label: Json;
  readonly prediction: Json;
  readonly probabilities?: Readonly<Record<string, number>>;
}

/** A figure of one's own. What it throws fails the test with its message. */
export type MetricFunction = (rows: readonly LabelledPrediction[]) => number | Promise<number>;
