import { types } from 'node:util';
import { z } from 'zod';
import { assertObject, checkOptions } from '../../check-options.ts';
import type { PredictionRow, PredictionSink } from '../../contracts/prediction-sink.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, assertText, isPlainObject, type Json, type JsonObject } from '../../json.ts';
import type { SetBaselineOptions } from '../baselines/baseline-service.ts';
import { watchedId } from './watched-id.ts';

/** Any function: of a model, of a route. */
// biome-ignore lint/suspicious/noExplicitAny: of whatever arguments.
export type AnyFunction = (...args: any[]) => any;

/** How a function is watched. */
export interface WatchFunctionOptions<F extends AnyFunction = AnyFunction> {
  /** Its name: figures, drift and alerts are found under {@link watchedId} of it. */
  readonly name: string;
  /** What its version is called; `1` when left out. A new version has a baseline of its own. */
  readonly version?: string;
  /** What it is compared with: rows of features, or a baseline. Without one, latency and errors are watched. */
  readonly baseline?: object;
  /** The column of the baseline with what it answered. */
  readonly prediction?: string;
  /** What a call was made with; its first argument where that is an object, else its arguments by number. */
  readonly features?: (...args: Parameters<F>) => Readonly<Record<string, unknown>>;
  /** What it answered; the result when left out. */
  readonly answer?: (result: Awaited<ReturnType<F>>, ...args: Parameters<F>) => unknown;
  /** The id by which a label finds the call; one is made when left out. */
  readonly requestId?: (...args: Parameters<F>) => string | undefined;
  /** What part of the calls it belongs to, such as a country. */
  readonly segment?: (...args: Parameters<F>) => string | undefined;
}

const isFunction = z
  .custom((value) => typeof value === 'function', 'must be a function')
  .optional();
const shape = z.strictObject({
  name: z.string().min(1).max(200),
  version: z.string().min(1).max(200).optional(),
  baseline: z.custom((value) => typeof value === 'object' && value !== null).optional(),
  prediction: z.string().optional(),
  ...{ features: isFunction, answer: isFunction, requestId: isFunction, segment: isFunction },
} satisfies Record<keyof WatchFunctionOptions, z.ZodType>);

/** What a watched function needs of monitoring. */
export interface WatchParts {
  readonly sink: PredictionSink;
  readonly scope: Pick<Scope, 'clock' | 'ids' | 'logger'>;
  /** See `BaselineService.keepBaseline`. */
  keepBaseline(options: SetBaselineOptions): Promise<unknown>;
}

interface Begun extends Pick<PredictionRow, 'requestId' | 'at' | 'features' | 'segment'> {}

/**
 * The same function, watched: each call is logged and counted as a prediction is. It answers and throws what the function
 * does, and never waits for monitoring; what monitoring cannot take of a call is told as a warning, once. INVALID for what
 * is no function.
 */
export function watchFunction<F extends AnyFunction>(
  parts: WatchParts,
  watched: F,
  options: WatchFunctionOptions<F>,
): F {
  if (typeof watched !== 'function')
    throw new KeelsonError('INVALID', 'monitoring.watch takes a function and how to watch it.');
  checkOptions(shape, assertObject(options, 'monitoring.watch'), 'monitoring.watch');
  const { name, version = '1', baseline, prediction } = options;
  assertText(name, 'The name of a watched function');
  assertText(version, 'The version of a watched function');
  const { scope } = parts;
  const id = watchedId(name);
  const versionId = version;
  const warn = once((error: unknown) =>
    scope.logger.warn(
      { component: 'monitoring', watched: name, error },
      'A call of a watched function could not be logged; it was answered all the same.',
    ),
  );
  if (baseline !== undefined) {
    const reference = baseline as SetBaselineOptions['reference'];
    const how = prediction === undefined ? {} : { prediction };
    const of = { deployment: { id, name }, versionId, reference, ...how };
    parts.keepBaseline(of).catch((error: unknown) => {
      const fields = { component: 'monitoring', watched: name, error };
      scope.logger.warn(fields, 'The baseline of a watched function could not be set.');
    });
  }

  /** What is known before the call, which may change what it was given; undefined where that cannot be told. */
  function begun(args: Parameters<F>): Begun | undefined {
    try {
      const segment = options.segment?.(...args);
      return {
        requestId: options.requestId?.(...args) ?? scope.ids.next(),
        at: scope.clock.now(),
        features: storable(options.features?.(...args) ?? defaultFeatures(args)),
        ...(segment === undefined ? {} : { segment }),
      };
    } catch (error) {
      warn(error);
      return undefined;
    }
  }

  function tell(
    known: Begun | undefined,
    startedAt: number,
    outcome: () => Pick<PredictionRow, 'prediction' | 'error'>,
  ): void {
    if (known === undefined) return;
    const latencyMs = performance.now() - startedAt;
    try {
      parts.sink.record({
        ...{ deploymentId: id, versionId, role: 'primary', latencyMs, ...known },
        ...outcome(),
      });
    } catch (error) {
      warn(error);
    }
  }

  function answered(result: unknown, args: Parameters<F>): Pick<PredictionRow, 'prediction'> {
    const answer = options.answer?.(result as Awaited<ReturnType<F>>, ...args) ?? result;
    return { prediction: watchedValue(answer) ?? null };
  }

  const wrapped = function (this: unknown, ...args: Parameters<F>): unknown {
    const known = begun(args);
    const startedAt = performance.now();
    const failed = (error: unknown): never => {
      tell(known, startedAt, () => ({ prediction: null, error: messageOf(error) }));
      throw error;
    };
    let result: unknown;
    try {
      result = Reflect.apply(watched, this, args);
    } catch (error) {
      return failed(error);
    }
    const succeeded = (value: unknown): unknown => {
      tell(known, startedAt, () => answered(value, args));
      return value;
    };
    // Other thenables may begin their work when they are asked: that is the caller's to do.
    return types.isPromise(result) ? result.then(succeeded, failed) : succeeded(result);
  };
  Object.defineProperty(wrapped, 'name', { value: watched.name, configurable: true });
  Object.defineProperty(wrapped, 'length', { value: watched.length, configurable: true });
  return wrapped as F;
}

function defaultFeatures(args: readonly unknown[]): Readonly<Record<string, unknown>> {
  const [first] = args;
  return isPlainObject(first)
    ? first
    : Object.fromEntries(args.map((each, i) => [String(i), each]));
}

/** More are not watched. */
const maxFeatures = 1000;

/** A copy, since rows wait to be stored; what no store can keep is missing. */
function storable(given: Readonly<Record<string, unknown>>): JsonObject {
  const features: [string, Json][] = [];
  for (const [key, value] of Object.entries(given).slice(0, maxFeatures)) {
    const kept = watchedValue(value);
    if (kept !== undefined) features.push([key, kept]);
  }
  return Object.fromEntries(features);
}

function watchedValue(value: unknown): Json | undefined {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value;
  if (typeof value === 'string') return value.toWellFormed().replaceAll('\u0000', '\uFFFD');
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Date) return value.getTime();
  if (value === undefined) return undefined;
  try {
    return asJson(value);
  } catch {
    // A function, a cycle, a getter that throws: nothing that can be compared.
    return undefined;
  }
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 1000);
}

function once(tell: (error: unknown) => void): (error: unknown) => void {
  let told = false;
  return (error) => {
    if (told) return;
    told = true;
    tell(error);
  };
}
