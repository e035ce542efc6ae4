import { assertObject } from '../check-options.ts';
import { KeelsonError } from '../errors.ts';

/** What a training framework tells at the end of an epoch or a batch: metric name → value. */
export type EpochLogs = Readonly<Record<string, unknown>>;

/** What the hooks need of a run; an `ActiveRun` and a typed run have it. */
export interface EpochRun {
  logMetrics(values: Readonly<Record<string, number>>, options?: { readonly step?: number }): void;
  flush(): Promise<void>;
}

/** How hooks log. */
export interface EpochCallbackOptions {
  /** Put before each metric's name: `fold1/` gives `fold1/loss`. */
  readonly prefix?: string;
  /** Logs every so many batches, under `batch/`; no batch when left out. */
  readonly everyBatches?: number;
}

/**
 * Callbacks of the shape that TF.js (`model.fit(x, y, { callbacks })`), Keras ports and loops of one's
 * own call. What they do not use they ignore.
 */
export interface EpochCallback {
  onTrainBegin(): void;
  onEpochEnd(epoch: number, logs?: EpochLogs): void;
  /** There only where batches are asked for: TF.js fetches what a batch gave for whoever listens. */
  onBatchEnd?(batch: number, logs?: EpochLogs): void;
  /** Resolves when everything logged is durable. */
  onTrainEnd(): Promise<void>;
}

/**
 * Logs what a framework tells of each epoch, at the epoch as the step, and of batches, if asked for, at
 * the number of batches since the training began. Values are numbers, or tensors of one value; `batch`
 * and `size`, which TF.js adds, and what is neither, are left out.
 */
export function epochCallback(run: EpochRun, options: EpochCallbackOptions = {}): EpochCallback {
  assertObject(run, 'epochCallback');
  const { prefix = '', everyBatches } = assertObject(options, 'The options of epochCallback');
  if (everyBatches !== undefined && !(Number.isSafeInteger(everyBatches) && everyBatches > 0)) {
    throw new KeelsonError('INVALID', `everyBatches is ${everyBatches}; it must be 1, 2, 3 …`);
  }
  let batches = 0;
  const log = (logs: EpochLogs | undefined, before: string, step: number): void => {
    const values = Object.entries(logs ?? {}).flatMap(([key, value]): [string, number][] => {
      const number = key === 'batch' || key === 'size' ? undefined : numberOf(value);
      return number === undefined ? [] : [[`${before}${key}`, number]];
    });
    if (values.length > 0) run.logMetrics(Object.fromEntries(values), { step });
  };
  const logBatch = (_batch: number, logs?: EpochLogs): void => {
    if (batches % (everyBatches ?? 1) === 0) log(logs, `${prefix}batch/`, batches);
    batches += 1;
  };
  return {
    onTrainBegin() {
      batches = 0;
    },
    onEpochEnd: (epoch, logs) => log(logs, prefix, epoch),
    onTrainEnd: () => run.flush(),
    ...(everyBatches === undefined ? {} : { onBatchEnd: logBatch }),
  };
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  const { dataSync, size } = (value ?? {}) as {
    readonly dataSync?: unknown;
    readonly size?: unknown;
  };
  if (typeof dataSync !== 'function' || size !== 1) return undefined;
  const first: unknown = (dataSync.call(value) as ArrayLike<unknown>)[0];
  return typeof first === 'number' ? first : undefined;
}
