import { z } from 'zod';
import type { Authorizer, Clock, Ids, Logger, Principal } from './contracts/ports.ts';
import { KeelsonError } from './errors.ts';

/** How a platform is opened. Everything has a default: `openPlatform()` uses `.keelson/` here. */
export interface PlatformOptions {
  /** The directory of the embedded default (SQLite and files); `.keelson` when left out. */
  readonly dir?: string;
  /** `default` when left out. */
  readonly workspace?: string;
  /** Who acts; the user of the operating system, with all roles, when left out. */
  readonly principal?: Principal;
  readonly clock?: Clock;
  readonly ids?: Ids;
  /** Silent but for warnings and errors on stderr when left out. A pino instance fits. */
  readonly logger?: Logger;
  readonly authorizer?: Authorizer;
  readonly metrics?: MetricOptions;
  readonly monitoring?: MonitoringOptions;
  /** A run without a sign of life for this long is dead; 30,000 when left out. */
  readonly heartbeatTimeoutMs?: number;
}

/** How metric points are buffered. */
export interface MetricOptions {
  /** 250 when left out. */
  readonly flushMs?: number;
  /** Bound of the points in memory; 64 MiB when left out. */
  readonly memoryBytes?: number;
  /** What happens when memory and spool are full; `drop` (thinned, counted, told) when left out. */
  readonly onFull?: 'drop' | 'block';
  /** Where points wait while the store is away; inside `dir` when left out. */
  readonly spoolDir?: string;
}

/** How predictions are buffered, and how late labels may come. */
export interface MonitoringOptions {
  /** A flush of predictions begins when so many wait; 1,000 when left out. */
  readonly flushRows?: number;
  /** A prediction waits at most so long; 1,000 when left out. */
  readonly flushMs?: number;
  /** Labels later than this after their request are not joined; 60 days when left out. */
  readonly maxLabelDelayMs?: number;
}

/** An object with these methods; parts come from other packages, so only the shape counts. */
function having<T>(what: string, ...methods: readonly string[]): z.ZodType<T> {
  return z.custom<T>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((m) => typeof (value as Record<string, unknown>)[m] === 'function'),
    `must be ${what} (an object with ${methods.join(', ')})`,
  );
}

const schema = z.strictObject({
  dir: z.string().min(1).optional(),
  workspace: z.string().min(1).max(255).optional(),
  principal: z
    .strictObject({ id: z.string().min(1).max(255), roles: z.array(z.string()) })
    .optional(),
  clock: having<Clock>('a Clock', 'now').optional(),
  ids: having<Ids>('Ids', 'next').optional(),
  logger: having<Logger>('a Logger', 'debug', 'info', 'warn', 'error').optional(),
  authorizer: having<Authorizer>('an Authorizer', 'authorize').optional(),
  metrics: z
    .strictObject({
      flushMs: z.number().int().min(1).max(60_000).optional(),
      memoryBytes: z.number().int().min(65_536).optional(),
      onFull: z.enum(['drop', 'block']).optional(),
      spoolDir: z.string().min(1).optional(),
    })
    .optional(),
  monitoring: z
    .strictObject({
      flushRows: z.number().int().min(1).optional(),
      flushMs: z.number().int().min(1).optional(),
      maxLabelDelayMs: z.number().int().min(1).optional(),
    })
    .optional(),
  heartbeatTimeoutMs: z.number().int().min(100).optional(),
});

/** Refuses, as INVALID and by name, options that are unknown or of the wrong type. */
export function checkPlatformOptions(options: unknown): PlatformOptions {
  const checked = schema.safeParse(options);
  if (!checked.success) {
    const problems = checked.error.issues.map((issue) => {
      const path = issue.path.join('.');
      return `${path === '' ? '' : `${path}: `}${issue.message}`;
    });
    throw new KeelsonError(
      'INVALID',
      `openPlatform was given options that it cannot use: ${problems.join('; ')}. Known options: ${Object.keys(schema.shape).join(', ')}.`,
      { details: { problems } },
    );
  }
  return options as PlatformOptions;
}
