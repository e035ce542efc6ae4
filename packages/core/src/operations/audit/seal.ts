import type { StoredRecord } from '../../contracts/record.ts';
import { canonicalJson, type JsonObject } from '../../json.ts';

/** The last entry of a subject's chain, when a seal was made. */
export interface SealedHead {
  readonly subject: string;
  readonly sequence: number;
  readonly digest: string;
}

/** An event in the range of a seal. */
export interface SealedEvent {
  readonly id: string;
  /** SHA-256 (hex) of its salt, a line feed, and the canonical JSON of all that a reader gets of it. */
  readonly digest: string;
}

/** One link of a workspace's chain. */
export interface AuditSeal {
  /** 1, 2, 3 … */
  readonly number: number;
  /** Epoch ms. */
  readonly at: number;
  /** The digest of the seal before; empty for the first. */
  readonly previous: string;
  /** Of the chains that have grown. */
  readonly heads: readonly SealedHead[];
  /** All events of the workspace behind the range of the seal before, in the order of the log. */
  readonly events: readonly SealedEvent[];
  /** Where the range begins (absent: with the log), and where it ends. */
  readonly after?: string;
  readonly cursor: string;
  /** The times of its earliest and latest event. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** SHA-256 (hex) of the canonical JSON of all of the above and the workspace. */
  readonly digest: string;
}

export const sealKind = 'audit_seal';

/** Where a seal lies. */
export function sealId(number: number): string {
  return `seal:${number}`;
}

/** The text whose SHA-256 a seal's digest is. */
export function textOfSeal(workspace: string, seal: Omit<AuditSeal, 'digest'>): string {
  const { number, at, previous, heads, events, after, cursor, firstAt, lastAt } = seal;
  const range = { after, cursor, firstAt, lastAt };
  return canonicalJson({ workspace, number, at, previous, heads, events, ...range }, 'seal');
}

/** What the body of a seal's record has. */
export function bodyOfSeal({ number: _, at: __, digest: ___, ...body }: AuditSeal): JsonObject {
  return body as unknown as JsonObject;
}

/** A seal as its record has it, whether or not it is as it was. */
export function sealFromRecord({ columns, body }: StoredRecord): AuditSeal {
  const list = <T>(value: unknown): readonly T[] => (Array.isArray(value) ? (value as T[]) : []);
  return {
    number: columns['number'] as number,
    at: columns['at'] as number,
    previous: String(body['previous']),
    heads: list<SealedHead>(body['heads']),
    events: list<SealedEvent>(body['events']),
    ...(body['after'] === undefined ? {} : { after: String(body['after']) }),
    cursor: String(body['cursor']),
    firstAt: Number(body['firstAt']),
    lastAt: Number(body['lastAt']),
    digest: columns['digest'] as string,
  };
}
