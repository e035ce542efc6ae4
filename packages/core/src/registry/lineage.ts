import { assertObject } from '../check-options.ts';
import type { Scope } from '../contracts/scope.ts';
import { type LineageGraph, readLineage } from './lineage-graph.ts';

/** Questions about where things come from and what became of them. */
export interface Lineage {
  /** Data, runs, executions and versions that led here (backward) or came of it (forward). */
  lineage(
    id: string,
    options?: {
      readonly direction?: 'backward' | 'forward';
      readonly depth?: number;
      readonly limit?: number;
    },
  ): Promise<LineageGraph>;
}

/** Lineage, bound to a scope. */
export function createLineage(scope: Scope): Lineage {
  return {
    async lineage(id, options = {}) {
      const { direction = 'backward', depth = 10, limit = 1000 } = assertObject(options, 'lineage');
      return readLineage(scope, id, { direction, depth, limit });
    },
  };
}
