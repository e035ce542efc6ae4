const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** A duration as people say it: `850 ms`, `12 s`, `3 min`, `2 h`, `5 d`. */
export function durationText(ms: number): string {
  if (!Number.isFinite(ms)) return '';
  if (ms < second) return `${Math.round(ms)} ms`;
  if (ms < 10 * second) return `${(ms / second).toFixed(1)} s`;
  if (ms < 2 * minute) return `${Math.round(ms / second)} s`;
  if (ms < 2 * hour) return `${Math.round(ms / minute)} min`;
  return ms < 2 * day ? `${Math.round(ms / hour)} h` : `${Math.round(ms / day)} d`;
}

/** How long ago a time is, such as `5 min ago`; empty for undefined. */
export function agoText(at: number | undefined, now: number): string {
  if (at === undefined) return '';
  const ms = now - at;
  if (Math.abs(ms) < second) return 'now';
  return ms >= 0 ? `${durationText(ms)} ago` : `in ${durationText(-ms)}`;
}

/** `1.5 kB`, `12 MB`: powers of a thousand, as file managers count. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(value) >= 99.5 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** A figure in few digits: `0.9134`, `12,300`, `1.2e-7`, `NaN`. */
export function figureText(value: number | undefined): string {
  if (value === undefined) return '';
  if (!Number.isFinite(value)) return Object.is(value, -Infinity) ? '-∞' : value > 0 ? '∞' : 'NaN';
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString('en-US');
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e15) return value.toPrecision(3);
  return String(Number(value.toPrecision(size >= 1000 ? 7 : 4)));
}

/** A time in UTC to the second, `2026-11-28 14:03:59`; empty for undefined. */
export function timeText(at: number | undefined): string {
  return at === undefined ? '' : new Date(at).toISOString().slice(0, 19).replace('T', ' ');
}

const units: Readonly<Record<string, number>> = { ms: 1, s: second, m: minute, h: hour, d: day };

/** Reads `250ms`, `30s`, `5m`, `24h`, `7d` as ms; undefined for anything else. */
export function readDuration(text: string): number | undefined {
  const [, figure, unit = ''] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text) ?? [];
  return figure === undefined ? undefined : Number(figure) * (units[unit] ?? Number.NaN);
}
