import type { StoredRecord } from '../../contracts/record.ts';
import { canonicalJson, type JsonObject } from '../../json.ts';
import { saltsOf } from './audit-entry.ts';

/** What is the same of entries and seals when they are looked at. */
export interface StoredLink {
  readonly record: StoredRecord;
  /** The id and the time that follow from what it says. */
  readonly id: string;
  readonly at: number;
  /** The body that follows from what it says. */
  readonly body: JsonObject;
  /** How many things it attests. */
  readonly count: number;
  /** Its digest, and that of what it says. */
  readonly digest: string;
  readonly computed: string;
  /** The digest of the link before, as it says and as it is. */
  readonly previous: string;
  readonly expected: string;
}

/** What is wrong with a link itself, and its salts; the first thing that differs. */
export function inspectLink(link: StoredLink): {
  readonly problem?: string;
  readonly salts: readonly (string | null)[];
} {
  const { record, count } = link;
  let salts: readonly (string | null)[];
  try {
    salts = saltsOf(record, count);
  } catch {
    return { problem: 'its salts are no list of one for each thing that it attests', salts: [] };
  }
  const problem = problemOf(link, salts.includes(null));
  return problem === undefined ? { salts } : { problem, salts };
}

function problemOf(link: StoredLink, erased: boolean): string | undefined {
  const { record, id, at, digest, computed, previous, expected } = link;
  const { revision, createdAt, updatedAt } = record;
  if (record.id !== id) return `its id is ${JSON.stringify(record.id)}, not ${JSON.stringify(id)}`;
  if (computed !== digest) return `its digest is ${digest}, but what it says has ${computed}`;
  if (canonicalJson(record.body) !== canonicalJson(link.body)) {
    return 'its record has more than it says';
  }
  if (previous !== expected) {
    return `it names ${previous || 'none'} as the digest of the link before, which has ${expected || 'none'}`;
  }
  if (createdAt !== at) return `it says that it was made at ${at}, and its record at ${createdAt}`;
  // Only the erasure of what it attests replaces it.
  if (!erased && revision !== 1) return `its record is at revision ${revision}, not 1`;
  if (!erased && updatedAt !== at) return `its record was changed at ${updatedAt}`;
  return undefined;
}
