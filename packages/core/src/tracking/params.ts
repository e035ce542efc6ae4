import { KeelsonError } from '../errors.ts';
import {
  asJson,
  assertText,
  isPlainObject,
  type Json,
  type JsonObject,
  storableText,
} from '../json.ts';

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
    if (depth > maxDepth) {
      throw new KeelsonError(
        'INVALID',
        `Param ${shorten(prefix)} is nested more than ${maxDepth} levels deep, or refers to itself.`,
      );
    }
    if (isPlainObject(value) && Object.keys(value).length > 0) {
      for (const [key, item] of Object.entries(value)) {
        if (item === undefined) continue;
        visit(depth === 0 ? key : `${prefix}.${key}`, item, depth + 1);
      }
      return;
    }
    if (depth === 0) return;
    assertParamKey(prefix);
    if (flat.has(prefix))
      throw new KeelsonError('INVALID', `Param ${shorten(prefix)} is given twice.`);
    flat.set(prefix, asJson(value, `param ${storableText(prefix, 80)}`));
  };
  if (!isPlainObject(params)) {
    throw new KeelsonError(
      'INVALID',
      'logParams takes an object of params, such as { rate: 0.1 }.',
    );
  }
  visit('', params, 0);
  return flat;
}

/** Refuses, as INVALID, a param key that is not text, has empty parts, or is over 1,000,000 characters. */
export function assertParamKey(key: string): string {
  assertText(key, 'A param key', maxKeyLength);
  if (key.split('.').includes('')) {
    throw new KeelsonError(
      'INVALID',
      `Param key ${shorten(key)} has an empty part; write it as a.b.c.`,
    );
  }
  return key;
}

/**
 * The nested structure that {@link flattenParams} flattened. A key below another param's key
 * (`model.type` beside `model`), or of more than 50 parts, stays dotted at the top.
 */
export function unflattenParams(flat: Readonly<Record<string, Json>>): JsonObject {
  const keys = new Set(Object.keys(flat));
  const root: Branch = new Map();
  for (const [key, value] of Object.entries(flat)) {
    const parts = key.split('.');
    const nested = parts.length <= maxDepth && !isBelowAnother(parts, keys);
    insert(root, nested ? parts : [key], value);
  }
  return toObject(root);
}

/** A level of the nested structure; what is no Branch is a param's value. */
type Branch = Map<string, Branch | { readonly value: Json }>;

function isBelowAnother(parts: readonly string[], keys: ReadonlySet<string>): boolean {
  return parts.some((_, i) => i > 0 && keys.has(parts.slice(0, i).join('.')));
}

function insert(root: Branch, parts: readonly string[], value: Json): void {
  let at = root;
  for (const part of parts.slice(0, -1)) {
    let next = at.get(part);
    if (!(next instanceof Map)) {
      next = new Map();
      at.set(part, next);
    }
    at = next;
  }
  at.set(parts.at(-1) ?? '', { value });
}

function toObject(branch: Branch): JsonObject {
  return Object.fromEntries(
    [...branch].map(([key, at]) => [key, at instanceof Map ? toObject(at) : at.value]),
  );
}

function shorten(key: string): string {
  return JSON.stringify(storableText(key, 80));
}
