import { KeelsonError, type RuntimeConfig } from '@keelson/core';
import type { ServedModel } from '../serving-source.ts';
import {
  isRuntimeName,
  type RuntimeName,
  runnableFormats,
  runtimeNames,
  runtimeOfFormat,
} from './runtime-registry.ts';

/**
 * What runs a version inside replicas: the runtime that is named, or that of the version's format. UNSUPPORTED, naming
 * what there is, where there is none.
 */
export function chooseRuntime(
  model: Pick<ServedModel, 'name' | 'version' | 'format'>,
  named: RuntimeConfig | undefined,
): RuntimeName {
  if (named !== undefined) {
    if (isRuntimeName(named.name)) return named.name;
    throw new KeelsonError(
      'UNSUPPORTED',
      `There is no runtime "${named.name}" for replicas; there are ${runtimeNames.join(', ')}.`,
    );
  }
  const found = runtimeOfFormat(model.format);
  if (found !== undefined) return found;
  throw new KeelsonError(
    'UNSUPPORTED',
    `Version ${model.version} of ${model.name} has the format ${model.format}; serving can run ${runnableFormats().join(', ')}.`,
  );
}
