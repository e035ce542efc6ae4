import type { Executor } from '@keelson/core';
import { ContainerExecutor } from './container-executor.ts';
import { ContainerUnits } from './container-units.ts';
import { EngineApi } from './engine-api.ts';
import { EngineImages } from './engine-images.ts';
import { enginePlace } from './engine-place.ts';
import type { RunnerOptions } from './runner-options.ts';

/**
 * Runs steps in containers of a Docker Engine (20.10 or later): `openPlatform({ executors: [dockerExecutor()]
 * })`. INVALID for an address that is none; an engine that does not answer is told of by what asks for it.
 */
export function dockerExecutor(options: RunnerOptions = {}): Executor {
  const api = new EngineApi(enginePlace(options.host, options.tls), {
    patienceMs: options.patienceMs ?? 30_000,
  });
  const images = new EngineImages(api, options);
  return new ContainerExecutor({
    name: options.name ?? 'docker',
    ...(options.workRoot === undefined ? {} : { workRoot: options.workRoot }),
    ...{ api, images, units: new ContainerUnits(api, images, options) },
  });
}
