import { KeelsonError } from '../errors.ts';
import { asJson, assertText, type Json, type JsonObject } from '../json.ts';

const maxKeyLength = 1_000_000;
const maxDepth = 50;

/**
 * Nested parameters as dotted keys: `{ optimizer: { name: 'adam' } }` → `optimizer.name`; a key that
 * holds dots is such a dotted key already. Arrays, empty objects and null are values as they stand.
 * INVALID, naming the key, for what is not JSON, for empty parts, and for a key that is given twice.
 */
export function flattenParams(params: object): ReadonlyMap<string, Json> {
  const flat = new Map<string, Json>();
  const visit = (prefix: string, value: unknown, depth: number): void => {
    if (depth > maxDepth) throw new KeelsonError('INVALID', `Param ${prefix} is nested too deeply.`);
    if (isPlainObject(value) && Object.keys(value).length > 0) {
      for (const [key, item] of Object.entries(value)) {
        if (item === undefined) continue;
        visit(depth === 0 ? key : `${prefix}.${key}`, item, depth + 1);
      }
      return;
    }
    if (depth === 0) return;
    assertParamKey(prefix);
    if (flat.has(prefix)) throw new KeelsonError('INVALID', `Param ${prefix} is given twice.`);
    flat.set(prefix, asJson(value, `param ${prefix.slice(0, 80)}`));
  };
  if (!isPlainObject(params)) {
    throw new KeelsonError('INVALID', 'logParams takes an object of params, such as { rate: 0.1 }.');
  }
  visit('', params, 0);
  return flat;
}

/** Refuses, as INVALID, a param key that is not text, has empty parts, or is over 1,000,000 characters. */
export function assertParamKey(key: string): string {
  assertText(key, 'A param key', maxKeyLength);
  if (key.split('.').includes('')) {
    throw new KeelsonError('INVALID', `Param key ${JSON.stringify(key.slice(0, 80))} has an empty part.`);
  }
  return key;
}

/** The nested structure that {@link flattenParams} flattened; where keys clash, dotted ones stay flat. */
export function unflattenParams(flat: Readonly<Record<string, Json>>): JsonObject {
  const root = new Map<string, Json | Map<string, unknown>>();
  for (const [key, value] of Object.entries(flat)) insert(root as Map<string, unknown>, key, value);
  return toObject(root as Map<string, unknown>);
}

/** The type by which a param is shown. */
export function paramType(value: Json): 'INT' | 'FLOAT' | 'STRING' | 'BOOL' | 'JSON' {
  switch (typeof value) {
    case 'number':
      return Number.isInteger(value) ? 'INT' : 'FLOAT';
    case 'string':
      return 'STRING';
    case 'boolean':
      return 'BOOL';
    default:
      return 'JSON';
  }
}

function insert(root: Map<string, unknown>, key: string, value: Json): void {
  const parts = key.split('.');
  let at = root;
  for (const part of parts.slice(0, -1)) {
    let next = at.get(part);
    if (next === undefined) {
      next = new Map<string, unknown>();
      at.set(part, next);
    }
    if (!(next instanceof Map)) {
      root.set(key, value);
      return;
    }
    at = next as Map<string, unknown>;
  }
  const last = parts.at(-1) ?? '';
  if (at.has(last)) root.set(key, value);
  else at.set(last, value);
}

function toObject(map: Map<string, unknown>): JsonObject {
  return Object.fromEntries(
    [...map].map(([key, value]) => [
      key,
      value instanceof Map ? toObject(value as Map<string, unknown>) : (value as Json),
    ]),
  );
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
