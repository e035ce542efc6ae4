import { inspect } from 'node:util';
import { type ErrorCode, isKeelsonError, type KeelsonError } from '../errors.ts';

/** What a case of a suite throws when an adapter breaks its promise. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
  readonly expected: unknown;
  readonly actual: unknown;

  constructor(what: string, expected: unknown, actual: unknown, options?: ErrorOptions) {
    super(`${what}\n  expected: ${show(expected)}\n  actual:   ${show(actual)}`, options);
    this.expected = expected;
    this.actual = actual;
  }
}

/** Holds when `condition` is true. `what` says what should have been so. */
export function ok(condition: boolean, what: string): asserts condition {
  if (!condition) throw new BrokenPromise(what, true, false);
}

/**
 * Holds when the two values are alike all through: numbers as by `Object.is` (NaN is NaN, −0 is not 0),
 * a property that is undefined counts as missing, prototypes of plain objects do not count.
 */
export function equal(actual: unknown, expected: unknown, what: string): void {
  if (!alike(actual, expected)) throw new BrokenPromise(what, expected, actual);
}

/** Holds when the value is there; gives it back. */
export function defined<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new BrokenPromise(what, 'a value', value);
  return value;
}

/**
 * Holds when `act` rejects (or throws) with a KeelsonError of one of the codes; gives the error back.
 * With `naming`, its message or details must contain each of those texts.
 */
export async function rejects(
  code: ErrorCode | readonly ErrorCode[],
  act: () => unknown,
  what: string,
  naming: readonly string[] = [],
): Promise<KeelsonError> {
  const codes = typeof code === 'string' ? [code] : code;
  let answer: unknown;
  try {
    answer = await act();
  } catch (error) {
    if (!isKeelsonError(error, ...codes)) {
      throw new BrokenPromise(what, `KeelsonError ${codes.join(' or ')}`, error, { cause: error });
    }
    const said = `${error.message} ${inspect(error.details, { depth: 5, maxStringLength: null })}`;
    for (const text of naming) {
      if (!said.includes(text)) {
        throw new BrokenPromise(`${what}: the error should name ${show(text)}`, text, said);
      }
    }
    return error;
  }
  throw new BrokenPromise(what, `a rejection with ${codes.join(' or ')}`, answer);
}

/** Whether two values are alike as {@link equal} means it. */
export function alike(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (ArrayBuffer.isView(a) || ArrayBuffer.isView(b)) {
    return sameClass(a, b) && alikeLists([...elements(a)], [...elements(b)]);
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && alikeLists(a, b);
  }
  if (a instanceof Map || b instanceof Map) {
    return a instanceof Map && b instanceof Map && alikeLists([...a], [...b]);
  }
  if (a instanceof Set || b instanceof Set) {
    return a instanceof Set && b instanceof Set && alikeLists([...a], [...b]);
  }
  return alikeObjects(a as Record<string, unknown>, b as Record<string, unknown>);
}

function alikeLists(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, i) => alike(item, b[i]));
}

function alikeObjects(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  const keysOf = (value: Record<string, unknown>): string[] =>
    Object.keys(value).filter((key) => value[key] !== undefined);
  const keys = keysOf(a);
  if (keys.length !== keysOf(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && alike(a[key], b[key]));
}

function sameClass(a: object, b: object): boolean {
  // Buffer is a Uint8Array to us: it holds the same bytes.
  return Object.prototype.toString.call(a) === Object.prototype.toString.call(b);
}

function elements(view: object): Iterable<unknown> {
  return view instanceof DataView
    ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    : (view as Uint8Array);
}

function show(value: unknown): string {
  if (value instanceof Error)
    return `${value.name} ${'code' in value ? String(value.code) : ''} ${value.message}`;
  return inspect(value, {
    depth: 8,
    breakLength: 100,
    maxStringLength: 300,
    maxArrayLength: 50,
  });
}
