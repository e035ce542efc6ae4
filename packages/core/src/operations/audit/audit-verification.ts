import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { type AuditProgress, type AuditReport, Findings } from './audit-report.ts';
import { walkChains } from './chain-walk.ts';
import { EntriesOfEvents } from './entries-of-events.ts';
import { walkSeals } from './seal-walk.ts';
import { walkTail } from './tail-walk.ts';

/** What a verification is held to. */
export interface AuditVerifyOptions {
  /** A seal that was noted elsewhere (`lastSeal` of a former report): the chain must still have it so. */
  readonly anchor?: { readonly number: number; readonly digest: string };
  readonly signal?: AbortSignal;
  /** Told after each seal and each page of entries. */
  readonly onProgress?: (progress: AuditProgress) => void;
}

/**
 * Walks the workspace's chain with the events in its ranges, the chains of all subjects with what they attest,
 * and what is not sealed yet. Holds one page at a time, and the last sealed head of each subject.
 */
export async function verifyAudit(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'artifacts'>,
  options: AuditVerifyOptions,
): Promise<AuditReport> {
  const { anchor, signal, onProgress } = options;
  const findings = new Findings((progress) => onProgress?.(progress));
  try {
    const entries = new EntriesOfEvents(scope, findings);
    const { heads, cursor, last } = await walkSeals(scope, findings, { entries, anchor, signal });
    const unsealed = await walkTail(scope, findings, { cursor, entries }, signal);
    await walkChains(scope, findings, heads, { unsealed, signal });
    return findings.report(last);
  } catch (error) {
    if (signal?.aborted !== true || isKeelsonError(error, 'INTERNAL')) throw error;
    throw new KeelsonError('ABORTED', 'The verification of the audit was aborted.', {
      cause: error,
    });
  }
}
