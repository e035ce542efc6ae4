import { z } from 'zod';
import { checkOptions, signalOption } from '../../check-options.ts';
import type { Caretaker, Finding } from '../../contracts/caretaker.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { assertAllowed } from '../decide-and-commit.ts';
import { sweepContents } from '../garbage.ts';
import { contentFindings } from '../verification.ts';

/** How a workspace is reconciled. */
export interface ReconcileOptions {
  /** Mends what can be mended without a person's decision; finds only when left out. */
  readonly mend?: boolean;
  /** `read` (the default) reads every byte of every content; `found` looks only whether contents are there. */
  readonly contents?: 'found' | 'read';
  readonly signal?: AbortSignal;
}

/** What was found, and what of it is mended. */
export interface ReconcileReport {
  readonly findings: readonly Finding[];
  readonly mended: number;
}

const shape = z.strictObject({
  mend: z.boolean().optional(),
  contents: z.enum(['found', 'read']).optional(),
  signal: signalOption.optional(),
} satisfies Record<keyof ReconcileOptions, z.ZodType>);

/** Content that nobody refers to is somebody's upload for so long. */
const graceMs = 86_400_000;

/**
 * Looks for what cannot be: references that lead nowhere, times out of order, contents that are missing,
 * damaged or nobody's. Others work meanwhile; two at once are harmless, and killed anywhere it is run again.
 */
export async function reconcilePlatform(
  scope: Scope,
  parts: { readonly caretakers: readonly Caretaker[] },
  options: ReconcileOptions = {},
): Promise<ReconcileReport> {
  checkOptions(shape, options, 'reconcile');
  await assertAllowed(scope, 'health.repair', `workspace:${scope.workspace}`);
  const { mend = false, contents = 'read' } = options;
  const signal = options.signal ?? new AbortController().signal;
  const findings: Finding[] = [];
  try {
    for (const caretaker of parts.caretakers) {
      findings.push(...((await caretaker.reconcile?.({ mend, signal })) ?? []));
    }
    findings.push(
      ...(await contentFindings(scope, parts.caretakers, { contents, signal })).findings,
    );
    await sweepContents(scope, parts.caretakers, {
      ...{ storedBefore: scope.clock.now() - graceMs, dryRun: !mend, signal },
      onContent({ sha256, sizeBytes }) {
        findings.push({
          component: 'artifacts',
          subject: `content:${sha256}`,
          problem: `No record refers to its ${sizeBytes} bytes, and it has been there for a day.`,
          mended: mend,
        });
      },
    });
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new KeelsonError('ABORTED', 'The reconciliation was aborted; run it again.', {
      cause: error,
    });
  }
  return { findings, mended: findings.filter(({ mended }) => mended).length };
}
