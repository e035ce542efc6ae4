import { AsyncLocalStorage } from 'node:async_hooks';
import { KeelsonError } from '../errors.ts';
import { uuidV7 } from '../uuid.ts';
import { activeSpan } from './active-trace.ts';
import { uuidOf } from './correlation-headers.ts';

/** What ties together everything that follows from one beginning. */
export interface Correlation {
  readonly correlationId: string;
  /** The event whose handling this is, if any. */
  readonly causationId?: string;
}

const storage = new AsyncLocalStorage<Correlation>();

/** The correlation that this call runs under, if any; inside a span of OpenTelemetry, that of its trace. */
export function currentCorrelation(): Correlation | undefined {
  return storage.getStore() ?? ofActiveSpan();
}

function ofActiveSpan(): Correlation | undefined {
  const span = activeSpan();
  return span === undefined ? undefined : { correlationId: uuidOf(span.traceId) };
}

/** Runs `work` under a correlation; all that it awaits, emits and starts carries it. */
export function withCorrelation<T>(correlation: Correlation, work: () => T): T {
  if (typeof work !== 'function') {
    throw new KeelsonError(
      'INVALID',
      `withCorrelation takes a correlation and a function, not a ${typeof work}.`,
    );
  }
  return storage.run(correlation, work);
}

/** Runs `work` under the correlation in force, or under a new one when there is none. */
export function correlated<T>(work: (correlation: Correlation) => T): T {
  const current = storage.getStore();
  if (current !== undefined) return work(current);
  const fresh = ofActiveSpan() ?? { correlationId: uuidV7() };
  return storage.run(fresh, () => work(fresh));
}
