import { existsSync, readFileSync } from 'node:fs';
import type { PointTarget } from '../../src/contracts/point-target.ts';
import { openPointTarget as openTarget } from '../../src/embedded/point-target.ts';
import { type ErrorCode, KeelsonError } from '../../src/errors.ts';
import type { Json } from '../../src/json.ts';

/** What is wrong, as it stands in the fault file; without the file nothing is. */
export interface Fault {
  readonly code: ErrorCode;
  /** What fails: points and their summaries (the default), or heartbeats. */
  readonly part?: 'points' | 'beats';
  /** Fails after the store has stored: nobody knows the outcome. */
  readonly afterwards?: boolean;
  /** Epoch ms; the fault is over then. */
  readonly until?: number;
}

/** A SQLite target that fails as long as a file says so. */
export async function openPointTarget(options: Json): Promise<PointTarget> {
  const { path, faultFile } = options as { readonly path: string; readonly faultFile: string };
  const target = await openTarget({ kind: 'sqlite', path });
  const current = (): Fault | undefined => {
    if (!existsSync(faultFile)) return undefined;
    const fault = JSON.parse(readFileSync(faultFile, 'utf8')) as Fault;
    return fault.until !== undefined && Date.now() >= fault.until ? undefined : fault;
  };
  const failing = async <T>(
    work: () => Promise<T>,
    part: 'points' | 'beats' = 'points',
  ): Promise<T> => {
    const fault = current();
    if (fault === undefined || (fault.part ?? 'points') !== part) return await work();
    if (fault.afterwards === true) await work();
    throw new KeelsonError(fault.code, 'The store is away, says the test.');
  };
  return {
    ...target,
    beat: (runs, at) => failing(() => target.beat(runs, at), 'beats'),
    store: {
      appendPoints: (batch) => failing(() => target.store.appendPoints(batch)),
      summaries: (...question) => failing(() => target.store.summaries(...question)),
      fold: (...question) => failing(() => target.store.fold(...question)),
    },
  };
}
