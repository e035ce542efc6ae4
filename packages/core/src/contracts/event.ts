import type { JsonObject } from '../json.ts';

/** An event as a commit emits it. */
export interface EventDraft {
  /** UUIDv7; an id that was emitted before in the workspace rejects the commit with CONFLICT. */
  readonly id: string;
  /** `noun.past-participle`, such as `run.completed`. */
  readonly type: string;
  /** The entity: `run:0198…`, `model:fraud@1.2.0`. Events of one subject are numbered 1, 2, 3 … */
  readonly subject: string;
  /** The component that says it, such as `tracking`. */
  readonly source: string;
  readonly at: number;
  /** At most 1 MB of JSON; ids rather than content. */
  readonly payload: JsonObject;
  readonly schemaVersion: number;
  readonly correlationId: string;
  /** The id of the event whose handling caused this one. */
  readonly causationId?: string;
  /** Who caused it. */
  readonly principal: string;
}

/** An event as it is read back. */
export interface StoredEvent extends EventDraft {
  readonly workspace: string;
  /** 1, 2, 3 … without gaps within (workspace, subject). */
  readonly subjectSequence: number;
  /** The cursor of a reader that has seen everything up to and including this event. Opaque. */
  readonly cursor: string;
}

/** Which events to read. Several conditions hold together. */
export interface EventFilter {
  readonly ids?: readonly string[];
  readonly types?: readonly string[];
  readonly subjects?: readonly string[];
  readonly correlationId?: string;
  /** Not before this time. */
  readonly since?: number;
  /** Before this time. */
  readonly until?: number;
  /** Those of the subjects that fall into part `index` (from 0) of `of` (1 to 1,024): each subject into one. */
  readonly partition?: { readonly of: number; readonly index: number };
}
