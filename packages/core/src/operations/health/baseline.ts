import type { HealthResult } from '../../contracts/caretaker.ts';
import { median } from '../../statistics/descriptive/quantile.ts';

const kept = 288;
const fewest = 5;
const latest = 3;
const worseBy = 1.2;
/** Less than this is noise, however large a share. */
const leastMs = 20;

/**
 * Judges times as they come, each against those before: DEGRADED where the median of the last three is a
 * fifth above the median of what was before them. What is worse for long becomes the baseline.
 */
export function baselineWatch(what: string): (ms: number) => HealthResult {
  const times: number[] = [];
  return (ms) => {
    times.push(ms);
    if (times.length > kept) times.shift();
    const before = times.slice(0, -latest);
    const rounded = Math.round(ms * 10) / 10;
    if (before.length < fewest) {
      const message = `${what} took ${rounded} ms; ${fewest + latest} such times make a baseline.`;
      return { status: 'HEALTHY', message, details: { ms: rounded } };
    }
    const baseline = median(before.toSorted((a, b) => a - b));
    const now = median(times.slice(-latest).sort((a, b) => a - b));
    const details = { ms: rounded, baselineMs: Math.round(baseline * 10) / 10 };
    if (now > worseBy * baseline && now - baseline > leastMs) {
      const message = `${what} took ${Math.round(now)} ms lately, and ${Math.round(baseline)} ms before.`;
      return { status: 'DEGRADED', message, details };
    }
    return { status: 'HEALTHY', message: `${what} took ${rounded} ms.`, details };
  };
}
