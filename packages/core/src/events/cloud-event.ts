import { assertObject } from '../check-options.ts';
import type { StoredEvent } from '../contracts/event.ts';
import { KeelsonError } from '../errors.ts';
import { decodeJson, encodeJson, type Json, type JsonObject } from '../json.ts';
import type { EventOf } from './typed-event.ts';

/**
 * An event in the JSON format of CloudEvents 1.0. What the envelope has no place for are extension
 * attributes; numbers that JSON has no form for are tagged in `data` (`{"$number":"NaN"}`).
 */
export interface CloudEvent {
  readonly specversion: '1.0';
  readonly id: string;
  /** `/{workspace}/{component}`, percent-encoded. */
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  /** RFC 3339, UTC. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly data: JsonObject;
  readonly schemaversion: number;
  readonly subjectsequence: string;
  readonly correlationid: string;
  readonly causationid?: string;
  readonly principal: string;
}

/** An HTTP message of the binary content mode: attributes as headers, the data as the body. */
export interface CloudEventMessage {
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body: string;
}

/** What a CloudEvent says; a cursor it has none. */
export type CloudEventFacts = Omit<StoredEvent, 'cursor'>;

const prefix = 'ce-';

/** The event as a CloudEvent. INVALID for what is no event. */
export function toCloudEvent(event: StoredEvent | EventOf): CloudEvent {
  assertObject(event, 'toCloudEvent');
  const { workspace, source, at, causationId } = event;
  if (typeof event.id !== 'string' || typeof workspace !== 'string' || !isTime(at)) {
    throw new KeelsonError('INVALID', 'toCloudEvent takes an event as events.each gives it.');
  }
  return {
    specversion: '1.0',
    id: event.id,
    source: `/${encodeURIComponent(workspace)}/${encodeURIComponent(source)}`,
    type: event.type,
    subject: event.subject,
    time: new Date(at).toISOString(),
    datacontenttype: 'application/json',
    data: JSON.parse(encodeJson(event.payload, 'payload')) as JsonObject,
    schemaversion: event.schemaVersion,
    subjectsequence: String(event.subjectSequence),
    correlationid: event.correlationId,
    ...(causationId === undefined ? {} : { causationid: causationId }),
    principal: event.principal,
  };
}

/** The CloudEvent as an HTTP message of the binary content mode; values outside ASCII percent-encoded. */
export function cloudEventMessage(event: CloudEvent): CloudEventMessage {
  const { data, datacontenttype, ...attributes } = assertObject(event, 'cloudEventMessage');
  const headers: Record<string, string> = { 'content-type': String(datacontenttype) };
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) headers[prefix + name] = headerText(String(value));
  }
  return { headers, body: JSON.stringify(data ?? {}) };
}

/**
 * What a CloudEvent that {@link toCloudEvent} made says: the parsed JSON format, or a message of the binary
 * mode (headers in lower case). INVALID, naming the attribute, for others.
 */
export function fromCloudEvent(given: CloudEvent | CloudEventMessage): CloudEventFacts {
  assertObject(given, 'fromCloudEvent');
  const attributes = 'headers' in given ? attributesOf(given) : { ...given };
  const text = textReader(attributes);
  if (text('specversion') !== '1.0') throw refused('specversion', 'must be 1.0');
  const [, workspace, source] = /^\/([^/]+)\/([^/]+)$/.exec(text('source')) ?? [];
  if (workspace === undefined || source === undefined) {
    throw refused('source', 'must be /{workspace}/{component}');
  }
  const causationId = attributes['causationid'] === undefined ? undefined : text('causationid');
  return {
    id: text('id'),
    type: text('type'),
    subject: text('subject'),
    workspace: unescaped('source', workspace),
    source: unescaped('source', source),
    at: timeOf(text('time')),
    payload: payloadOf(attributes['data']),
    schemaVersion: wholeNumber('schemaversion', attributes['schemaversion']),
    subjectSequence: wholeNumber('subjectsequence', attributes['subjectsequence']),
    correlationId: text('correlationid'),
    ...(causationId === undefined ? {} : { causationId }),
    principal: text('principal'),
  };
}

type Attributes = Readonly<Record<string, unknown>>;

function attributesOf({ headers, body }: CloudEventMessage): Attributes {
  assertObject(headers, 'The headers of a CloudEvent');
  const attributes: Record<string, unknown> = {};
  for (const [header, value] of Object.entries(headers)) {
    const name = header.toLowerCase();
    if (name.startsWith(prefix)) attributes[name.slice(prefix.length)] = plainText(name, value);
  }
  if (typeof body !== 'string') throw refused('data', 'must be JSON text');
  try {
    return { ...attributes, data: JSON.parse(body) };
  } catch (cause) {
    throw refused('data', 'is no JSON text', cause);
  }
}

function textReader(attributes: Attributes): (name: string) => string {
  return (name) => {
    const value = attributes[name];
    if (typeof value !== 'string' || value === '') throw refused(name, 'must be text');
    return value;
  };
}

function payloadOf(data: unknown): JsonObject {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) {
    throw refused('data', 'must be an object');
  }
  return decodeJson(JSON.stringify(data as Json)) as JsonObject;
}

function timeOf(text: string): number {
  const form = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/i;
  const at = form.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw refused('time', 'must be a time of RFC 3339');
  return at;
}

function isTime(at: unknown): at is number {
  return typeof at === 'number' && !Number.isNaN(new Date(at).getTime());
}

function wholeNumber(name: string, value: unknown): number {
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;
  if (Number.isSafeInteger(number) && (number as number) >= 1) return number as number;
  throw refused(name, 'must be a whole number from 1');
}

/** As the HTTP binding asks: spaces, quotes, per cents and what is not printable ASCII. */
function headerText(value: string): string {
  return value
    .toWellFormed()
    .replace(/[^\x21\x23\x24\x26-\x7e]/gu, (c) =>
      [...Buffer.from(c)]
        .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
        .join(''),
    );
}

function plainText(name: string, value: unknown): string {
  if (typeof value !== 'string') throw refused(name, 'must be text');
  return unescaped(name, value);
}

function unescaped(name: string, value: string): string {
  try {
    return decodeURIComponent(value);
  } catch (cause) {
    throw refused(name, 'is not percent-encoded as it should be', cause);
  }
}

function refused(name: string, problem: string, cause?: unknown): KeelsonError {
  const options = { details: { attribute: name }, ...(cause === undefined ? {} : { cause }) };
  return new KeelsonError('INVALID', `Attribute ${name} of the CloudEvent ${problem}.`, options);
}
