import { KeelsonError } from '../errors.ts';

/** Refuses anything but a positive number (Infinity included). */
export function requirePositive(name: string, value: number): void {
  if (!(value > 0)) throw invalid(name, value, 'a positive number');
}

/** Refuses anything but a finite number. */
export function requireFinite(name: string, value: number): void {
  if (!Number.isFinite(value)) throw invalid(name, value, 'a finite number');
}

/** Refuses anything but a whole number of things: a safe integer from 0 on. */
export function requireCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw invalid(name, value, 'a count (an integer from 0 on)');
}

/** Refuses anything outside [low, high]. */
export function requireWithin(name: string, value: number, low: number, high: number): void {
  if (!(value >= low && value <= high))
    throw invalid(name, value, `a number from ${low} to ${high}`);
}

/** Refuses anything but a probability strictly between 0 and 1, such as a significance level. */
export function requireLevel(name: string, value: number): void {
  if (!(value > 0 && value < 1)) throw invalid(name, value, 'a number strictly between 0 and 1');
}

/** Refuses successes that are no counts or more than the trials. */
export function requireSuccesses(successes: number, trials: number): void {
  requireCount('successes', successes);
  requireCount('trials', trials);
  if (successes > trials)
    throw invalid('successes', successes, `at most the number of trials, ${trials}`);
}

/** The error for an argument that is not what it must be. */
export function invalid(name: string, value: unknown, expected: string): KeelsonError {
  return new KeelsonError('INVALID', `${name} must be ${expected}, not ${String(value)}.`, {
    details: { name },
  });
}
