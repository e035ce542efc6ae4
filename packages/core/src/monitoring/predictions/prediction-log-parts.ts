import type { CountedWindows } from '../windows/counted-windows.ts';
import type { CountsKeeper } from './counts-keeper.ts';
import type { PseudonymKeys } from './pseudonym-keys.ts';
import type { SettingsInForce } from './settings-in-force.ts';
import type { UserErasures } from './user-erasure.ts';

/** How predictions are buffered. */
export interface PredictionLogOptions {
  /** A flush begins when so many rows wait; 1,000 when left out. */
  readonly flushRows?: number;
  /** A row waits at most so long; 1,000 when left out. */
  readonly flushMs?: number;
  /** More than this many rows not stored yet: those that are missed least are dropped and counted. 100,000 when left out. */
  readonly maxRows?: number;
  /** The same of the bytes that they take in memory, roughly; 64 MiB when left out. */
  readonly maxBytes?: number;
}

/** What the log works with. */
export interface PredictionLogParts {
  readonly windows?: Pick<CountedWindows, 'count' | 'put' | 'refused'> | undefined;
  /** Everything is kept as it is where they are left out. */
  readonly settings?: Pick<SettingsInForce, 'of' | 'lastOf'> | undefined;
  readonly keys?: Pick<PseudonymKeys, 'current'> | undefined;
  readonly erasures?: Pick<UserErasures, 'settleBatch'> | undefined;
  /** Its own are opened with the first row. */
  readonly counts?: Pick<CountsKeeper, 'open' | 'lost'> | undefined;
}
