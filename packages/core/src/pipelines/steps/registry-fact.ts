import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { asJson } from '../../json.ts';
import type { Registry } from '../../registry/registry.ts';
import type { FactSource } from './step-conditions.ts';

/**
 * `registry("fraud@production")` of conditions: the version, with its `stage`, `metrics`, `tags` and the rest;
 * null where there is none.
 */
export function registryFact(registry: Pick<Registry, 'resolve'>): FactSource {
  return async ([reference]) => {
    if (typeof reference !== 'string') {
      throw new KeelsonError('INVALID', 'registry(…) takes a version, such as "fraud@production".');
    }
    try {
      return asJson(await registry.resolve(reference));
    } catch (error) {
      if (isKeelsonError(error, 'NOT_FOUND')) return null;
      throw error;
    }
  };
}
