import type { BatchingConfig, ModelSignature } from '@keelson/core';
import { type BatchKey, compileBatchKey } from './batch-rows.ts';
import { BatchSizer } from './batch-sizer.ts';

/** How the requests of one version share calls of its model. */
export interface Batching {
  readonly mode: 'adaptive' | 'fixed';
  readonly maxRows: number;
  /** How long the first of a batch may wait for others while a replica is idle. */
  readonly maxDelayMs: number;
  readonly keyOf: BatchKey;
  readonly sizer: BatchSizer;
}

const defaultMaxRows = 64;
const fixedDelayMs = 5;

/** The batching of a version; undefined where it is off, or where the signature has no rows to put together. */
export function compileBatching(
  signature: ModelSignature,
  config: BatchingConfig = { mode: 'adaptive' },
): Batching | undefined {
  const keyOf = config.mode === 'off' ? undefined : compileBatchKey(signature);
  if (config.mode === 'off' || keyOf === undefined) return undefined;
  const { mode, maxRows = defaultMaxRows, latencyTargetMs } = config;
  const maxDelayMs = config.maxDelayMs ?? (mode === 'fixed' ? fixedDelayMs : 0);
  const target = mode === 'fixed' ? undefined : latencyTargetMs;
  const sizer = new BatchSizer({ maxRows, latencyTargetMs: target });
  return { mode, maxRows, maxDelayMs, keyOf, sizer };
}
