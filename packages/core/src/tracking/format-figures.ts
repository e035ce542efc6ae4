/** A figure for people: five digits that count when `digits` is left out; undefined stays. */
export function formatNumber(value: number, digits?: number): string;
export function formatNumber(value: number | undefined, digits?: number): string | undefined;
export function formatNumber(value: number | undefined, digits = 5): string | undefined {
  if (value === undefined || !Number.isFinite(value)) return value?.toString();
  if (Number.isSafeInteger(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2);
  return String(Number(value.toPrecision(digits)));
}

/** Short enough to stand beside an axis. */
export function axisNumber(value: number): string {
  const size = Math.abs(value);
  if (size > 0 && size < 1e-3) return value.toExponential(1);
  return formatNumber(value, 3);
}

/** A size for people: `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), units.length);
  return `${(bytes / 2 ** (10 * power)).toFixed(1)} ${units[power - 1]}`;
}

/** A duration for people: `1.5 s`. */
export function formatMs(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}
