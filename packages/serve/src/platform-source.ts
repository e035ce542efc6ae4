import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  isKeelsonError,
  KeelsonError,
  type ModelVersion,
  type Platform,
  type Services,
  type TrustOptions,
} from '@keelson/core';
import type { ServedModel, ServedRoute, ServingSource } from './serving-source.ts';

/** Which versions a platform's source lets through. */
export interface PlatformSourceOptions {
  /**
   * Only those that somebody who is trusted has signed, as `registry.download` has it; and their files are read
   * again each time they are loaded.
   */
  readonly requireSignature?: boolean | TrustOptions;
}

/**
 * What serving needs, out of a platform: routes of its deployments, versions of its registry (downloaded
 * once into a cache directory of the platform's), its prediction log. Routes are followed by events.
 */
export function platformSource(
  platform: Platform | (Services & { readonly dir: string }),
  { requireSignature = false }: PlatformSourceOptions = {},
): ServingSource {
  const cache = join(platform.dir, 'models');

  return {
    sink: platform.monitoring.predictions,
    report: (name, health) => platform.deployments.reportHealth(name, health),
    scaled: (name, report) => platform.deployments.reportScaling(name, report),

    async route(name): Promise<ServedRoute> {
      const deployment = await platform.deployments.get(name);
      const versioned = await platform.deployments.route(name);
      const freezes = await platform.deployments.freezes(name);
      const frozen = freezes.find(
        (each) => each.deployment === name && each.acts.includes('scale-down'),
      );
      const { environment, serving, scaling, resources, status } = deployment;
      const { memoryBytes } = resources;
      return {
        ...versioned,
        environment,
        serving,
        ...(status === 'STOPPED' ? { isStopped: true } : {}),
        ...(scaling === undefined ? {} : { scaling }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
        ...(frozen === undefined
          ? {}
          : { keepReplicas: `frozen by alert ${frozen.alertId} until it is acknowledged` }),
      };
    },

    watch(deployments, wake) {
      const stop = new AbortController();
      const subjects = deployments.map((name) => `deployment:${name}`);
      const done = followEvents(platform, subjects, wake, stop.signal);
      return {
        async [Symbol.asyncDispose]() {
          stop.abort();
          await done;
        },
      };
    },

    async model(versionId, { signal }): Promise<ServedModel> {
      const version = await platform.registry.getVersionById(versionId);
      if (version.signature === undefined) {
        throw new KeelsonError(
          'INVALID',
          `Version ${version.version} of ${version.model} has no signature; register it with one to serve it.`,
        );
      }
      assertTensors(version);
      signal.throwIfAborted();
      const { model: name, version: number, format, signature } = version;
      const directory = join(cache, version.sha256);
      // A directory of that name is complete, and was verified.
      if (requireSignature !== false) {
        const trust = { requireSignature, overwrite: true };
        await platform.registry.download(versionId, directory, { ...trust, signal });
      } else if (!(await isDirectory(directory))) {
        await platform.registry.download(versionId, directory, { signal });
      }
      return { versionId, name, version: number, format, signature, directory };
    },
  };
}

/** INVALID for inputs that are columns or fit a schema and are no tensors besides: requests carry tensors. */
function assertTensors({ model, version, signature }: ModelVersion): void {
  const described = signature?.inputColumns ?? signature?.inputSchema;
  if (described === undefined || (signature?.inputs.length ?? 0) > 0) return;
  throw new KeelsonError(
    'INVALID',
    `Version ${version} of ${model} describes its inputs as columns or by a schema, and requests carry tensors; register it with a signature of tensors to serve it.`,
  );
}

/** Wakes after every event of the subjects, until the signal; a store that is away is asked again. */
async function followEvents(
  platform: Services,
  subjects: readonly string[],
  wake: () => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const _event of platform.events.follow({ subjects }, { signal })) wake();
  } catch (error) {
    // Serving goes on reading its routes by itself, every `pollMs`, and reports a store that stays away.
    if (!isKeelsonError(error)) throw error;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return found?.isDirectory() ?? false;
}

/** What can be served: a platform, or a source of one's own. */
export type Servable = ServingSource | Platform | (Services & { readonly dir: string });

/** The source of what was given. */
export function sourceOf(given: Servable): ServingSource {
  return 'sink' in given ? given : platformSource(given);
}
