/** What stands in the place of a secret. */
const redacted = '[redacted]';

const fewestLetters = 8;
const mostSecrets = 1_000;
const deepest = 12;
/** Secrets that were handed out in this process, whoever asked: text can carry one anywhere. */
const handedOut = new Set<string>();

const secretKey =
  /(password|passwd|passphrase|secret|token|authorization|apikey|privatekey|accesskey|cookie|credentials|connectionstring)$/;
/** Keys that look so and name no secret. */
const harmless = new Set(['idempotencytoken', 'nexttoken', 'pagetoken']);
const inUrl = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s/?#@:]*):[^\s/?#@]+@/gi;
const bearer = /\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi;
const apiKey = /\b(keelson_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{12})\.[A-Za-z0-9_-]{43}/g;

/**
 * Notes a secret, so that logs, errors and events of this process never show it. One of fewer than eight
 * letters is not noted: it would be found in words. The last 1,000 are known.
 */
export function noteSecret(secret: string): void {
  if (secret.length < fewestLetters) return;
  handedOut.delete(secret);
  handedOut.add(secret);
  if (handedOut.size <= mostSecrets) return;
  for (const oldest of handedOut) {
    handedOut.delete(oldest);
    return;
  }
}

/** The text without secrets: those that were handed out, passwords in addresses, bearers, API keys. */
export function redactText(text: string): string {
  let found = text;
  for (const secret of handedOut) {
    if (found.includes(secret)) found = found.replaceAll(secret, redacted);
  }
  if (found.includes('://')) found = found.replace(inUrl, `$1:${redacted}@`);
  if (/bearer|basic/i.test(found)) found = found.replace(bearer, `$1 ${redacted}`);
  if (found.includes('keelson_')) found = found.replace(apiKey, `$1.${redacted}`);
  return found;
}

/**
 * The value without secrets: in its texts, and whatever text stands under keys such as `password` or
 * `authorization`. Errors stay errors. What has no secret in it is answered as it is.
 */
export function redact<T>(value: T): T {
  return walk(value, 0, new Map()) as T;
}

function walk(value: unknown, depth: number, seen: Map<object, unknown>): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null || depth > deepest) return value;
  if (seen.has(value)) return seen.get(value);
  seen.set(value, value);
  if (value instanceof Error) return redactError(value, depth, seen);
  if (Array.isArray(value)) {
    const items = value.map((item) => walk(item, depth + 1, seen));
    return items.some((item, i) => item !== value[i]) ? items : value;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const entries = Object.entries(value).map(([key, item]) => [
    key,
    isSecret(key, item) ? redacted : walk(item, depth + 1, seen),
  ]);
  const original = value as Record<string, unknown>;
  return entries.some(([key, item]) => original[key as string] !== item)
    ? Object.fromEntries(entries)
    : value;
}

function isSecret(key: string, value: unknown): boolean {
  if (typeof value !== 'string' || value === '') return false;
  const plain = key.toLowerCase().replaceAll(/[^a-z]/g, '');
  return secretKey.test(plain) && !harmless.has(plain);
}

/** A copy of the same kind, where something in it is secret. */
function redactError(error: Error, depth: number, seen: Map<object, unknown>): Error {
  const names = new Set(['message', 'stack', 'cause', ...Object.keys(error)]);
  const changes: Record<string, PropertyDescriptor> = {};
  for (const name of names) {
    const item = (error as unknown as Record<string, unknown>)[name];
    const clean = isSecret(name, item) ? redacted : walk(item, depth + 1, seen);
    if (clean === item) continue;
    const enumerable = Object.prototype.propertyIsEnumerable.call(error, name);
    changes[name] = { value: clean, enumerable, configurable: true, writable: true };
  }
  if (Object.keys(changes).length === 0) return error;
  const own = Object.getOwnPropertyDescriptors(error);
  return Object.create(Object.getPrototypeOf(error), { ...own, ...changes }) as Error;
}
