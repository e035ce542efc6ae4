import type { Scope } from '../../contracts/scope.ts';
import { createModelExports, type ModelExports } from './export-models.ts';
import { createModelImports, type ModelImports } from './import-models.ts';

/** Models move from one registry to another. */
export interface ModelMoves extends ModelExports, ModelImports {}

/** The moving of models, bound to a scope. */
export function createModelMoves(scope: Scope): ModelMoves {
  return { ...createModelExports(scope), ...createModelImports(scope) };
}
