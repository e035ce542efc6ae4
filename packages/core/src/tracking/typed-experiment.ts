import type { ActiveRun, MetricOptions } from './active-run.ts';
import { assertExperimentName } from './experiment.ts';
import type { Runs } from './runs.ts';
import type { StartRunOptions } from './start-run-options.ts';

/** What an experiment's runs log: the structure of their params, the names of their metrics. */
export interface ExperimentTypes {
  readonly params?: object;
  readonly metrics?: string;
}

/** Params of which a call may log a part; arrays and class instances are values as they stand. */
export type PartialParams<P> = {
  readonly [K in keyof P]?: P[K] extends ParamBranch ? PartialParams<P[K]> : P[K];
};

/** The dotted keys of params: `optimizer.rate` of `{ optimizer: { rate: number } }`. */
export type ParamKey<P> = {
  [K in keyof P & string]: P[K] extends ParamBranch ? `${K}.${ParamKey<P[K]>}` : K;
}[keyof P & string];

/** The value under a dotted key. */
export type ParamValue<P, Key extends string> = Key extends keyof P
  ? P[Key]
  : Key extends `${infer Head}.${infer Rest}`
    ? Head extends keyof P
      ? ParamValue<P[Head], Rest>
      : never
    : never;

type ParamBranch = { readonly [key: string]: unknown } & { readonly length?: never };
type ParamsOf<T extends ExperimentTypes> = T extends { readonly params: infer P extends object }
  ? P
  : Record<string, unknown>;
type MetricsOf<T extends ExperimentTypes> = T extends { readonly metrics: infer M extends string }
  ? M
  : string;

/** A run that takes the params and metrics of its experiment alone, by type; else an {@link ActiveRun}. */
export interface TypedRun<T extends ExperimentTypes>
  extends Omit<ActiveRun, 'logMetric' | 'logMetrics' | 'logParam' | 'logParams'> {
  logMetric(key: MetricsOf<T>, value: number, options?: MetricOptions): void;
  logMetrics(values: { readonly [K in MetricsOf<T>]?: number }, options?: MetricOptions): void;
  logParam<K extends ParamKey<ParamsOf<T>>>(
    key: K,
    value: ParamValue<ParamsOf<T>, K>,
  ): Promise<void>;
  logParams(params: PartialParams<ParamsOf<T>>): Promise<void>;
}

/** How a run of a typed experiment begins. */
export type TypedStartOptions<T extends ExperimentTypes> = Omit<
  StartRunOptions,
  'experiment' | 'params'
> & { readonly params?: PartialParams<ParamsOf<T>> };

/** An experiment on which a mistyped metric or param is a compile error. */
export interface TypedExperiment<T extends ExperimentTypes> {
  readonly name: string;
  /** As `tracking.startRun`. */
  startRun(options?: TypedStartOptions<T>): Promise<TypedRun<T>>;
  /** As `tracking.withRun`. */
  withRun<R>(work: (run: TypedRun<T>) => Promise<R> | R): Promise<R>;
  withRun<R>(options: TypedStartOptions<T>, work: (run: TypedRun<T>) => Promise<R> | R): Promise<R>;
}

/** Makes typed experiments. */
export interface TypedExperiments {
  /**
   * A handle by which runs log what the experiment declares:
   * `experiment<{ params: { rate: number }; metrics: 'loss' }>('digits')`. Types alone: nothing is checked
   * or made before a run starts. INVALID for what is no name.
   */
  experiment<T extends ExperimentTypes>(name: string): TypedExperiment<T>;
}

/** Typed experiments over the verbs on runs. */
export function createTypedExperiments(runs: Pick<Runs, 'startRun' | 'withRun'>): TypedExperiments {
  return {
    experiment<T extends ExperimentTypes>(name: string): TypedExperiment<T> {
      assertExperimentName(name);
      type Work<R> = (run: TypedRun<T>) => Promise<R> | R;
      const typed = (run: ActiveRun): TypedRun<T> => run as unknown as TypedRun<T>;
      return {
        name,
        startRun: async (options) => typed(await runs.startRun({ ...options, experiment: name })),
        withRun: <R>(first: TypedStartOptions<T> | Work<R>, second?: Work<R>): Promise<R> => {
          const [options, work] =
            typeof first === 'function' ? [{}, first] : [first, second as Work<R>];
          return runs.withRun({ ...options, experiment: name }, (run) => work(typed(run)));
        },
      };
    },
  };
}
