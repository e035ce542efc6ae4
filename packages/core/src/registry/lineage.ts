import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Scope } from '../contracts/scope.ts';
import { type Impact, type ImpactQuestion, impactOf } from './impact.ts';
import { type LineageGraph, type LineageReach, readLineage } from './lineage-graph.ts';
import { lineageStart } from './lineage-start.ts';

/** Questions about where things come from and what became of them. */
export interface Lineage {
  /**
   * Data, code, runs, executions and versions that led here (backward), or what came of it (forward), up to
   * `depth` steps (10 when left out) and `limit` nodes (1,000; at most 10,000).
   *
   * `of` is any node: the id of a version, run, execution, step, deployment or dataset; `model@1.4.0`; the digest
   * of a dataset or of an artifact of a step; `commit:<sha>`, `image:<name>`, `lock:<hash>`,
   * `features:<set@version>`, `artifact:<sha256>`, `code:<what>`. What nobody knows is a graph of one node, of type `unknown`.
   */
  lineage(of: string, options?: Partial<LineageReach>): Promise<LineageGraph>;
  /**
   * Which versions were in production between two times and descend from a dataset, commit, run or version,
   * each with when it was.
   */
  impact(question: ImpactQuestion): Promise<Impact>;
}

const shape = z.strictObject({
  direction: z.enum(['backward', 'forward', 'both']).optional(),
  depth: z.number().int().min(0).max(1_000).optional(),
  limit: z.number().int().min(1).max(10_000).optional(),
} satisfies Record<keyof LineageReach, z.ZodType>);

/** Lineage, bound to a scope. */
export function createLineage(scope: Scope): Lineage {
  return {
    async lineage(of, options = {}) {
      checkOptions(shape, options, 'A lineage');
      const { direction = 'backward', depth = 10, limit = 1_000 } = options;
      const start = await lineageStart(scope, of);
      return await readLineage(scope, start, { direction, depth, limit });
    },

    impact: (question) => impactOf(scope, question),
  };
}
