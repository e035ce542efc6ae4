import type { AlertSeverity } from '../rule.ts';

/** From the least to the gravest. */
export const severities: readonly AlertSeverity[] = ['WARNING', 'CRITICAL', 'EMERGENCY'];

/** One value for each level that a rule knows, such as `{ WARNING: 0.01, CRITICAL: 0.05 }`. */
export type ByLevel<T> = Readonly<Partial<Record<AlertSeverity, T>>>;

/** 1 for WARNING, 2 for CRITICAL, 3 for EMERGENCY, 0 for none. */
export function rankOf(severity: AlertSeverity | undefined): number {
  return severity === undefined ? 0 : severities.indexOf(severity) + 1;
}

/** The severity of a rank; none of 0. */
export function ofRank(rank: number): AlertSeverity | undefined {
  return severities[rank - 1];
}

/** The gravest of several; none of none. */
export function gravest(all: readonly (AlertSeverity | undefined)[]): AlertSeverity | undefined {
  return ofRank(Math.max(0, ...all.map(rankOf)));
}
