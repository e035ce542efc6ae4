import { linearRegression } from 'simple-statistics';
import type { QuotaResource } from '../contracts/quota.ts';
import type { StoredRecord } from '../contracts/record.ts';

/** How much of something there was, at a time. */
export interface QuotaSample {
  readonly at: number;
  readonly used: number;
}

/** A quota as it is stored. */
export interface StoredQuota {
  readonly id: string;
  readonly revision: number;
  readonly resource: QuotaResource;
  readonly limit: number;
  readonly used: number;
  /** Use begins anew with each; all time when left out. */
  readonly per?: 'day' | 'month';
  /** When the period began that `used` is of; 0 without. */
  readonly period: number;
  /** Told already that it is nearly full. */
  readonly warned: boolean;
  /** Beyond the limit, for what has begun; a share of the limit. */
  readonly overdraft: number;
  /** An hour apart at least, oldest first. */
  readonly samples: readonly QuotaSample[];
}

/** From here on people are warned. */
export const warningShare = 0.8;
/** Below this the warning is taken back, so that the next one is told again. */
const calmShare = 0.7;
const sampleEveryMs = 3_600_000;
const maxSamples = 48;

/** When the period of a time began, in UTC; 0 where there are none. */
export function periodOf(per: StoredQuota['per'], now: number): number {
  if (per === undefined) return 0;
  const date = new Date(now);
  const day = per === 'day' ? date.getUTCDate() : 1;
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), day);
}

/** When it will be full if it goes on as it did; undefined where it does not grow, or too little is known. */
export function fullAt(
  samples: readonly QuotaSample[],
  { used, limit }: { readonly used: number; readonly limit: number },
  now: number,
): number | undefined {
  const origin = samples[0]?.at;
  if (origin === undefined) return undefined;
  const all = [...samples, { at: now, used }].filter((sample) => sample.at <= now);
  if ((all.at(-1)?.at ?? origin) === origin) return undefined;
  const { m } = linearRegression(all.map((sample) => [sample.at - origin, sample.used]));
  if (!(m > 0)) return undefined;
  return Math.min(8.64e15, Math.round(now + Math.max(0, limit - used) / m));
}

/** What of the record is to be written down now, beside the counting; undefined where nothing is. */
export function dueUpkeep(
  quota: StoredQuota,
  now: number,
):
  | { readonly warn: boolean; readonly samples: readonly QuotaSample[]; readonly warned: boolean }
  | undefined {
  const share = quota.limit === 0 ? 1 : quota.used / quota.limit;
  const warn = !quota.warned && share >= warningShare;
  const warned = warn || (quota.warned && share >= calmShare);
  const last = quota.samples.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
  const sampled = now - last >= sampleEveryMs;
  if (!warn && warned === quota.warned && !sampled) return undefined;
  const samples = sampled
    ? [...quota.samples, { at: now, used: quota.used }].slice(-maxSamples)
    : quota.samples;
  return { warn, warned, samples };
}

/** A quota of its record; use of a period that is over is none. */
export function quotaFromRecord(record: StoredRecord, now: number): StoredQuota {
  const { resource, limit, used, per, period, warned } = record.columns as {
    resource: QuotaResource;
    limit: number;
    used: number;
    per?: 'day' | 'month';
    period: number;
    warned: boolean;
  };
  const { overdraft, samples } = record.body as unknown as Pick<
    StoredQuota,
    'overdraft' | 'samples'
  >;
  const over = periodOf(per, now) !== period;
  return {
    id: record.id,
    revision: record.revision,
    resource,
    limit,
    used: over ? 0 : Math.max(0, used),
    period,
    warned: over ? false : warned,
    overdraft,
    samples: over ? [] : samples,
    ...(per === undefined ? {} : { per }),
  };
}
