import type { JsonObject } from '../../json.ts';
import type { TestFigures, TestOutcome } from './report.ts';
import type { MetricFunction } from './suite.ts';
import type { TestedModel } from './tested-model.ts';

/** A request of production, as the prediction log has it. */
export interface SampledRequest {
  readonly requestId?: string;
  /** By the names of input columns, as golden inputs. */
  readonly features: JsonObject;
}

/** What tests work with. */
export interface TestContext {
  readonly model: TestedModel;
  /** The rows of a data set. */
  rows(data: string): readonly JsonObject[];
  /** What the model says to them; asked once for all tests. */
  outputs(data: string): Promise<readonly JsonObject[]>;
  readonly metrics: Readonly<Record<string, MetricFunction>>;
  /** Of the process, before the model was loaded. */
  readonly rssBeforeLoad: number;
  readonly isolation: string;
  sampledRequests(limit: number): Promise<readonly SampledRequest[]>;
  /** The version in production, loaded; why there is nothing to compare with where there is none. */
  production(): Promise<
    { readonly version: string; readonly model: TestedModel } | { readonly none: string }
  >;
}

/** What a test found. */
export interface Verdict {
  readonly outcome: TestOutcome;
  readonly detail: string;
  readonly figures?: TestFigures;
}
