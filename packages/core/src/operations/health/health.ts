import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Caretaker } from '../../contracts/caretaker.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { HealthKeeper, type HealthReport } from './health-keeper.ts';
import { listAttempts, type RecoveryAttempt } from './recovery-history.ts';
import { RecoveryKeeper } from './recovery-keeper.ts';
import { type ServiceLevel, ServiceLevels } from './service-levels.ts';
import { WaitingWrites } from './waiting-writes.ts';

/** How health is asked for. */
export interface HealthOptions {
  /** Runs every check now, instead of answering what the loop of `platform.start()` found. */
  readonly fresh?: boolean;
  /** With `fresh`: runs these checks alone. INVALID for a name of none. */
  readonly checks?: readonly string[];
}

/** Which recoveries are listed. */
export interface RecoveryFilter {
  readonly check?: string;
  /** Epoch ms. */
  readonly since?: number;
  /** 100 when left out, 1,000 at most. */
  readonly limit?: number;
}

/** How well the platform is, and what was done about it: of this process and the platform's workspace. */
export interface Health {
  /**
   * What the checks came to. Without `start()` none has run yet (UNKNOWN): then ask for it `fresh`, which
   * resolves when each check has answered or its timeout has ended.
   */
  health(options?: HealthOptions): Promise<HealthReport>;
  /** Attempts to mend faults, newest first. */
  recoveries(filter?: RecoveryFilter): Promise<readonly RecoveryAttempt[]>;
  /**
   * How available each part was, as the probes of all processes say, by whole days (UTC), and the error budget
   * that its goal leaves. `since`, in epoch ms, is 30 days ago when left out.
   */
  serviceLevels(options?: { readonly since?: number }): Promise<readonly ServiceLevel[]>;
}

/** Health, with what runs it. */
export interface PlatformHealth extends Health {
  readonly loops: readonly Loop[];
  close(): Promise<void>;
}

const healthShape = z.strictObject({
  fresh: z.boolean().optional(),
  checks: z.array(z.string().max(200)).max(1000).optional(),
} satisfies Record<keyof HealthOptions, z.ZodType>);
const recoveriesShape = z.strictObject({
  check: z.string().optional(),
  since: z.number().optional(),
  limit: z.number().int().min(1).max(1000).optional(),
} satisfies Record<keyof RecoveryFilter, z.ZodType>);

const levelsShape = z.strictObject({ since: z.number().min(0).optional() });
const monthMs = 30 * 86_400_000;

/** The health of a platform, of what the caretakers bring. INVALID for two checks of one name. */
export function createHealth(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'clock' | 'ids' | 'logger'>,
  caretakers: readonly Caretaker[],
): PlatformHealth {
  const checks = caretakers.flatMap((caretaker) => caretaker.checks ?? []);
  const recoveries = caretakers.flatMap((caretaker) => caretaker.recoveries ?? []);
  assertNames('checks', checks);
  assertNames('recoveries', recoveries);
  const writes = new WaitingWrites(scope.logger);
  const levels = new ServiceLevels(scope, writes);
  const mending = new RecoveryKeeper(scope, { recoveries, writes });
  const keeper = new HealthKeeper(scope, {
    checks,
    writes,
    listeners: {
      probed: (part, good, at) => levels.note(part, good, at),
      faulty: (fault, correlationId) => mending.faulty(fault, correlationId),
      mended: (check) => mending.mended(check),
    },
  });
  return {
    loops: [keeper.loop],
    async health(options = {}) {
      checkOptions(healthShape, options, 'health');
      if (options.fresh === true) await keeper.refresh(options.checks);
      return keeper.report();
    },
    async recoveries(filter = {}) {
      checkOptions(recoveriesShape, filter, 'recoveries');
      return await listAttempts(scope, filter);
    },
    async serviceLevels(options = {}) {
      checkOptions(levelsShape, options, 'serviceLevels');
      await writes.flush();
      return await levels.read(options.since ?? scope.clock.now() - monthMs);
    },
    async close() {
      await mending.close();
      await keeper.close();
    },
  };
}

function assertNames(what: string, named: readonly { readonly name: string }[]): void {
  const seen = new Set<string>();
  for (const { name } of named) {
    if (seen.has(name)) {
      throw new KeelsonError(
        'INVALID',
        `Two ${what} are called ${name}; each needs a name of its own.`,
      );
    }
    seen.add(name);
  }
}
