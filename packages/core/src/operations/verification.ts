import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { Caretaker, Finding } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertAllowed } from './decide-and-commit.ts';
import { everyRecord } from './every-record.ts';

/** What is looked at. */
export interface VerifyOptions {
  /**
   * `found`: that contents are there (the default). `read`: that each of their bytes is what was stored, which
   * reads all of them.
   */
  readonly contents?: 'found' | 'read';
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly records: number; readonly contents: number }) => void;
}

/** What was looked at, and what is wrong. */
export interface VerifyReport {
  /** Records that name contents. */
  readonly records: number;
  readonly contents: number;
  /** Whether the database itself was checked: only the embedded one is. */
  readonly databaseChecked: boolean;
  /** Empty when all is well; nothing is mended. */
  readonly findings: readonly Finding[];
}

const shape = z.strictObject({
  contents: z.enum(['found', 'read']).optional(),
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof VerifyOptions, z.ZodType>);

/** Looks whether the database is whole, and whether every content that records of the workspace name is there. */
export async function verifyPlatform(
  scope: Scope,
  parts: {
    readonly caretakers: readonly Caretaker[];
    /** Problems of the database; undefined where it is not ours to check. */
    readonly checkDatabase?: (signal: AbortSignal | undefined) => Promise<readonly string[]>;
  },
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  checkOptions(shape, options, 'verify');
  await assertAllowed(scope, 'workspace.verify', `workspace:${scope.workspace}`);
  const { signal, onProgress, contents = 'found' } = options;
  try {
    const problems = (await parts.checkDatabase?.(signal)) ?? [];
    const findings: Finding[] = problems.map((problem) => ({
      component: 'store',
      subject: 'database',
      problem,
      mended: false,
    }));
    const looked = await contentFindings(scope, parts.caretakers, {
      contents,
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
    const databaseChecked = parts.checkDatabase !== undefined;
    return { ...looked, databaseChecked, findings: [...findings, ...looked.findings] };
  } catch (error) {
    if (signal?.aborted !== true) throw error;
    throw new KeelsonError('ABORTED', 'The verification was aborted.', { cause: error });
  }
}

/** Looks whether the contents that records name are there, or what was stored. */
export async function contentFindings(
  scope: Scope,
  caretakers: readonly Caretaker[],
  how: Required<Pick<VerifyOptions, 'contents'>> & Omit<VerifyOptions, 'contents'>,
): Promise<Pick<VerifyReport, 'records' | 'contents' | 'findings'>> {
  const { signal, onProgress, contents } = how;
  const findings: Finding[] = [];
  let records = 0;
  const looked = new Map<string, string | undefined>();
  const all = caretakers.flatMap(({ component, contents: named = [] }) =>
    [named].flat().map((each) => ({ component, named: each })),
  );
  for (const { component, named } of all) {
    const found = everyRecord(scope, named.kind, signal === undefined ? {} : { signal });
    for await (const record of found) {
      records += 1;
      for (const sha256 of named.digests(record)) {
        if (!looked.has(sha256)) {
          looked.set(sha256, await problemOf(scope, sha256, contents, signal));
        }
        const problem = looked.get(sha256);
        if (problem === undefined) continue;
        const subject = `${named.kind}:${record.id}`;
        findings.push({ component, subject, problem, mended: false });
      }
      onProgress?.({ records, contents: looked.size });
    }
  }
  return { records, contents: looked.size, findings };
}

async function problemOf(
  scope: Scope,
  sha256: string,
  contents: 'found' | 'read',
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (contents === 'found') {
    const found = await scope.artifacts.find(sha256);
    return found === undefined ? `Its content ${sha256} is missing.` : undefined;
  }
  try {
    await scope.artifacts.verify(sha256, signal);
    return undefined;
  } catch (error) {
    if (isKeelsonError(error, 'NOT_FOUND')) return `Its content ${sha256} is missing.`;
    if (isKeelsonError(error, 'CORRUPT')) return error.message;
    throw error;
  }
}
