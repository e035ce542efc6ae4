/** Something that is wrong with the data. */
export interface DataFinding {
  readonly kind: 'rows' | 'schema' | 'profile' | 'drift';
  /** Missing where it is not about one column. */
  readonly column?: string;
  /** In a sentence. */
  readonly detail: string;
  /** Higher is worse. */
  readonly weight: number;
}

/** Worst first. */
export function worstFirst(findings: readonly DataFinding[]): readonly DataFinding[] {
  return findings.toSorted((a, b) => b.weight - a.weight);
}

/** A figure as people read it. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e9)) return value.toExponential(3);
  return String(Number(value.toPrecision(5)));
}

/** A share as people read it. */
export function percent(share: number): string {
  const value = 100 * share;
  return `${value !== 0 && value < 0.1 ? value.toPrecision(1) : value.toFixed(value < 10 ? 1 : 0)} %`;
}

/** A name in a sentence. */
export function quoted(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : JSON.stringify(name);
}
