import type { Scope } from '../contracts/scope.ts';
import { assertText } from '../json.ts';
import { readVersionById } from './model-records.ts';
import type { ModelVersion } from './model-version.ts';
import { resolveVersion } from './version-reference.ts';

/** A version by its id, a deleted one too, or by a reference such as `model@1.2.0` or `model@champion`. */
export async function readNamedVersion(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  name: string,
): Promise<ModelVersion> {
  if (assertText(name, 'A version', 1000).includes('@')) return await resolveVersion(scope, name);
  return await readVersionById(scope, name);
}
