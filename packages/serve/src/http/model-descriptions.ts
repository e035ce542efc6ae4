import type { TensorSpec } from '@keelson/core';
import type { DeploymentHost } from '../hosting/deployment-host.ts';
import type { LoadedVersion } from '../hosting/loaded-version.ts';

/** A tensor as metadata has it. */
export function describeTensor({ name, datatype, shape, columns }: TensorSpec): object {
  return columns === undefined ? { name, datatype, shape } : { name, datatype, shape, columns };
}

/** The status of a version, as TensorFlow Serving has it. */
export function v1Status(host: DeploymentHost, { model }: LoadedVersion, isReady: boolean): object {
  const state = isReady ? 'AVAILABLE' : 'UNLOADING';
  return {
    name: host.deployment,
    ready: isReady,
    model_version_status: [
      { version: model.version, state, status: { error_code: 'OK', error_message: '' } },
    ],
  };
}
