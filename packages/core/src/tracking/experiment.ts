import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type Json } from '../json.ts';
import type { Decision } from '../operations/decide-and-commit.ts';
import {
  assertThresholds,
  type Threshold,
  thresholdsFromJson,
  thresholdsOption,
} from './threshold.ts';

/** A named group of runs. */
export interface Experiment {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly lifecycle: 'active' | 'archived' | 'deleted';
  /** Bounds that all of its runs are held to, beside their own. */
  readonly thresholds: readonly Threshold[];
  readonly createdBy: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly revision: number;
  /** Its runs that are not deleted, counted as it was read. */
  readonly runCount: number;
}

/** An experiment as its record has it: without what is counted. */
export type StoredExperiment = Omit<Experiment, 'runCount'>;

/** What a new experiment is. */
export interface NewExperiment {
  /** 1–255 characters, unique among experiments that are not deleted; slashes nest. */
  readonly name: string;
  /** At most 2,048 characters. */
  readonly description?: string;
  /** At most 20. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Bounds for its runs' metrics; a crossing is told by the event `metric.threshold_exceeded`. */
  readonly thresholds?: readonly Threshold[];
  /** When the name is taken: an error (the default), the one that has it, or a name with the time. */
  readonly ifExists?: 'error' | 'reuse' | 'suffix';
}

const tagsShape = z.record(z.string(), z.string());

const newShape = z.strictObject({
  name: z.string(),
  description: z.string().optional(),
  tags: tagsShape.optional(),
  thresholds: thresholdsOption.optional(),
  ifExists: z.enum(['error', 'reuse', 'suffix']).optional(),
} satisfies Record<keyof NewExperiment, z.ZodType>);

/** What may be changed about an experiment. */
export interface ExperimentChange {
  readonly name?: string;
  readonly description?: string;
  readonly lifecycle?: 'active' | 'archived';
  /** In place of all that there were; for runs that start from now on. */
  readonly thresholds?: readonly Threshold[];
  /** CONFLICT if the experiment is no longer at this revision. */
  readonly revision?: number;
}

const changeShape = z.strictObject({
  name: z.string().optional(),
  description: z.string().optional(),
  lifecycle: z.enum(['active', 'archived']).optional(),
  thresholds: thresholdsOption.optional(),
  revision: z.number().optional(),
} satisfies Record<keyof ExperimentChange, z.ZodType>);

/** Refuses, as INVALID, what an experiment may not be. */
export function assertNewExperiment(options: NewExperiment): void {
  checkOptions(newShape, options, 'An experiment');
  assertExperimentName(options.name);
  assertText(options.description ?? '', 'A description', 2048);
  assertTags(options.tags ?? {}, 20);
  assertThresholds(options.thresholds ?? []);
}

/** Refuses, as INVALID, what an experiment cannot become. */
export function assertExperimentChange(change: ExperimentChange): void {
  checkOptions(changeShape, change, 'A change of an experiment');
  if (change.name !== undefined) assertExperimentName(change.name);
  assertText(change.description ?? '', 'A description', 2048);
  assertThresholds(change.thresholds ?? []);
}

/** Refuses what an experiment's name may not be. */
export function assertExperimentName(name: string): string {
  assertText(name, 'An experiment name', 255);
  if (name.trim() === '') {
    throw new KeelsonError('INVALID', 'An experiment needs a name of 1 to 255 characters.');
  }
  return name;
}

/** Refuses tags that are not a map of at most `limit` texts. */
export function assertTags(
  tags: Readonly<Record<string, string>>,
  limit: number,
): Readonly<Record<string, string>> {
  checkOptions(z.object({ tags: tagsShape }), { tags }, 'Setting tags');
  const entries = Object.entries(tags);
  const own = Object.keys(tags).filter(isOwnTag).length;
  if (own > limit) {
    throw new KeelsonError('INVALID', `${own} tags were given; at most ${limit} are allowed.`);
  }
  for (const [key, value] of entries) {
    assertText(key, 'A tag key', 250);
    if (key === '') throw new KeelsonError('INVALID', 'A tag key is empty.');
    assertText(value, `Tag ${key}`, isOwnTag(key) ? longestTag : longestSystemTag);
  }
  return tags;
}

/** As long as MLflow's may be. */
const longestTag = 8_000;
const longestSystemTag = 100_000;

/** Limits are for the user's own tags: those that MLflow's clients set by themselves do not count. */
function isOwnTag(key: string): boolean {
  return !key.startsWith('mlflow.');
}

/**
 * What sets tags of a record as it was read. The limit holds between processes: what is set is right only
 * for the revision whose tags were counted, and new keys, however few there are yet, make another. New
 * values of keys that are there do not, so they come together.
 */
export function mergeTags(
  record: StoredRecord,
  tags: Readonly<Record<string, string>>,
  limit: number,
): Decision<undefined> {
  const { kind, id, revision: expect } = record;
  const keys = Object.keys(tags);
  if (keys.length === 0) return { changes: [], result: undefined };
  const now = record.facets['tags'] ?? {};
  const added = keys.filter((key) => !Object.hasOwn(now, key));
  const after = [...Object.keys(now), ...added].filter(isOwnTag).length;
  if (after > limit && added.some(isOwnTag)) {
    throw new KeelsonError(
      'INVALID',
      `${kind} ${id} would have ${after} tags; at most ${limit} are allowed. Remove some first.`,
      { details: { kind, id, tags: after } },
    );
  }
  const merge: Change = { op: 'merge', kind, id, set: { tags } };
  if (added.length > 0) return tagsInTurn(record, merge, 'tags were added');
  return { changes: [{ op: 'assert', kind, id, expect }, merge], result: undefined };
}

/** What removes tags of a record as it was read: in turn, since who sets one counts it as there. */
export function unsetTags(record: StoredRecord, keys: readonly string[]): Decision<undefined> {
  const { kind, id } = record;
  const now = record.facets['tags'] ?? {};
  const there = keys.filter((key) => Object.hasOwn(now, key));
  if (there.length === 0) return { changes: [], result: undefined };
  const merge: Change = { op: 'merge', kind, id, unset: { tags: there } };
  return tagsInTurn(record, merge, 'tags were removed');
}

function tagsInTurn(record: StoredRecord, merge: Change, reason: string): Decision<undefined> {
  const { kind, id, revision: expect, body } = record;
  const turn: Change = { op: 'replace', kind, id, expect, body };
  return { changes: [turn, merge], result: undefined, reason };
}

/** `name-2026-11-23-143022`: a name that tells itself from the one that is taken. */
export function disambiguatedName(name: string, now: number): string {
  const [date = '', time = ''] = new Date(now).toISOString().split('T');
  const tail = `-${date}-${time.slice(0, 8).replaceAll(':', '')}`;
  // Cut between characters, never within one.
  return `${name
    .slice(0, 255 - tail.length)
    .toWellFormed()
    .replace(/\uFFFD$/, '')}${tail}`;
}

/** An experiment out of its record. */
export function experimentFromRecord(record: StoredRecord): StoredExperiment {
  const description: Json | undefined = record.body['description'];
  return {
    id: record.id,
    name: record.columns['name'] as string,
    description: typeof description === 'string' ? description : '',
    tags: (record.facets['tags'] ?? {}) as Record<string, string>,
    lifecycle: record.columns['lifecycle'] as Experiment['lifecycle'],
    thresholds: thresholdsFromJson(record.body['thresholds']),
    createdBy: record.columns['createdBy'] as string,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    revision: record.revision,
  };
}
