import { AsyncLocalStorage } from 'node:async_hooks';
import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';

/** Which record a change is meant for, as it was read. */
export interface ExpectedRevision {
  /** Its kind, such as `deployment`. */
  readonly kind: string;
  readonly id: string;
  readonly revision: number;
}

interface Expectation extends ExpectedRevision {
  isMet: boolean;
}

const expectedShape = z.strictObject({
  kind: z.string().min(1).max(200),
  id: z.string().min(1).max(1000),
  revision: z.number().int().min(0),
} satisfies Record<keyof ExpectedRevision, z.ZodType>);
const expectations = new AsyncLocalStorage<Expectation>();

/**
 * Work whose changes hold only where the record is as it was read: every commit of it asserts the revision, up to and
 * including the first that changes the record. Rejects with CONFLICT, and the revision that there is in `details`, where it
 * has another, and with INVALID for what is no expectation; what the services retry by themselves is not retried then.
 */
export async function withExpectedRevision<T>(
  expected: ExpectedRevision,
  work: () => Promise<T>,
): Promise<T> {
  checkOptions(expectedShape, expected, 'withExpectedRevision');
  if (typeof work !== 'function') {
    throw new KeelsonError('INVALID', 'withExpectedRevision takes a function as its work.');
  }
  return expectations.run({ ...expected, isMet: false }, work);
}

/** Commits changes under what the caller expects, where something is expected. */
export async function commitExpected<T>(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  changes: readonly Change[],
  commit: (changes: readonly Change[]) => Promise<T>,
): Promise<T> {
  const expectation = expectations.getStore();
  if (expectation === undefined || expectation.isMet) return commit(changes);
  const { kind, id, revision } = expectation;
  const own = changes.find((change) => 'id' in change && change.kind === kind && change.id === id);
  try {
    if (own !== undefined && 'expect' in own && own.expect !== revision) {
      throw new KeelsonError('STALE', `${kind} ${id} is not at revision ${revision}.`);
    }
    const isAsserted = own !== undefined && 'expect' in own;
    const assertion = { op: 'assert', kind, id, expect: revision } as const;
    const done = await commit(isAsserted ? changes : [assertion, ...changes]);
    expectation.isMet = own !== undefined;
    return done;
  } catch (error) {
    if (!isKeelsonError(error, 'STALE')) throw error;
    const there = (await metadata.find(workspace, kind, id))?.revision;
    if (there === revision) throw error;
    throw new KeelsonError(
      'CONFLICT',
      `The ${kind} was changed in the meantime: it has revision ${there ?? 'none'}, not ${revision}; read it again.`,
      { cause: error, details: { kind, id, revision: there ?? 0 } },
    );
  }
}
