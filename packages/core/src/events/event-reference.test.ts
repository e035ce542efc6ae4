import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { eventReference } from '../../test/event-reference.ts';
import { isKeelsonError, type KeelsonError } from '../errors.ts';
import { uuidV7 } from '../uuid.ts';
import { draftEvent } from './draft-event.ts';
import { eventCatalogue, eventTypes, resolveType } from './event-catalogue.ts';

const packages = fileURLToPath(new URL('../../../', import.meta.url));
const author = {
  clock: { now: () => 1767225600000 },
  ids: { next: uuidV7 },
  principal: { id: 'user:ana', roles: [] },
};

test('docs/events.md is what the catalogue says', async () => {
  await expect(eventReference()).toMatchFileSnapshot('../../../../docs/events.md');
});

describe('the catalogue', () => {
  test.each([...eventTypes])('%s: the example can be emitted and read', (type) => {
    const { example, source, subject, schemaVersion, stored } = eventCatalogue[type];
    const draft = draftEvent(author, { type, subject, source, payload: example as never });
    expect(draft.schemaVersion).toBe(schemaVersion);
    expect(stored.safeParse(JSON.parse(JSON.stringify(draft.payload))).success).toBe(true);
  });

  test.each([...eventTypes])('%s: a field too many, or one of another kind, is refused', (type) => {
    const { example, source, subject } = eventCatalogue[type];
    const said = { type, subject, source };
    for (const payload of [
      { ...example, slip: 1 },
      { ...example, [first(example)]: Symbol.iterator },
    ]) {
      const refused = refusalOf(() => draftEvent(author, { ...said, payload: payload as never }));
      expect(refused?.code).toBe('INVALID');
      expect(refused?.message).toContain(`An event ${type} cannot be emitted so: payload`);
    }
  });

  test('has every type that the sources emit, and marks as reserved exactly those they do not', () => {
    const emitted = new Set(sources().flatMap(emittedIn));
    const unknown = [...emitted].filter((type) => !(type in eventCatalogue));
    expect(unknown).toEqual([]);
    const silent = eventTypes.filter((type) => !emitted.has(type));
    const reserved = eventTypes.filter((type) => eventCatalogue[type].reserved);
    // A type that is emitted now loses its mark in events/catalogue/, and docs/events.md is made anew.
    expect(reserved).toEqual(silent);
  });

  test('aliases are no types themselves, and each stands for one', () => {
    const aliases = eventTypes.flatMap((type) => eventCatalogue[type].alias ?? []);
    expect(new Set(aliases).size).toBe(aliases.length);
    for (const alias of aliases) {
      expect(alias in eventCatalogue).toBe(false);
      expect(resolveType(alias) in eventCatalogue).toBe(true);
    }
    expect(resolveType('experiment.completed')).toBe('run.completed');
    expect(resolveType('pipeline.step.failed')).toBe('step.failed');
    expect(resolveType('monitoring.drift_detected')).toBe('drift.detected');
    expect(resolveType('invoice.sent')).toBe('invoice.sent');
  });
});

function first(example: object): string {
  return Object.keys(example)[0] as string;
}

function refusalOf(work: () => unknown): KeelsonError | undefined {
  try {
    work();
  } catch (error) {
    if (isKeelsonError(error)) return error as KeelsonError;
    throw error;
  }
  return undefined;
}

/** Sources that may emit: all but the catalogue itself and what is for tests. */
function sources(): string[] {
  const rooms = ['core/src', 'serve/src', 'store-pg/src', 'store-s3/src'];
  return rooms.flatMap((room) =>
    readdirSync(join(packages, room), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !/\.test\.ts$|\/testing\/|\/events\/catalogue\//.test(path))
      .map((path) => readFileSync(path, 'utf8'))
      .filter((text) => /draftEvent\(|[eE]mit\w*\(|Event\(/.test(text)),
  );
}

/**
 * The types that a source emits: `type: '…'` beside a subject, and the first text that an emitting helper
 * is given.
 */
function emittedIn(source: string): string[] {
  const name = `'([a-z_]+(?:\\.[a-z_-]+)+)'`;
  const helper = new RegExp(`\\b(?:emit\\w*|\\w*Event)\\(\\s*(?:[\\w.]+,\\s*){0,2}${name}`, 'g');
  const literal = new RegExp(`\\btype: ${name},\\s*subject:`, 'g');
  const constant = new RegExp(`^const \\w+ = ${name};$`, 'gm');
  const found = [helper, literal].flatMap((form) => [...source.matchAll(form)]);
  const constants = /type: deadLettered/.test(source) ? [...source.matchAll(constant)] : [];
  return [...found, ...constants].map((match) => match[1] as string);
}
