import { statfs } from 'node:fs/promises';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { performance } from 'node:perf_hooks';
import type { HealthCheck, HealthResult } from '../../contracts/caretaker.ts';
import type { Scope } from '../../contracts/scope.ts';
import { schedules } from './check-schedules.ts';

const mib = 1_048_576;
const hourMs = 3_600_000;
/** Beyond these, something is wrong; a disk below the last is of no use any more. */
const limits = {
  freeShare: 0.1,
  freeBytes: 64 * mib,
  availableShare: 0.05,
  growth: 1.5,
  growthBytes: 256 * mib,
  loop: 0.95,
  skewMs: 1_000,
  uselessSkewMs: 60_000,
};

/** The checks of the machine and the process that the platform runs on. */
export function machineChecks(
  scope: Pick<Scope, 'metadata' | 'clock'>,
  dir: string,
): readonly HealthCheck[] {
  const base = { component: 'machine', kind: 'liveness', ...schedules.resources } as const;
  const memory = memoryWatch(() => scope.clock.now());
  let utilization = performance.eventLoopUtilization();
  return [
    {
      ...base,
      name: 'disk',
      critical: true,
      failureThreshold: 1,
      run: async () => {
        const { bavail, blocks, bsize } = await statfs(dir);
        return judgeDisk(dir, bavail * bsize, blocks * bsize);
      },
    },
    {
      ...base,
      name: 'memory',
      critical: false,
      run: async () =>
        memory({
          rssBytes: process.memoryUsage.rss(),
          freeBytes: available(),
          totalBytes: total(),
        }),
    },
    {
      ...base,
      name: 'cpu',
      critical: false,
      run: async () => {
        const now = performance.eventLoopUtilization();
        const { utilization: busy } = performance.eventLoopUtilization(now, utilization);
        utilization = now;
        const { user, system } = process.cpuUsage();
        const details = {
          eventLoopShare: Math.round(busy * 1000) / 1000,
          cpuSeconds: Math.round((user + system) / 1e5) / 10,
          cpus: availableParallelism(),
        };
        if (busy <= limits.loop) return healthy('The event loop has time.', details);
        const message = `The event loop was busy ${Math.round(busy * 100)} % of the time since the last look: move work into threads, or run more processes.`;
        return { status: 'DEGRADED', message, details };
      },
    },
    {
      ...base,
      name: 'clock skew',
      component: 'database',
      critical: false,
      run: async () => {
        const before = Date.now();
        const theirs = await scope.metadata.now();
        return judgeSkew(before, theirs, Date.now());
      },
    },
  ];
}

/** What so much room on a disk means. */
export function judgeDisk(dir: string, freeBytes: number, totalBytes: number): HealthResult {
  const share = totalBytes === 0 ? 0 : freeBytes / totalBytes;
  const details = { freeBytes, totalBytes };
  const room = `${Math.round(freeBytes / mib)} MiB (${Math.round(share * 1000) / 10} %) are free on the disk of ${dir}`;
  if (freeBytes < limits.freeBytes && share < limits.freeShare) {
    return { status: 'UNHEALTHY', message: `Only ${room}: nothing can be stored soon.`, details };
  }
  if (share < limits.freeShare) {
    return { status: 'DEGRADED', message: `Only ${room}: free some, or enlarge it.`, details };
  }
  return healthy(`${room}.`, details);
}

/** What the database's clock, asked between two looks at ours, means. */
export function judgeSkew(before: number, theirs: number, after: number): HealthResult {
  const skewMs = theirs < before ? theirs - before : Math.max(0, theirs - after);
  const details = { skewMs };
  const size = Math.abs(skewMs);
  if (size <= limits.skewMs) return healthy('Our clock and the database’s agree.', details);
  const message = `The database’s clock is ${size} ms ${skewMs > 0 ? 'ahead of' : 'behind'} ours: let both follow the same time server.`;
  return { status: size > limits.uselessSkewMs ? 'UNHEALTHY' : 'DEGRADED', message, details };
}

/** Memory, in bytes. */
export interface MemoryReading {
  readonly rssBytes: number;
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Judges readings as they come: a process that has grown by half within an hour, a machine without room. */
export function memoryWatch(now: () => number): (reading: MemoryReading) => HealthResult {
  let readings: { readonly at: number; readonly rssBytes: number }[] = [];
  return (reading) => {
    const { rssBytes, freeBytes, totalBytes } = reading;
    const at = now();
    readings = readings.filter((each) => at - each.at <= hourMs && each.at <= at).slice(-120);
    const least = Math.min(rssBytes, ...readings.map((each) => each.rssBytes));
    readings.push({ at, rssBytes });
    const details = { rssBytes, leastOfHourBytes: least, freeBytes, totalBytes };
    if (freeBytes < limits.availableShare * totalBytes) {
      const message = `Only ${Math.round(freeBytes / mib)} MiB of memory are free on this machine.`;
      return { status: 'DEGRADED', message, details };
    }
    if (rssBytes > limits.growth * least && rssBytes - least > limits.growthBytes) {
      const message = `This process has grown from ${Math.round(least / mib)} to ${Math.round(rssBytes / mib)} MiB within an hour: look for what it holds, or replace it.`;
      return { status: 'DEGRADED', message, details };
    }
    return healthy('There is memory.', details);
  };
}

/** What this process may use: of its container, where that has a limit. */
function total(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}

function available(): number {
  return total() < totalmem()
    ? process.availableMemory()
    : Math.max(freemem(), process.availableMemory());
}

function healthy(message: string, details: HealthResult['details'] & object): HealthResult {
  return { status: 'HEALTHY', message, details };
}
