import { z } from 'zod';

/**
 * Whether machine and process are sampled into `system/*` metrics of a run, under MLflow's names where it
 * has one (`system/cpu_utilization_percentage`, `system/system_memory_usage_megabytes`,
 * `system/disk_usage_percentage`, `system/network_receive_megabytes`, `system/gpu_0_…`), beside them
 * `system/process_cpu_percentage` (100: one processor busy), `system/process_memory_megabytes` and what
 * the process has read from and written to disks. Megabytes are 10⁶ bytes.
 */
export type SystemMetricsOption = boolean | { readonly intervalMs?: number };

/** The shape of {@link SystemMetricsOption}. */
export const systemMetricsOption: z.ZodType = z.union([
  z.boolean(),
  z.strictObject({ intervalMs: z.number().int().min(100).max(3_600_000).optional() }),
]);

const defaultIntervalMs = 10_000;

/** How often to sample; undefined for never. */
export function sampleMs(option: SystemMetricsOption | undefined): number | undefined {
  if (option === undefined || option === false) return undefined;
  return option === true ? defaultIntervalMs : (option.intervalMs ?? defaultIntervalMs);
}
