import { HTTP, CloudEvent as SdkEvent } from 'cloudevents';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { StoredEvent } from '../contracts/event.ts';
import type { JsonObject } from '../json.ts';
import { cloudEventMessage, fromCloudEvent, toCloudEvent } from './cloud-event.ts';
import { eventCatalogue, eventTypes } from './event-catalogue.ts';

const event: StoredEvent = {
  id: '0198c0de-0000-7000-8000-000000000001',
  type: 'model.promoted',
  subject: 'model:fraud',
  source: 'registry',
  at: 1767225600123,
  payload: { name: 'fraud' },
  schemaVersion: 1,
  correlationId: 'alarm-7',
  causationId: '0198c0de-0000-7000-8000-000000000002',
  principal: 'user:ana',
  workspace: 'team a/b',
  subjectSequence: 2 ** 40,
  cursor: '7',
};
const { cursor: _, ...facts } = event;

const name = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => text.isWellFormed());
const payload = fc
  .dictionary(fc.string(), fc.oneof(fc.double(), fc.string(), fc.constant(null)))
  .map((each) => ({ ...each }) as JsonObject);

describe('a CloudEvent', () => {
  test.each([...eventTypes])('of %s: the SDK takes it strictly, in both modes', (type) => {
    const { example, source, schemaVersion } = eventCatalogue[type];
    const stored = {
      ...event,
      type,
      source,
      schemaVersion,
      payload: example as unknown as JsonObject,
    };
    const cloud = toCloudEvent(stored);
    // Strict: throws for attributes that the specification does not allow.
    const sdk = new SdkEvent<unknown>({ ...cloud }, true);
    expect(sdk.validate()).toBe(true);
    const structured = HTTP.toEvent({
      headers: { 'content-type': 'application/cloudevents+json' },
      body: JSON.stringify(cloud),
    }) as SdkEvent<unknown>;
    const { headers, body } = cloudEventMessage(cloud);
    const binary = HTTP.toEvent({ headers: { ...headers }, body }) as SdkEvent<unknown>;
    for (const read of [structured, binary]) {
      expect(read.validate()).toBe(true);
      expect(read).toMatchObject({ id: event.id, type, specversion: '1.0', data: example });
      expect(Date.parse(read.time ?? '')).toBe(event.at);
    }
  });

  test('says all that the event says, and goes back, in both modes', () => {
    const cloud = toCloudEvent(event);
    expect(cloud).toMatchObject({ source: '/team%20a%2Fb/registry', correlationid: 'alarm-7' });
    expect(fromCloudEvent(JSON.parse(JSON.stringify(cloud)))).toEqual(facts);
    expect(fromCloudEvent(cloudEventMessage(cloud))).toEqual(facts);
  });

  test('whatever texts and numbers an event has, they come back', () => {
    fc.assert(
      fc.property(name, name, name, payload, (subject, workspace, principal, data) => {
        const given = { ...event, subject, workspace, principal, payload: data };
        const { cursor: __, ...expected } = given;
        const cloud = toCloudEvent(given);
        expect(fromCloudEvent(JSON.parse(JSON.stringify(cloud)))).toEqual(expected);
        const message = cloudEventMessage(cloud);
        for (const value of Object.values(message.headers)) expect(value).toMatch(/^[\x20-\x7e]*$/);
        expect(fromCloudEvent(message)).toEqual(expected);
      }),
    );
  });

  test.each([
    ['specversion', { specversion: '0.3' }],
    ['id', { id: '' }],
    ['id', { id: 7 }],
    ['source', { source: 'https://elsewhere/' }],
    ['source', { source: '/%E0%A4%A/registry' }],
    ['time', { time: 'yesterday' }],
    ['time', { time: '2026-13-45T00:00:00Z' }],
    ['data', { data: [1] }],
    ['data', { data: null }],
    ['schemaversion', { schemaversion: 1.5 }],
    ['subjectsequence', { subjectsequence: '-1' }],
    ['correlationid', { correlationid: undefined }],
    ['causationid', { causationid: {} }],
  ])('of others is refused by the name of the attribute: %s', (attribute, change) => {
    const given = { ...toCloudEvent(event), ...change };
    expect(() => fromCloudEvent(given as never)).toThrow(
      `Attribute ${attribute} of the CloudEvent`,
    );
  });

  test.each([
    [{ headers: { 'ce-id': '%' }, body: '{}' }, 'ce-id'],
    [{ headers: { 'ce-id': ['a', 'b'] }, body: '{}' }, 'ce-id'],
    [{ headers: {}, body: '{' }, 'data'],
    [{ headers: {}, body: 7 }, 'data'],
    [{ headers: {}, body: '{}' }, 'specversion'],
  ])('a message that is none: %j', (given, attribute) => {
    expect(() => fromCloudEvent(given as never)).toThrow(
      `Attribute ${attribute} of the CloudEvent`,
    );
  });

  test.each([null, undefined, 7, 'x', [], {}, { ...event, at: Number.NaN }])(
    '%j is no event',
    (given) => {
      expect(() => toCloudEvent(given as never)).toThrow(/toCloudEvent/);
    },
  );
});
