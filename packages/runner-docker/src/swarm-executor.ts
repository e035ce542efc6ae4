import type { Executor } from '@keelson/core';
import { KeelsonError } from '@keelson/core';
import { ContainerExecutor } from './container-executor.ts';
import { EngineApi } from './engine-api.ts';
import { EngineImages } from './engine-images.ts';
import { enginePlace } from './engine-place.ts';
import type { RunnerOptions } from './runner-options.ts';
import { ServiceUnits } from './service-units.ts';

/**
 * Runs steps in containers on the nodes of a Docker Swarm, by way of one of its managers: `openPlatform({
 * executors: [swarmExecutor({ workRoot: '/shared/keelson' })] })`. The nodes see `workRoot` under the same path.
 * INVALID without one, or for an address that is none.
 */
export function swarmExecutor(options: RunnerOptions & { readonly workRoot: string }): Executor {
  if (typeof options?.workRoot !== 'string' || !options.workRoot.startsWith('/')) {
    throw new KeelsonError(
      'INVALID',
      'swarmExecutor needs `workRoot`: a directory that all nodes of the swarm see under the same absolute path, for the files of steps.',
    );
  }
  const api = new EngineApi(enginePlace(options.host, options.tls), {
    patienceMs: options.patienceMs ?? 30_000,
  });
  return new ContainerExecutor({
    name: options.name ?? 'swarm',
    ...{ workRoot: options.workRoot, api, units: new ServiceUnits(api, options) },
    images: new EngineImages(api, options),
  });
}
