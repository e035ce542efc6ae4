const locale = navigator.language;
const plain = new Intl.NumberFormat(locale, { maximumSignificantDigits: 5 });
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' });
const exact = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'long' });

/** A number as tables show it: five digits, powers of ten where it is very large or small. */
export function showNumber(value: number | undefined | null): string {
  if (value === undefined || value === null) return '–';
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e9)) return value.toExponential(3);
  return Number.isInteger(value) ? whole.format(value) : plain.format(value);
}

/** Any logged value as text. */
export function showValue(value: unknown): string {
  if (value === undefined || value === null) return '–';
  if (typeof value === 'number') return showNumber(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** How long: `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`. */
export function showDuration(ms: number | undefined): string {
  if (ms === undefined || !Number.isFinite(ms)) return '–';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  const pairs = [
    ['d', 86_400, 'h', 3600],
    ['h', 3600, 'min', 60],
    ['min', 60, 's', 1],
  ] as const;
  for (const [big, of, small, per] of pairs) {
    if (s < of) continue;
    const rest = Math.floor((s % of) / per);
    return `${Math.floor(s / of)} ${big}${rest === 0 ? '' : ` ${rest} ${small}`}`;
  }
  return `${Math.round(s)} s`;
}

/** Bytes in units of 1024: `1.4 MiB`. */
export function showBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** A moment from now: `3 min ago`. */
export function showAgo(at: number, now: number = Date.now()): string {
  const s = (at - now) / 1000;
  const size = Math.abs(s);
  if (size < 5) return 'just now';
  if (size < 60) return relative.format(Math.round(s), 'second');
  if (size < 3600) return relative.format(Math.round(s / 60), 'minute');
  if (size < 86_400) return relative.format(Math.round(s / 3600), 'hour');
  if (size < 30 * 86_400) return relative.format(Math.round(s / 86_400), 'day');
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium' }).format(at);
}

/** A moment in the reader's zone, whole. */
export function showExactly(at: number): string {
  return exact.format(at);
}

/** A share as percent. */
export function showShare(share: number | undefined): string {
  return share === undefined ? '–' : `${plain.format(share * 100)} %`;
}

/** The same text has the same colour everywhere: one of ten, apart in both themes and for most colour-blind eyes. */
export function colorOf(text: string): string {
  let hash = 2_166_136_261;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 16_777_619);
  return palette[(hash >>> 0) % palette.length] as string;
}

const palette = [
  '#3b7dd8',
  '#d9652b',
  '#3a9a5b',
  '#b0499e',
  '#c2a21c',
  '#5d59c9',
  '#2ba3a8',
  '#c7434f',
  '#7a8a2f',
  '#8a6f5a',
];

/** The n-th colour, for series beside each other. */
export function colorAt(n: number): string {
  return palette[n % palette.length] as string;
}
